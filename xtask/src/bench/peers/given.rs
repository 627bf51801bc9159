//! Peers whose programs no registry has: the person who runs the bench gives them, in one folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Process, ports};
use reqwest::header::SET_COOKIE;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{Peer, START_LIMIT, as_long_as_others};
use crate::bench::contender::Contender;
use crate::bench::nginx::SEEN_USER_PATH;
use crate::bench::raw_http;
use crate::bench::stage::{self, Stage};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

/// A peer that is measured where its program is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    ThomSeddon,
    VouchProxy,
    Authelia,
}

impl Given {
    pub(crate) const ALL: [Self; 3] = [Self::ThomSeddon, Self::VouchProxy, Self::Authelia];

    /// Returns the name of its program in the folder.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::ThomSeddon => "thomseddon-traefik-forward-auth",
            Self::VouchProxy => "vouch-proxy",
            Self::Authelia => "authelia",
        }
    }

    /// Returns its name for the reader.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ThomSeddon => "thomseddon/traefik-forward-auth",
            Self::VouchProxy => "vouch-proxy",
            Self::Authelia => "Authelia",
        }
    }

    /// Starts the peer and signs so many browsers in.
    pub(crate) fn peer(self, program: &Path, stage: &Stage, sessions: usize) -> Result<Peer> {
        let folder = stage.scene.folder.join(self.program());
        fs::create_dir_all(&folder)?;
        let (process, contender, cookies, per_second) = match self {
            Self::ThomSeddon => thom_seddon(program, &folder, stage, sessions)?,
            Self::VouchProxy => vouch_proxy(program, &folder, stage, sessions)?,
            Self::Authelia => authelia(program, &folder, stage, sessions)?,
        };
        let identity = match self {
            Self::ThomSeddon | Self::VouchProxy => "alice@example.com",
            Self::Authelia => ALICE.login,
        };
        let cookies = as_long_as_others(cookies, stage);
        let contender = contender
            .with_sessions(cookies, identity)
            .seen_at(SEEN_USER_PATH)
            .asking(process.group());
        Ok(Peer {
            contender,
            sign_ins_per_second: per_second,
            _process: process,
        })
    }

    fn contender(
        self,
        stage: &Stage,
        port: u16,
        path: &str,
        settings: &Value,
    ) -> Result<Contender> {
        let title = format!("forwardAuth to {}", self.name());
        let mut forward_auth = settings.as_object().cloned().unwrap_or_default();
        let address = format!("http://127.0.0.1:{port}{path}");
        forward_auth.insert("address".to_owned(), json!(address));
        let scene = &stage.scene;
        let contender = scene.forward_auth(self.program(), &title, port, path)?;
        contender.with_forward_auth(&Value::Object(forward_auth))
    }
}

/// What a peer's start has found: the peer, its contender, the `Cookie` header values of the
/// sessions, and how many sign-ins a second it did.
type SignedIn = (Process, Contender, Vec<String>, f64);

/// As its README's `Simple` and `OpenID Connect` show it: the middleware is all.
fn thom_seddon(program: &Path, folder: &Path, stage: &Stage, sessions: usize) -> Result<SignedIn> {
    let port = ports::free()?;
    let mut command = Command::new(program);
    command
        .arg(format!("--port={port}"))
        .arg(format!("--secret={SECRET}"))
        .args(["--insecure-cookie", "--default-provider=oidc"])
        .arg(format!("--providers.oidc.issuer-url={}", issuer(stage)))
        .args(["--providers.oidc.client-id=gatepost"])
        .arg("--providers.oidc.client-secret=demo-client-secret");
    let process = start(Given::ThomSeddon, &command, folder, port)?;
    let settings = json!({ "authResponseHeaders": ["X-Forwarded-User"] });
    let contender = Given::ThomSeddon.contender(stage, port, "", &settings)?;
    // The provider sends browsers back to the site's own port, where Traefik asks the peer.
    let front = contender.launch(&stage.scene, stage.site.ports().web)?;
    let site = stage.site.url("wiki", "/")?;
    let (cookies, per_second) = stage::sign_in(&site, &site, "_forward_auth", sessions)?;
    drop(front);
    Ok((process, contender, cookies, per_second))
}

/// As its example for OpenID Connect shows it. Its documentation is about nginx, which asks
/// `/validate`, and so does Traefik here.
fn vouch_proxy(program: &Path, folder: &Path, stage: &Stage, sessions: usize) -> Result<SignedIn> {
    let site = stage.site.url("wiki", "/")?;
    let host = site.host_str().context("the app has a host")?;
    let start_at = |port: u16| -> Result<Process> {
        let issuer = issuer(stage);
        let config = json!({
            "vouch": {
                "listen": "127.0.0.1",
                "port": port,
                "logLevel": "error",
                "allowAllUsers": true,
                "cookie": { "secure": false, "domain": host },
                "jwt": { "secret": SECRET },
            },
            "oauth": {
                "provider": "oidc",
                "client_id": "gatepost",
                "client_secret": "demo-client-secret",
                "auth_url": format!("{issuer}/auth"),
                "token_url": format!("{issuer}/token"),
                "user_info_url": format!("{issuer}/me"),
                "scopes": ["openid", "email", "profile"],
                "callback_url": site.join("/auth")?.as_str(),
            },
        });
        let file = folder.join(format!("{port}.yml"));
        fs::write(&file, config.to_string())?;
        let mut command = Command::new(program);
        command.arg("-config").arg(&file);
        start(Given::VouchProxy, &command, folder, port)
    };
    // Browsers sign in at the site's own port. The sessions are all in their cookies.
    let signing_in = start_at(stage.site.ports().web)?;
    let mut from = site.join("/login")?;
    from.query_pairs_mut().append_pair("url", site.as_str());
    let (cookies, per_second) = stage::sign_in(&from, &site, "VouchCookie", sessions)?;
    drop(signing_in);
    let port = ports::free()?;
    let process = start_at(port)?;
    let settings = json!({ "authResponseHeaders": ["X-Vouch-User"] });
    let contender = Given::VouchProxy.contender(stage, port, "/validate", &settings)?;
    Ok((process, contender, cookies, per_second))
}

/// As its documentation shows it for Traefik, with users in a file and sessions in memory. It is the
/// provider of its own users, who sign in by the request that its page sends.
fn authelia(program: &Path, folder: &Path, stage: &Stage, sessions: usize) -> Result<SignedIn> {
    let site = stage.site.url("wiki", "/")?;
    let host = site.host_str().context("the app has a host")?;
    let port = ports::free()?;
    let file = |name: &str| folder.join(name).display().to_string();
    let users = json!({ "users": { ALICE.login: {
        "displayname": "Alice",
        "password": PASSWORD_OF_ALICE,
        "email": "alice@example.com",
        "groups": ["staff", "admins"],
    } } });
    fs::write(file("users.yml"), users.to_string())?;
    let config = json!({
        "jwt_secret": SECRET,
        "server": { "host": "127.0.0.1", "port": port },
        "log": { "level": "error" },
        "ntp": { "disable_startup_check": true },
        "authentication_backend": { "file": { "path": file("users.yml") } },
        "access_control": { "default_policy": "one_factor" },
        "session": { "domain": host, "secret": SECRET, "expiration": "4h", "inactivity": "4h" },
        "regulation": { "max_retries": 0 },
        "storage": {
            "encryption_key": SECRET,
            "local": { "path": file("db.sqlite3") },
        },
        "notifier": { "filesystem": { "filename": file("notifications.txt") } },
    });
    // It reads YAML, which JSON is.
    fs::write(file("configuration.yml"), config.to_string())?;
    let mut command = Command::new(program);
    command.arg("--config").arg(file("configuration.yml"));
    let process = start(Given::Authelia, &command, folder, port)?;
    let settings = json!({
        // As its documentation shows it. With `false`, Traefik would say that the site has no TLS.
        // The entry point trusts every `X-Forwarded-*` here, so that a client could choose the path that
        // is decided on: safe only since the bench is the one client.
        "trustForwardHeader": true,
        "authResponseHeaders": ["Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email"],
    });
    let path = "/api/verify?rd=https%3A%2F%2Fauth.example.com%2F";
    let contender = Given::Authelia.contender(stage, port, path, &settings)?;
    // It knows only sites with TLS.
    let contender = contender.behind_tls();
    let url = Url::parse(&format!("http://127.0.0.1:{port}/api/firstfactor"))?;
    let begun = std::time::Instant::now();
    let sign_in = |_| -> Result<String> {
        let login = json!({ "username": ALICE.login, "password": ALICE.password });
        let request = Client::new()?
            .fetch(Method::POST, &url)
            .header("Content-Type", "application/json")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", host)
            .body(login.to_string());
        let answer = request.send()?;
        ensure!(
            answer.status().is_success(),
            "the sign-in: {}",
            answer.status()
        );
        let cookie = answer
            .headers()
            .get(SET_COOKIE)
            .context("a cookie")?
            .to_str()?;
        let session = cookie.split(';').next().unwrap_or_default();
        if !session.starts_with("authelia_session=") {
            bail!("no session in the answer to a sign-in");
        }
        Ok(format!("theme=dark; {session}; lang=en"))
    };
    let cookies = (0..sessions).map(sign_in).collect::<Result<Vec<_>>>()?;
    let per_second = stage::per_second(sessions, begun.elapsed());
    Ok((process, contender, cookies, per_second))
}

/// The password of Alice as Authelia has it.
const PASSWORD_OF_ALICE: &str = "$6$rounds=1000$HtY5l0c/KQ75P2Qe$\
    p0uBoWLqBTEy9T3NCPZ.Q1vLNzbyHsSvO7evGkpGjcfIUgZy/6I2Ik/zuJj6NSqRLOIYPVa0sRl6xMK/XxJcn1";

fn issuer(stage: &Stage) -> String {
    format!("http://127.0.0.1:{}", stage.site.ports().provider)
}

/// Starts a program and waits until it answers a client that has not signed in.
fn start(given: Given, command: &Command, folder: &Path, port: u16) -> Result<Process> {
    let log = folder.join(format!("{port}.log"));
    let mut process = Process::spawn(given.program(), command, &log)?;
    let (path, status) = match given {
        Given::ThomSeddon => ("/", 307),
        Given::VouchProxy => ("/validate", 401),
        Given::Authelia => ("/api/verify", 401),
    };
    let headers = [
        "Host: app.localhost",
        "X-Forwarded-Method: GET",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: app.localhost",
        "X-Forwarded-Uri: /",
    ];
    let ready = process.ready(START_LIMIT, || {
        let answer = raw_http::ask(port, path, &headers.map(str::to_owned));
        answer.is_ok_and(|answer| answer.status == status)
    });
    ready.with_context(|| process.output())?;
    Ok(process)
}
