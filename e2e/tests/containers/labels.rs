//! The compose files of `deploy/compose/`, whose labels Traefik reads from the engine's API.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::containers::{Composition, Engine};
use gatepost_e2e::{Client, built, layout, until, write_certificates};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::{Test, visit};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "labels::forward_auth_single",
        run: forward_auth_single,
    },
    Test {
        name: "labels::forward_auth_domain",
        run: forward_auth_domain,
    },
    Test {
        name: "labels::plugin_single",
        run: plugin_single,
    },
    Test {
        name: "labels::plugin_domain",
        run: plugin_domain,
    },
    Test {
        name: "labels::plugin_domain_with_tls",
        run: plugin_domain_with_tls,
    },
    Test {
        name: "labels::plugin_single_with_traefik_not_root",
        run: plugin_single_with_traefik_not_root,
    },
    Test {
        name: "labels::plugin_domain_without_the_outpost",
        run: plugin_domain_without_the_outpost,
    },
    Test {
        name: "labels::containers_come_and_go",
        run: containers_come_and_go,
    },
];

/// Our image of the outpost.
const OUTPOST: &str = "localhost/gatepost/outpost";

/// For a sign-out to reach Traefik: two seconds in which the outpost writes, two in which the plugin reads,
/// and a slow machine. The session's window, 15 minutes, ends much later.
const WITHIN: Duration = Duration::from_secs(90);

/// The host of the provider, which the files leave to their users.
const PROVIDER: &str = "id.example.localhost";

fn forward_auth_single(engine: &Engine) -> Result<()> {
    let running = up(engine, "forward-auth-single", "single")?;
    check_passes(engine, &running, "http")?;
    sessions_stay_and_end(engine, &running, "http", ["wiki", "wiki"])
}

fn forward_auth_domain(engine: &Engine) -> Result<()> {
    let running = up(engine, "forward-auth-domain", "domain")?;
    one_sign_in_is_for_both()?;
    sessions_stay_and_end(engine, &running, "http", ["wiki", "auth"])
}

fn plugin_single(engine: &Engine) -> Result<()> {
    let running = up(engine, "plugin-single", "single")?;
    check_passes(engine, &running, "http")?;
    sessions_stay_and_end(engine, &running, "http", ["wiki", "wiki"])
}

fn plugin_domain(engine: &Engine) -> Result<()> {
    let running = up(engine, "plugin-domain", "domain")?;
    one_sign_in_is_for_both()?;
    check_passes(engine, &running, "http")?;
    sessions_stay_and_end(engine, &running, "http", ["files", "auth"])
}

/// `tls.yaml` over the file, with certificates of an authority of the tests in the place of those of Let's
/// Encrypt. The outpost's `check` verifies them.
fn plugin_domain_with_tls(engine: &Engine) -> Result<()> {
    let folder = engine.folder("compose-tls")?;
    let hosts = ["wiki", "files", "auth"].map(|host| format!("{host}.example.localhost"));
    write_certificates(&folder, &[("site", &hosts.each_ref().map(String::as_str))])?;
    let certificates = json!({ "tls": { "certificates": [
        { "certFile": "/tls/site.pem", "keyFile": "/tls/site.key" },
    ] } });
    fs::write(folder.join("tls.yaml"), certificates.to_string())?;
    let mut text = String::new();
    for line in read("deploy/compose/tls.yaml")?.lines() {
        if line.contains("certResolver=letsencrypt") {
            for argument in [
                "entryPoints.websecure.http.tls=true",
                "providers.file.filename=/tls/tls.yaml",
                "entryPoints.provider.address=:81",
            ] {
                text.push_str(&format!("      - --{argument}\n"));
            }
        } else if !line.contains("letsencrypt.") {
            text.push_str(&format!("{line}\n"));
        }
    }
    assert!(
        text.contains("provider.address") && !text.contains("acme.email"),
        "{text}"
    );
    let mount = format!("{}:/tls:ro", folder.display());
    let setting = Setting {
        scheme: "https",
        issuer: "http://id.example.localhost:81",
        over: Some(text),
        further: json!({ "services": {
            "traefik": { "ports": ["81:81"], "volumes": [mount] },
            "outpost": {
                "environment": { "SSL_CERT_FILE": "/tls/authority.pem" },
                "volumes": [mount],
            },
            "provider": { "labels": { "traefik.http.routers.provider.entryPoints": "provider" } },
        } }),
        ..Setting::of("plugin-domain", "domain")
    };
    let running = setting.up(engine)?;
    let alice = visit::sign_in(&page_at("https", "wiki")?)?;
    visit::sees_alice(&alice, &page_at("https", "files")?)?;
    let plain = Client::new()?
        .page_load(Method::GET, &page("wiki")?)
        .send()?;
    let location = plain.headers().get("location").context("a redirection")?;
    assert_eq!(location.to_str()?, page_at("https", "wiki")?.as_str());
    check_passes(engine, &running, "https")?;
    sessions_stay_and_end(engine, &running, "https", ["files", "auth"])
}

/// `traefik-user.yaml` over the file. Without the group, the plugin's files are closed to Traefik, and so is
/// the application.
fn plugin_single_with_traefik_not_root(engine: &Engine) -> Result<()> {
    let text = read("deploy/compose/traefik-user.yaml")?;
    // The group that the file takes for Docker's, whose socket it is here too.
    built::run(Command::new("chgrp").args(["999", "/run/docker.sock"]))?;
    built::run(Command::new("chmod").args(["660", "/run/docker.sock"]))?;
    let setting = Setting {
        over: Some(text.clone()),
        ..Setting::of("plugin-single", "single")
    };
    let running = setting.up(engine)?;
    let traefik = engine.inspect(&running.container("traefik"))?;
    let process = traefik.pointer("/State/Pid").and_then(Value::as_u64);
    let status = format!("/proc/{}/status", process.context("a process")?);
    let status = fs::read_to_string(status)?;
    assert!(status.contains("Uid:\t1000\t1000"), "{status}");
    visit::sign_in(&page("wiki")?)?;
    drop(running);

    let setting = Setting {
        over: Some(text.replace("\"65532\", ", "")),
        ..Setting::of("plugin-single", "single")
    };
    let running = setting.start(engine)?;
    visit::until_status(
        &page("wiki")?.join("/akprox/session")?,
        StatusCode::UNAUTHORIZED,
    )?;
    assert_eq!(
        visit::status(&page("wiki")?)?,
        StatusCode::SERVICE_UNAVAILABLE
    );
    // What the page says that its log has then.
    let said = engine.podman(&["logs", &running.container("traefik")])?;
    assert!(said.contains("gatepost-state: permission denied"), "{said}");
    Ok(())
}

/// As the page says to check what runs: in the outpost's container.
fn check_passes(engine: &Engine, running: &Composition<'_>, scheme: &str) -> Result<()> {
    let outpost = running.container("outpost");
    let url = page_at(scheme, "wiki")?;
    let said = engine.podman(&["exec", &outpost, "gatepost", "check", "--url", url.as_str()])?;
    assert!(said.contains("no header of a client leads past"), "{said}");
    Ok(())
}

/// A new container in the place of the outpost's, as after a change of its image, has the sessions of the
/// one before. A sign-out ends a copy of the session's cookie too, within seconds.
fn sessions_stay_and_end(
    engine: &Engine,
    running: &Composition<'_>,
    scheme: &str,
    [app, outpost_host]: [&str; 2],
) -> Result<()> {
    let app = &page_at(scheme, app)?;
    let alice = visit::sign_in(app)?;
    let own = page_at(scheme, outpost_host)?.join("/akprox/session")?;
    let outpost = running.container("outpost");
    let before = engine.inspect(&outpost)?;
    // As long as the outpost takes to stop, and more: podman fails to remove a container that ends
    // just as it is killed.
    engine.podman(&["rm", "--force", "--time=10", &outpost])?;
    running.start()?;
    engine.until_healthy(&outpost)?;
    let after = engine.inspect(&outpost)?;
    assert_ne!(before.get("Id"), after.get("Id"), "it is another container");
    visit::until_status(&own, StatusCode::UNAUTHORIZED)?;
    let session = alice.fetch(Method::GET, &own).send()?;
    assert_eq!(session.status(), StatusCode::OK, "{own}");
    visit::sees_alice(&alice, app)?;

    let thief = Client::new()?;
    let (cookie, secure) = match scheme {
        "https" => ("__Secure-gatepost", "; Secure; Path=/"),
        _ => ("gatepost", ""),
    };
    let copied = alice.cookie(app, cookie).context("a cookie")?;
    thief.add_cookie(app, &format!("{cookie}={copied}{secure}"));
    visit::sees_alice(&thief, app)?;
    alice.open(&own.join("/akprox/sign_out")?)?;
    until("the copy to be refused", WITHIN, || {
        let status = thief.fetch(Method::GET, app).send()?.status();
        Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
    })
}

fn one_sign_in_is_for_both() -> Result<()> {
    visit::until_status(&page("files")?, StatusCode::UNAUTHORIZED)?;
    let alice = visit::sign_in(&page("wiki")?)?;
    visit::sees_alice(&alice, &page("files")?)?;
    alice.open(&page("auth")?.join("/akprox/sign_out")?)?;
    for host in ["wiki", "files"] {
        let status = alice.fetch(Method::GET, &page(host)?).send()?.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{host}");
    }
    Ok(())
}

/// Labels go with their container. The middleware is not the outpost's: who is signed in goes on, and
/// who is not gets a page that says why, at the outpost's own host.
fn plugin_domain_without_the_outpost(engine: &Engine) -> Result<()> {
    let running = up(engine, "plugin-domain", "domain")?;
    let alice = visit::sign_in(&page("wiki")?)?;
    let outpost = running.container("outpost");
    engine.podman(&["stop", &outpost])?;
    let start = page("auth")?.join("/akprox/start?rd=http://wiki.example.localhost/page")?;
    visit::until_status(&start, StatusCode::SERVICE_UNAVAILABLE)?;
    for host in ["wiki", "files"] {
        visit::sees_alice(&alice, &page(host)?)?;
        assert_eq!(visit::status(&page(host)?)?, StatusCode::UNAUTHORIZED);
    }
    let anonymous = Client::new()?;
    let journey = anonymous.open(&page("wiki")?)?;
    let landed = &journey.landed;
    assert_eq!(landed.url.path(), "/akprox/start", "{journey}");
    assert_eq!(landed.status, StatusCode::SERVICE_UNAVAILABLE, "{journey}");
    assert!(landed.body.contains("no outpost is running"), "{journey}");
    assert!(landed.header("retry-after").is_some(), "{journey}");
    let for_proxies = page("auth")?.join("/akprox/auth/traefik")?;
    assert_eq!(visit::status(&for_proxies)?, StatusCode::NOT_FOUND);

    engine.podman(&["start", &outpost])?;
    engine.until_healthy(&outpost)?;
    let session = page("auth")?.join("/akprox/session")?;
    visit::until_status(&session, StatusCode::UNAUTHORIZED)?;
    assert_eq!(visit::status(&for_proxies)?, StatusCode::NOT_FOUND);
    visit::sign_in(&page("files")?).map(drop)
}

/// An application has a route while its container runs and is healthy, and is protected from the
/// first request on. Without the outpost, which decides here, no route is left open.
fn containers_come_and_go(engine: &Engine) -> Result<()> {
    let running = up(engine, "forward-auth-domain", "domain")?;
    let late = page("late")?;
    assert_eq!(visit::status(&late)?, StatusCode::NOT_FOUND);
    let network = format!("--network={}", running.network());
    let labels = [
        "--label=traefik.enable=true",
        "--label=traefik.http.routers.late.rule=Host(`late.example.localhost`)",
        "--label=traefik.http.routers.late.middlewares=gatepost@docker",
        "--label=traefik.http.services.late.loadbalancer.server.port=80",
    ];
    let image = "traefik/whoami:v1.11";
    let run = ["run", "--detach", "--name=late", &network];
    engine.podman(&[&run[..], &labels, &[image]].concat())?;
    visit::until_status(&late, StatusCode::UNAUTHORIZED)?;
    let alice = visit::sign_in(&late)?;
    engine.podman(&["rm", "--force", "--time=1", "late"])?;
    visit::until_status(&late, StatusCode::NOT_FOUND)?;

    // Healthy is what the container says of itself: here, whether a program can be run.
    let check = [
        "--health-cmd=[\"CMD\", \"/whoami\", \"--nonsense\"]",
        "--health-retries=1",
    ];
    engine.podman(&[&run[..], &check, &labels, &[image]].concat())?;
    assert!(engine.ask_health("late").is_err());
    visit::until_status(&page("wiki")?, StatusCode::UNAUTHORIZED)?;
    assert_eq!(visit::status(&late)?, StatusCode::NOT_FOUND, "unhealthy");
    engine.podman(&["rm", "--force", "--time=1", "late"])?;

    let outpost = running.container("outpost");
    engine.podman(&["stop", &outpost])?;
    for host in ["wiki", "files", "auth"] {
        let own = page(host)?.join("/akprox/start")?;
        visit::until_status(&own, StatusCode::INTERNAL_SERVER_ERROR)?;
        let signed_in = alice.fetch(Method::GET, &own).send()?;
        assert_eq!(signed_in.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    engine.podman(&["start", &outpost])?;
    engine.until_healthy(&outpost)?;
    visit::until_status(&page("wiki")?, StatusCode::UNAUTHORIZED)
}

pub(crate) fn page(host: &str) -> Result<Url> {
    page_at("http", host)
}

fn page_at(scheme: &str, host: &str) -> Result<Url> {
    let url = format!("{scheme}://{host}.example.localhost/page");
    Url::parse(&url).context(url)
}

/// Puts the images of this source in the place of the published ones.
fn local_images(compose: String) -> String {
    compose
        .replace("ghcr.io/gatepost/", "localhost/")
        .replace(concat!(":", env!("CARGO_PKG_VERSION")), "")
}

/// Starts a file of `deploy/compose/` with our image.
pub(crate) fn up<'e>(engine: &'e Engine, file: &str, outpost: &str) -> Result<Composition<'e>> {
    Setting::of(file, outpost).up(engine)
}

/// Starts a file of `deploy/compose/` with this image of the outpost.
pub(crate) fn up_with<'e>(
    engine: &'e Engine,
    image: &str,
    file: &str,
    outpost: &str,
) -> Result<Composition<'e>> {
    let setting = Setting {
        image,
        ..Setting::of(file, outpost)
    };
    setting.up(engine)
}

/// A file of `deploy/compose/` with names that lead to this machine, and with what it leaves to its reader:
/// the outpost's folder and a provider.
pub(crate) struct Setting<'a> {
    pub(crate) image: &'a str,
    pub(crate) file: &'a str,
    /// What the outpost's configuration is to be for.
    pub(crate) outpost: &'a str,
    pub(crate) scheme: &'a str,
    pub(crate) issuer: &'a str,
    /// A change of the file itself.
    pub(crate) edit: Option<fn(Value) -> Value>,
    /// The text of a file over it.
    pub(crate) over: Option<String>,
    /// What else the tests need.
    pub(crate) further: Value,
}

impl<'a> Setting<'a> {
    pub(crate) fn of(file: &'a str, outpost: &'a str) -> Self {
        Self {
            image: OUTPOST,
            file,
            outpost,
            scheme: "http",
            issuer: "http://id.example.localhost",
            edit: None,
            over: None,
            further: json!({}),
        }
    }

    /// Starts it, and waits until users can sign in.
    pub(crate) fn up<'e>(&self, engine: &'e Engine) -> Result<Composition<'e>> {
        let running = self.start(engine)?;
        let discovery = format!("{}/.well-known/openid-configuration", self.issuer);
        visit::until_status(&Url::parse(&discovery)?, StatusCode::OK)?;
        visit::until_status(&page_at(self.scheme, "wiki")?, StatusCode::UNAUTHORIZED)?;
        let own_host = if self.outpost == "single" {
            "wiki"
        } else {
            "auth"
        };
        let session = page_at(self.scheme, own_host)?.join("/akprox/session")?;
        visit::until_status(&session, StatusCode::UNAUTHORIZED)?;
        engine.until_ready(&running.container("outpost"))?;
        Ok(running)
    }

    fn start<'e>(&self, engine: &'e Engine) -> Result<Composition<'e>> {
        let Self { image, file, .. } = self;
        let folder = engine.folder(&format!("compose-{file}"))?;
        let compose = folder.join("compose.yaml");
        let text = local_images(read(&format!("deploy/compose/{file}.yaml"))?);
        let mut text = text.replace(OUTPOST, image);
        if let Some(edit) = self.edit {
            text = edit(serde_saphyr::from_str(&text)?).to_string();
        }
        fs::write(&compose, text)?;
        let keys = folder.join("gatepost/keys");
        fs::create_dir_all(&keys)?;
        // The steps of the page: the key, a configuration to begin with, the secret, and who may read them.
        let owner = format!("{}:/keys", keys.display());
        engine.podman(&[
            "run",
            "--rm",
            "--network=none",
            "--user=0",
            &format!("--volume={owner}"),
            image,
            "keygen",
            "--file=/keys/gatepost.keys",
        ])?;
        let begun = engine.podman(&["run", "--rm", image, "config", "example", self.outpost])?;
        let config = outpost_configuration(&local_names(begun), self.issuer)?;
        let config = config
            .to_string()
            .replace("\"http://auth.", &format!("\"{}://auth.", self.scheme));
        fs::write(folder.join("gatepost/gatepost.yaml"), config)?;
        fs::write(folder.join(".env"), "CLIENT_SECRET=demo-client-secret\n")?;
        own(&folder.join("gatepost"))?;
        let provider = folder.join("provider.json");
        fs::write(
            &provider,
            provider_configuration(self.issuer, self.scheme)?.to_string(),
        )?;
        let mut files = vec![compose];
        if let Some(over) = &self.over {
            let path = folder.join("compose.override.yaml");
            fs::write(&path, over)?;
            files.push(path);
        }
        let service = provider_service(&provider);
        for (name, text) in [("provider.yaml", &service), ("further.yaml", &self.further)] {
            if *text == json!({}) {
                continue;
            }
            let path = folder.join(name);
            fs::write(&path, text.to_string())?;
            files.push(path);
        }
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let running = Composition::up(engine, file, &files)?;
        engine.until_healthy(&running.container("outpost"))?;
        Ok(running)
    }
}

/// Hands the outpost's files to the user of its image.
fn own(folder: &Path) -> Result<()> {
    let mut command = Command::new("chown");
    built::run(command.args(["--recursive", "65532:65532"]).arg(folder))
}

fn read(path: &str) -> Result<String> {
    let text = fs::read_to_string(layout::root().join(path)).context(path.to_owned())?;
    Ok(local_names(text))
}

/// Puts names that lead to this machine in the place of those of the files.
fn local_names(text: String) -> String {
    text.replace("example.com", "example.localhost")
}

fn outpost_configuration(text: &str, issuer: &str) -> Result<Value> {
    let mut config: Value = serde_saphyr::from_str(text)?;
    let provider = config.pointer_mut("/providers/0").context("a provider")?;
    *provider.get_mut("issuer").context("an issuer")? = issuer.into();
    // What the comment there says: this provider has a scope for groups.
    let scopes = provider.get_mut("scopes").and_then(Value::as_array_mut);
    scopes.context("scopes")?.push("groups".into());
    Ok(config)
}

fn provider_configuration(issuer: &str, scheme: &str) -> Result<Value> {
    let file = "testdata/provider/docker-compose.json";
    let mut config: Value = serde_json::from_str(&read(file)?)?;
    let callbacks =
        ["wiki", "auth"].map(|host| format!("{scheme}://{host}.example.localhost/akprox/callback"));
    *config.pointer_mut("/issuer").context("an issuer")? = issuer.into();
    let client = config.pointer_mut("/clients/0").context("a client")?;
    *client.get_mut("redirect_uris").context("addresses")? = json!(callbacks);
    *client
        .get_mut("post_logout_redirect_uris")
        .context("addresses")? = json!(["http://wiki.example.localhost/"]);
    // `read` has fitted their addresses too.
    let email = config.pointer_mut("/users/alice/email");
    *email.context("alice")? = "alice@example.com".into();
    Ok(config)
}

/// The provider as `docker-compose.yml` has it, at a host of its own behind the same Traefik.
fn provider_service(config: &Path) -> Value {
    let server = layout::root().join("testdata/provider/server.mjs");
    let hosts = ["wiki", "files", "auth"].map(|host| format!("{host}.example.localhost"));
    let aliases: Vec<&str> = [PROVIDER]
        .into_iter()
        .chain(hosts.iter().map(String::as_str))
        .collect();
    json!({
        "services": {
            // Every host, which is in no DNS here, leads the outpost to Traefik.
            "traefik": { "networks": { "default": { "aliases": aliases } } },
            "provider": {
                "image": "node:22-bookworm-slim",
                "working_dir": "/provider",
                "command": ["node", "server.mjs"],
                "environment": { "PROVIDER_CONFIG": "/provider.json" },
                "volumes": [
                    format!("{}:/provider/server.mjs:ro", server.display()),
                    format!("{}:/provider.json:ro", config.display()),
                ],
                "labels": {
                    "traefik.enable": "true",
                    "traefik.http.routers.provider.rule": format!("Host(`{PROVIDER}`)"),
                    "traefik.http.services.provider.loadbalancer.server.port": "9100",
                },
            },
        },
    })
}
