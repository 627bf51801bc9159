//! All parts together.

mod traefik;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use gatepost_session::cookie::CookieName;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use url::Url;

use crate::keys::Keys;
use crate::programs::FakeClock;
use crate::programs::Service;

use crate::doubles::provider;
use crate::doubles::upstream::{Seen, Upstream};
use crate::programs::ports;
use crate::{built, layout, settings};

use self::traefik::{Folder, Route};

/// The default application of a stack.
const DEFAULT_APPLICATION: &str = "app";

/// Traefik with the plugin, the outpost, a provider and apps, running on loopback.
///
/// Fields are dropped, and so stopped, from the outside in.
#[derive(Debug)]
pub struct Stack {
    traefik: Service,
    outpost: Service,
    provider: Service,
    app: Application,
    others: Vec<Application>,
    keys: Keys,
    outpost_origin: Url,
    folder: TempDir,
}

impl Stack {
    /// Starts with one application, `app`, for the groups `staff` and `admins`.
    pub fn builder() -> Builder {
        Builder {
            name: None,
            applications: Vec::new(),
            outposts_provider: Vec::new(),
            outpost: Vec::new(),
            provider: Vec::new(),
            provider_down: false,
            outpost_clock: None,
            tls: false,
            revoked_file: false,
            state_dir: false,
            ports: None,
        }
    }

    /// Returns the first application.
    pub fn app(&self) -> &Application {
        &self.app
    }

    /// Returns the application with this name.
    ///
    /// # Errors
    ///
    /// When there is no such application.
    pub fn application(&self, name: &str) -> Result<&Application> {
        std::iter::once(&self.app)
            .chain(&self.others)
            .find(|application| application.name == name)
            .with_context(|| format!("the stack has no application {name}"))
    }

    /// Returns the keys that outpost and plugin share.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the address of the outpost without Traefik.
    pub fn outpost_url(&self) -> &Url {
        &self.outpost_origin
    }

    /// Returns Traefik. The plugin's log lines are among its own.
    pub fn traefik(&self) -> &Service {
        &self.traefik
    }

    /// Returns the outpost.
    pub fn outpost(&self) -> &Service {
        &self.outpost
    }

    /// Returns the provider.
    pub fn provider(&self) -> &Service {
        &self.provider
    }

    /// Returns the first part that has ended unasked, if any has.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn ended(&self) -> Result<Option<&Service>> {
        for service in [&self.traefik, &self.outpost, &self.provider] {
            if service.has_ended()? {
                return Ok(Some(service));
            }
        }
        Ok(None)
    }

    /// Returns the path of the list of revoked sessions, if the outpost writes it for the plugin.
    pub fn revoked_file(&self) -> PathBuf {
        revoked_file(self.folder.path())
    }

    /// Returns the folder that the outpost writes for its plugins, if it does.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Changes the configuration file of the running outpost, which reloads it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn change_outpost(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let file = self.folder.path().join("gatepost.yaml");
        let mut config = serde_json::from_str(&fs::read_to_string(&file)?)?;
        change(&mut config);
        settings::write(&file, &config)
    }

    /// Returns the folder with the configuration files of this stack. It is removed when the stack
    /// stops.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// An app behind Traefik, and how to ask for it.
#[derive(Debug)]
pub struct Application {
    name: String,
    origin: Url,
    /// None where the test has an app of its own.
    upstream: Option<Upstream>,
}

impl Application {
    /// Returns the application's name: the audience of its sessions.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the cookie with its session: the plain one, as nothing here runs over
    /// TLS.
    pub fn cookie_name(&self) -> CookieName {
        CookieName::default_for(false, false)
    }

    /// Returns an address of the app as a user would type it. `path` starts with a slash.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.origin.clone();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// Returns the requests to the app so far. An app of the test's own keeps no record.
    pub fn requests(&self) -> Vec<Arc<Seen>> {
        self.upstream
            .as_ref()
            .map(Upstream::requests)
            .unwrap_or_default()
    }
}

/// What an application is to be.
#[derive(Clone, Debug)]
pub struct ApplicationSpec {
    name: String,
    plugin: Map<String, Value>,
    outpost: Map<String, Value>,
    upstream_port: Option<u16>,
}

impl ApplicationSpec {
    /// Creates an application with this name, at `http://NAME.localhost`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            plugin: Map::new(),
            outpost: Map::new(),
            upstream_port: None,
        }
    }

    /// Leaves it to the test to have an app listen on this port of 127.0.0.1. Without this, the
    /// stack has the app that records its requests.
    pub fn upstream_port(mut self, port: u16) -> Self {
        self.upstream_port = Some(port);
        self
    }

    /// Sets a key that plugin and outpost both know, such as `require` or `public`.
    pub fn set(self, key: &str, value: &Value) -> Self {
        self.set_in_plugin(key, value).set_in_outpost(key, value)
    }

    /// Sets a key of the plugin's configuration; null removes it.
    pub fn set_in_plugin(mut self, key: &str, value: &Value) -> Self {
        self.plugin.insert(key.to_owned(), value.clone());
        self
    }

    /// Sets a key of the application in the outpost's configuration; null removes it.
    pub fn set_in_outpost(mut self, key: &str, value: &Value) -> Self {
        self.outpost.insert(key.to_owned(), value.clone());
        self
    }
}

/// The ports of the parts, where they are to be known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where Traefik listens: the port in the application's address.
    pub web: u16,
    /// Where the outpost listens.
    pub outpost: u16,
    /// Where the outpost's metrics are.
    pub metrics: u16,
    /// Where the provider listens.
    pub provider: u16,
}

impl Ports {
    fn free() -> Result<Self> {
        Ok(Self {
            web: ports::free()?,
            outpost: ports::free()?,
            metrics: ports::free()?,
            provider: ports::free()?,
        })
    }
}

/// Says what a [`Stack`] is to be.
#[derive(Debug)]
pub struct Builder {
    name: Option<String>,
    applications: Vec<ApplicationSpec>,
    outposts_provider: Vec<Value>,
    outpost: Vec<Value>,
    provider: Vec<Value>,
    provider_down: bool,
    outpost_clock: Option<FakeClock>,
    tls: bool,
    revoked_file: bool,
    state_dir: bool,
    ports: Option<Ports>,
}

impl Builder {
    /// Adds an application. The first one named takes the place of `app`.
    pub fn application(mut self, application: ApplicationSpec) -> Self {
        self.applications.push(application);
        self
    }

    /// Lays changes over the outpost's configuration.
    pub fn outpost(mut self, changes: &Value) -> Self {
        self.outpost.push(changes.clone());
        self
    }

    /// Lays changes over what the outpost's configuration says of the provider.
    pub fn outposts_provider(mut self, changes: &Value) -> Self {
        self.outposts_provider.push(changes.clone());
        self
    }

    /// Lays changes over the provider's configuration.
    pub fn provider(mut self, changes: &Value) -> Self {
        self.provider.push(changes.clone());
        self
    }

    /// Leaves the provider for the test to start.
    pub fn provider_down(mut self) -> Self {
        self.provider_down = true;
        self
    }

    /// Has the outpost believe this clock. That of Traefik, which asks the kernel itself, is the
    /// system's.
    pub fn outpost_clock(mut self, clock: &FakeClock) -> Self {
        self.outpost_clock = Some(clock.clone());
        self
    }

    /// Makes the outpost list revoked sessions for the plugin, in the file [`Stack::revoked_file`].
    pub fn revoked_file(mut self) -> Self {
        self.revoked_file = true;
        self
    }

    /// Makes the outpost write [`Stack::state_dir`], from which the plugin has everything but the
    /// application's name, and what the test sets in the plugin.
    pub fn state_dir(mut self) -> Self {
        self.state_dir = true;
        self
    }

    /// Has browsers reach the applications over TLS, with Traefik's own certificate, which no
    /// client trusts.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Uses these ports. Without this, free ones.
    pub fn ports(mut self, ports: Ports) -> Self {
        self.ports = Some(ports);
        self
    }

    /// Names the folder for logs. Without this, the current test names it.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Starts everything and waits until Traefik answers for every application.
    ///
    /// # Errors
    ///
    /// When something is not built or installed, or does not become ready; with the end of its
    /// log.
    pub fn start(mut self) -> Result<Stack> {
        if self.applications.is_empty() {
            self.applications
                .push(ApplicationSpec::new(DEFAULT_APPLICATION));
        }
        let ports = match self.ports {
            Some(ports) => ports,
            None => Ports::free()?,
        };
        let logs = logs_folder(self.name.as_deref())?;
        let folder = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        let keys_folder = folder.path().join("keys");
        fs::create_dir(&keys_folder)?;
        let keys = Keys::create(keys_folder.join("gatepost.keys"))?;
        let mut traefik_folder =
            Folder::create(folder.path().join("traefik"), ports.web, &keys_folder)?;
        if self.state_dir {
            let state = folder.path().join("state");
            fs::create_dir(&state)?;
            traefik_folder.mount(&state, "/gatepost")?;
            for spec in &mut self.applications {
                for key in ["keysFile", "plainHttp", "require"] {
                    spec.plugin.entry(key).or_insert(Value::Null);
                }
                spec.plugin.insert("stateDir".into(), json!("/gatepost"));
            }
        }
        let tls_port = self.tls.then(ports::free).transpose()?;
        if let Some(port) = tls_port {
            traefik_folder.listen_for_tls(port)?;
        }
        let mut applications = Vec::new();
        if self.revoked_file {
            self.applications = self
                .applications
                .into_iter()
                .map(|spec| spec.set_in_plugin("revokedFile", &json!("/keys/revoked")))
                .collect();
        }
        for spec in &self.applications {
            let mut application = start_application(spec, ports, &traefik_folder)?;
            if let Some(port) = tls_port {
                application.origin =
                    Url::parse(&format!("https://{}.localhost:{port}", spec.name))?;
            }
            applications.push(application);
        }

        let origins: Vec<String> = applications
            .iter()
            .map(|application| application.origin.origin().ascii_serialization())
            .collect();
        let provider = provider::service(
            &provider::Seat::main(ports.provider),
            &origins,
            ports.outpost,
            &self.provider,
            folder.path(),
            &logs,
        )?;
        let config = folder.path().join("gatepost.yaml");
        let settings = self.outpost_config(ports, &keys, &origins, folder.path())?;
        settings::write(&config, &settings)?;
        let program = built::gatepost()?;
        let clock = self.outpost_clock.as_ref();
        let mut outpost = outpost(clock, program, &config, ports.outpost, &logs)?;
        if !self.provider_down {
            outpost = outpost.answering(readiness(ports.metrics)?, StatusCode::OK);
        }
        let mut traefik = traefik_folder.service(&logs)?;
        for application in &applications {
            // Traefik answers 404 until it has loaded the router, which takes until the plugin is
            // compiled.
            let ping = format!(
                "http://{}.localhost:{}/akprox/ping",
                application.name, ports.web
            );
            let ping = Url::parse(&ping)?;
            traefik = traefik.answering(ping, StatusCode::NO_CONTENT);
        }

        traefik.launch()?;
        if !self.provider_down {
            // The outpost would start without its provider and retry, but more slowly than this.
            provider.start()?;
        }
        outpost.start()?;
        traefik.await_life()?;
        if self.state_dir && !self.provider_down {
            let pages = applications.iter().map(|application| application.url("/"));
            traefik::await_folder(pages)?;
        }
        let mut applications = applications.into_iter();
        let app = applications.next().context("a stack has an application")?;
        Ok(Stack {
            traefik,
            outpost,
            provider,
            app,
            others: applications.collect(),
            keys,
            outpost_origin: Url::parse(&format!("http://127.0.0.1:{}", ports.outpost))?,
            folder,
        })
    }

    fn outpost_config(
        &self,
        ports: Ports,
        keys: &Keys,
        origins: &[String],
        folder: &Path,
    ) -> Result<Value> {
        let mut config = settings::from_template(
            "deploy/outpost/single.yaml",
            &[
                ("127.0.0.1:9000", &format!("127.0.0.1:{}", ports.outpost)),
                ("127.0.0.1:9300", &format!("127.0.0.1:{}", ports.metrics)),
                (
                    "/etc/gatepost/keys/gatepost.keys",
                    &keys.path().to_string_lossy(),
                ),
                ("https://id.example.com", &provider::issuer(ports.provider)),
                (
                    "clientId: gatepost",
                    &format!("clientId: {}", provider::CLIENT_ID),
                ),
                ("change-me", provider::CLIENT_SECRET),
            ],
        )?;
        let shown = config
            .pointer("/applications/0")
            .context("outpost/single.yaml has an application")?
            .clone();
        // The provider of the tests has a scope for groups.
        config
            .pointer_mut("/providers/0")
            .context("outpost/single.yaml has a provider")?["scopes"] =
            json!(["openid", "profile", "email", "groups"]);
        let applications: Vec<Value> = self
            .applications
            .iter()
            .zip(origins)
            .map(|(spec, origin)| {
                let mut application = shown.clone();
                settings::merge(
                    &mut application,
                    &json!({ "name": spec.name, "externalUrl": origin }),
                );
                settings::merge(&mut application, &Value::Object(spec.outpost.clone()));
                application
            })
            .collect();
        let store = json!({ "kind": "embedded", "path": folder.join("sessions.db") });
        settings::merge(
            &mut config,
            &json!({ "applications": applications, "store": store }),
        );
        if self.revoked_file {
            settings::merge(&mut config, &json!({ "revokedFile": revoked_file(folder) }));
        }
        if self.state_dir {
            settings::merge(&mut config, &json!({ "stateDir": folder.join("state") }));
        }
        for changes in &self.outposts_provider {
            let provider = config.pointer_mut("/providers/0");
            let provider = provider.context("outpost/single.yaml has a provider")?;
            settings::merge(provider, changes);
        }
        for changes in &self.outpost {
            settings::merge(&mut config, changes);
        }
        Ok(config)
    }
}

/// Returns the path in the folder that the plugin can read.
fn revoked_file(folder: &Path) -> PathBuf {
    folder.join("keys/revoked")
}

fn start_application(
    spec: &ApplicationSpec,
    ports: Ports,
    traefik: &Folder,
) -> Result<Application> {
    let host = format!("{}.localhost", spec.name);
    let (upstream_port, upstream) = match spec.upstream_port {
        Some(port) => (port, None),
        None => {
            let port = ports::free()?;
            (port, Some(Upstream::start(port)?))
        }
    };
    traefik.route(&Route {
        application: &spec.name,
        host: &host,
        upstream_port,
        outpost_port: ports.outpost,
        plugin: &spec.plugin,
    })?;
    Ok(Application {
        name: spec.name.clone(),
        origin: Url::parse(&format!("http://{host}:{}", ports.web))?,
        upstream,
    })
}

/// Returns this outpost with this configuration, which makes it listen on this port, and with a
/// clock that may not be the system's.
pub(crate) fn outpost(
    clock: Option<&FakeClock>,
    mut program: Command,
    config: &Path,
    port: u16,
    logs: &Path,
) -> Result<Service> {
    program.arg("serve").arg("--config").arg(config);
    if let Some(clock) = clock {
        program.envs(clock.environment());
    }
    let ping = Url::parse(&format!("http://127.0.0.1:{port}/akprox/ping"))?;
    Ok(Service::new("outpost", program, logs).answering(ping, StatusCode::NO_CONTENT))
}

/// Returns the address at which an outpost says whether it has reached its providers.
pub(crate) fn readiness(metrics_port: u16) -> Result<Url> {
    Ok(Url::parse(&format!(
        "http://127.0.0.1:{metrics_port}/readyz"
    ))?)
}

/// Returns a folder for logs that outlives the stack, named for the test that runs on this thread.
pub(crate) fn logs_folder(name: Option<&str>) -> Result<PathBuf> {
    let thread = std::thread::current();
    let name = name.or(thread.name()).unwrap_or("stack");
    let folder = layout::artefacts_dir().join(name.replace("::", "."));
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}
