//! The contenders: one app behind Traefik, guarded in different ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::tools::{Tool as _, Traefik};
use gatepost_e2e::{Process, built, layout, ports};
use gatepost_session::{Audience, KeyRing};
use serde_json::{Value, json};

use super::nginx::SEEN_PATH;
use super::raw_http;

const START_LIMIT: Duration = Duration::from_secs(60);

/// The host name that the files in `deploy/` speak of.
const SHOWN_HOST: &str = "wiki.example.com";

/// One way to guard the app.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// Its name in the JSON report.
    pub(crate) key: String,
    /// What a person reads.
    pub(crate) title: String,
    /// Traefik's dynamic configuration.
    dynamic: Value,
    /// The guest that Traefik loads, if any.
    guest: Option<PathBuf>,
    /// The header lines of each request, but for the cookies.
    headers: Vec<String>,
    /// `Cookie` header values, of one session each.
    cookies: Vec<String>,
    /// The paths of requests.
    targets: Vec<String>,
    /// The identity that the app must see.
    seen: String,
    /// Where the app says what it sees.
    seen_path: &'static str,
    /// Whether Traefik believes a client that says it has come by TLS.
    is_behind_tls: bool,
    /// The process group of the server that Traefik asks, if any.
    pub(crate) auth: Option<u32>,
}

/// What all contenders of a run share.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// Where the app listens.
    pub(crate) app: u16,
    /// The folder with the keys file.
    pub(crate) keys: PathBuf,
    /// The app's host and port in URLs.
    pub(crate) host: String,
    /// The header lines of a browser's request, but for the cookies.
    pub(crate) headers: Vec<String>,
    /// `Cookie` header values, of one session each.
    pub(crate) cookies: Vec<String>,
    /// The identity of that session, as headers.
    pub(crate) identity: Vec<(String, String)>,
    /// For files.
    pub(crate) folder: PathBuf,
}

impl Scene {
    fn contender(&self, key: &str, title: &str, dynamic: Value) -> Contender {
        Contender {
            key: key.to_owned(),
            title: title.to_owned(),
            dynamic,
            guest: None,
            headers: self.headers.clone(),
            cookies: self.cookies.clone(),
            targets: vec!["/".to_owned()],
            seen: self.seen(),
            seen_path: SEEN_PATH,
            is_behind_tls: false,
            auth: None,
        }
    }

    /// Returns the header lines of a request with the first session.
    pub(crate) fn first_request(&self) -> Vec<String> {
        with_cookie(&self.headers, &self.cookies)
    }

    /// Returns the identity that the app sees.
    pub(crate) fn seen(&self) -> String {
        let value = |wanted: &str| {
            let found = self.identity.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        format!("{} {}", value("X-Auth-Username"), value("X-Auth-Groups"))
    }

    /// Returns the app with nothing in front.
    pub(crate) fn bare(&self) -> Result<Contender> {
        let mut dynamic = self.shown("deploy/traefik/dynamic/plugin-single.yaml", None)?;
        remove(&mut dynamic, "/http", "middlewares");
        remove(&mut dynamic, "/http/routers/wiki", "middlewares");
        Ok(Contender {
            seen: " ".to_owned(),
            ..self.contender("bare", "no middleware", dynamic)
        })
    }

    /// Traefik's own middleware, setting the headers that a verified session would.
    pub(crate) fn native_headers(&self, key: &str, title: &str) -> Result<Contender> {
        let mut dynamic = self.shown("deploy/traefik/dynamic/plugin-single.yaml", None)?;
        let headers: serde_json::Map<String, Value> = self
            .identity
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let middleware = json!({ "headers": { "customRequestHeaders": headers } });
        replace(&mut dynamic, "/http/middlewares/wiki-gatepost", middleware)?;
        Ok(self.contender(key, title, dynamic))
    }

    /// Returns a guest that does nothing.
    pub(crate) fn empty_guest(&self, guest: PathBuf) -> Result<Contender> {
        let dynamic = self.shown("deploy/traefik/dynamic/plugin-single.yaml", None)?;
        Ok(Contender {
            guest: Some(guest),
            seen: " ".to_owned(),
            ..self.contender("empty", "empty guest", dynamic)
        })
    }

    /// Returns the plugin, with these settings laid over those that the docs show.
    pub(crate) fn plugin(&self, key: &str, title: &str, settings: &Value) -> Result<Contender> {
        let mut dynamic = self.shown("deploy/traefik/dynamic/plugin-single.yaml", None)?;
        self.set_plugin(&mut dynamic, "/http/middlewares/wiki-gatepost", settings)?;
        Ok(Contender {
            guest: Some(built::plugin()?),
            ..self.contender(key, title, dynamic)
        })
    }

    /// Returns the plugin at so many routers of one Traefik, each of which has guests of its own;
    /// requests go to all of them in turn.
    pub(crate) fn plugin_routers(&self, count: usize) -> Result<Contender> {
        let title = format!("plugin at {count} routers");
        let mut contender = self.plugin("routers", &title, &json!({}))?;
        let routers = contender.dynamic.pointer_mut("/http/routers");
        let routers = routers.and_then(Value::as_object_mut);
        let routers = routers.context("the shown file has routers")?;
        let shown = routers.get("wiki").context("the router `wiki`")?.clone();
        for number in 1..count {
            let mut router = shown.clone();
            let rule = router.pointer("/rule").and_then(Value::as_str);
            let rule = rule.context("a router has a rule")?;
            let rule = format!("({rule}) && PathPrefix(`/{number}/`)");
            replace(&mut router, "/rule", json!(rule))?;
            routers.insert(format!("wiki-{number}"), router);
            contender.targets.push(format!("/{number}/"));
        }
        Ok(contender)
    }

    /// Returns the plugin with multi-layer routing.
    pub(crate) fn route(&self, outpost: u16) -> Result<Contender> {
        let mut dynamic = self.shown("deploy/traefik/dynamic/route-single.yaml", Some(outpost))?;
        self.set_plugin(&mut dynamic, "/http/middlewares/gatepost", &json!({}))?;
        Ok(Contender {
            guest: Some(built::plugin()?),
            ..self.contender("route", "plugin, `fallback: route`", dynamic)
        })
    }

    /// Returns `forwardAuth` to the server on this port, at this path.
    pub(crate) fn forward_auth(
        &self,
        key: &str,
        title: &str,
        port: u16,
        path: &str,
    ) -> Result<Contender> {
        let mut dynamic = self.shown(
            "deploy/traefik/dynamic/forward-auth-single.yaml",
            Some(port),
        )?;
        let address = json!(format!("http://127.0.0.1:{port}{path}"));
        let at = "/http/middlewares/gatepost/forwardAuth/address";
        replace(&mut dynamic, at, address)?;
        Ok(self.contender(key, title, dynamic))
    }

    /// Returns a file that docs show, with the ports of this scene.
    fn shown(&self, path: &str, outpost: Option<u16>) -> Result<Value> {
        let file = layout::root().join(path);
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let host = self.host.split(':').next().unwrap_or_default();
        let text = text
            .replace(SHOWN_HOST, host)
            .replace("`WORD`", &format!("`{}`", self.verdict()?))
            .replace("127.0.0.1:8000", &format!("127.0.0.1:{}", self.app));
        let text = match outpost {
            Some(port) => text.replace("127.0.0.1:9000", &format!("127.0.0.1:{port}")),
            None => text,
        };
        serde_saphyr::from_str(&text).with_context(|| format!("parse {path}"))
    }

    /// Returns the word for "allowed" to the routers behind the plugin.
    fn verdict(&self) -> Result<String> {
        let keys = fs::read_to_string(self.keys.join("gatepost.keys"))?;
        let application = Audience::new("wiki")?;
        let mut words = KeyRing::parse(&keys)?.verdicts(&application).into_iter();
        words.next().context("a ring has a key")
    }

    /// Sets the plugin. The cookie's name is the one that the outpost uses over plain http: as with
    /// TLS, it is then the first that the plugin looks for.
    fn set_plugin(&self, dynamic: &mut Value, at: &str, settings: &Value) -> Result<()> {
        let plugin = dynamic
            .pointer_mut(&format!("{at}/plugin/gatepost"))
            .and_then(Value::as_object_mut)
            .with_context(|| format!("{at} is no longer the plugin"))?;
        plugin.insert("cookieName".to_owned(), json!("gatepost"));
        for (key, value) in settings.as_object().into_iter().flatten() {
            plugin.insert(key.clone(), value.clone());
        }
        Ok(())
    }
}

impl Contender {
    /// Returns the same, which asks a server of this process group.
    pub(crate) fn asking(mut self, group: u32) -> Self {
        self.auth = Some(group);
        self
    }

    /// Returns the same, with a `forwardAuth` as another server's documentation shows it.
    pub(crate) fn with_forward_auth(mut self, settings: &Value) -> Result<Self> {
        let at = "/http/middlewares/gatepost/forwardAuth";
        replace(&mut self.dynamic, at, settings.clone())?;
        Ok(self)
    }

    /// Returns the same for a server with sessions of its own, which passes this identity to the app.
    pub(crate) fn with_sessions(mut self, cookies: Vec<String>, seen: &str) -> Self {
        self.cookies = cookies;
        seen.clone_into(&mut self.seen);
        self
    }

    /// Returns the same, whose app says at this path what it sees.
    pub(crate) fn seen_at(mut self, path: &'static str) -> Self {
        self.seen_path = path;
        self
    }

    /// Returns the same, with requests as those of a load balancer that ends TLS.
    pub(crate) fn behind_tls(mut self) -> Self {
        self.is_behind_tls = true;
        self.headers.push("X-Forwarded-Proto: https".to_owned());
        self
    }

    /// Returns the header lines of a request with the first session.
    pub(crate) fn first_request(&self) -> Vec<String> {
        with_cookie(&self.headers, &self.cookies)
    }

    /// Returns what load with so many sessions in turn sends: the header lines of every request,
    /// and the lines of [`Load::requests`](super::load::Load::requests).
    pub(crate) fn requests(&self, sessions: usize) -> (Vec<String>, String) {
        let sessions = sessions.min(self.cookies.len());
        let cookies = self.cookies.iter().take(sessions).cycle();
        let targets = self.targets.iter().cycle();
        let lines = targets
            .zip(cookies)
            .take(sessions.max(self.targets.len()))
            .map(|(target, cookie)| format!("{target}\t{cookie}\n"));
        (self.headers.clone(), lines.collect())
    }

    /// Starts a Traefik of its own for it and waits until the app answers through it as it should.
    pub(crate) fn start(&self, scene: &Scene) -> Result<Running> {
        let port = ports::free()?;
        let running = self.launch(scene, port)?;
        let answer = raw_http::ask(port, self.seen_path, &self.first_request())?;
        let body = answer.text.rsplit("\r\n").next().unwrap_or_default();
        if answer.status != 200 || body != self.seen {
            let (title, seen) = (&self.title, &self.seen);
            bail!(
                "{title}: expected the app to see {seen:?}, got {}",
                answer.text
            );
        }
        Ok(running)
    }

    /// Starts a Traefik of its own for it and waits for an answer, whatever it is.
    pub(crate) fn launch(&self, scene: &Scene, port: u16) -> Result<Running> {
        let folder = scene.folder.join(format!("{}-{port}", self.key));
        let dynamic_folder = folder.join("dynamic");
        fs::create_dir_all(&dynamic_folder)?;
        let mut settings = json!({
            "entryPoints": { "web": {
                "address": format!("127.0.0.1:{port}"),
                "forwardedHeaders": { "insecure": self.is_behind_tls },
            } },
            "providers": { "file": { "directory": dynamic_folder } },
            "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
            "log": { "level": "INFO" },
        });
        if let Some(guest) = &self.guest {
            let plugin = folder.join("plugins-local/src/github.com/gatepost/gatepost");
            fs::create_dir_all(&plugin)?;
            fs::copy(guest, plugin.join("plugin.wasm"))?;
            let manifest = layout::root().join(".traefik.yml");
            fs::copy(manifest, plugin.join(".traefik.yml"))?;
            let mount = format!("{}:/keys:ro", scene.keys.display());
            let local = json!({ "localPlugins": { "gatepost": {
                "moduleName": "github.com/gatepost/gatepost",
                "settings": { "mounts": [mount] },
            } } });
            if let Some(settings) = settings.as_object_mut() {
                settings.insert("experimental".to_owned(), local);
            }
        }
        let dynamic = serde_json::to_string_pretty(&self.dynamic)?;
        fs::write(dynamic_folder.join("app.yaml"), dynamic)?;
        fs::write(folder.join("traefik.yaml"), settings.to_string())?;
        let mut command = Command::new(Traefik.locate()?);
        command
            .arg("--configFile=traefik.yaml")
            .current_dir(&folder);
        let started = Instant::now();
        let traefik = Process::spawn("traefik", &command, &folder.join("log"))?;
        // Traefik refuses, and then answers 404, until it has loaded the routers.
        while !raw_http::ask(port, SEEN_PATH, &self.first_request()).is_ok_and(|a| a.status != 404)
        {
            if started.elapsed() > START_LIMIT {
                bail!("{} does not answer: {}", self.title, traefik.output());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Running {
            port,
            first_answer: started.elapsed(),
            traefik,
        })
    }
}

/// A contender with its Traefik.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) port: u16,
    /// From the start of the process to the app's first answer.
    pub(crate) first_answer: Duration,
    traefik: Process,
}

impl Running {
    /// Traefik's process group.
    pub(crate) fn group(&self) -> u32 {
        self.traefik.group()
    }

    /// Returns the app's address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

fn with_cookie(headers: &[String], cookies: &[String]) -> Vec<String> {
    let cookie = cookies.first().map(|cookie| format!("Cookie: {cookie}"));
    headers.iter().cloned().chain(cookie).collect()
}

fn remove(value: &mut Value, at: &str, key: &str) {
    if let Some(map) = value.pointer_mut(at).and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

fn replace(value: &mut Value, at: &str, new: Value) -> Result<()> {
    let place = value
        .pointer_mut(at)
        .with_context(|| format!("the shown file no longer has {at}"))?;
    *place = new;
    Ok(())
}

/// Compiles the guest that does nothing.
pub(crate) fn compile_empty_guest(folder: &Path) -> Result<PathBuf> {
    let optimiser = gatepost_e2e::tools::NodePackages::wasm_opt().ensure()?;
    let guest = folder.join("empty.wasm");
    built::run(
        Command::new("node")
            .arg(optimiser.join("node_modules/binaryen/bin/wasm-as"))
            .arg(layout::root().join("testdata/bench/empty.wat"))
            .arg("--output")
            .arg(&guest),
    )?;
    Ok(guest)
}
