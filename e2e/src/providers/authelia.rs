use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::{CLIENT_SECRET, Credentials, Provider, Registration, api, logs};
use crate::certificates::write_certificates;
use crate::clients::{Client, Journey};
use crate::programs::{Service, ports};
use crate::tools::{GoProgram, Tool as _, run};
use crate::users::{ALICE, BOB, User};

/// Where its pages ask for consent: older releases end the path there.
const CONSENT_PAGE: &str = "/consent";

/// Authelia with TLS, a database in a file and a file of users. Its pages are made by script: what a
/// user does there is, in the tests, the requests that these scripts send.
#[derive(Debug)]
pub struct Authelia {
    service: Service,
    program: PathBuf,
    origin: Url,
    /// The clients that the configuration lists.
    clients: Mutex<Vec<Value>>,
    data: TempDir,
}

impl Authelia {
    /// Starts it with two users.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start() -> Result<Self> {
        let program = GoProgram::AUTHELIA.locate()?;
        let data = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        let origin = Url::parse(&format!("https://127.0.0.1:{}", ports::free()?))?;
        write_certificates(data.path(), &[("server", &["127.0.0.1"])])?;
        fs::write(data.path().join("users.yml"), users().to_string())?;
        let mut command = Command::new(&program);
        command.arg("--config").arg(configuration(data.path()));
        let service = Service::new("authelia", command, &logs("authelia")).answering(
            origin.join(".well-known/openid-configuration")?,
            StatusCode::OK,
        );
        let authelia = Self {
            service,
            program,
            origin,
            clients: Mutex::default(),
            data,
        };
        authelia.create_signing_key()?;
        // It wants a client to be an OpenID provider.
        authelia.add(client("unused", &json!([]), true))?;
        authelia.service.start()?;
        Ok(authelia)
    }

    fn create_signing_key(&self) -> Result<()> {
        let mut create = Command::new(&self.program);
        create.args(["crypto", "pair", "rsa", "generate", "--directory"]);
        run(create.arg(self.data.path()))
    }

    /// Writes the configuration with one more client.
    fn add(&self, client: Value) -> Result<()> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.push(client);
        self.configure(&clients)
    }

    /// Writes the configuration, in the words of releases before 4.38, which later ones read too.
    fn configure(&self, clients: &[Value]) -> Result<()> {
        let file = |name: &str| self.data.path().join(name).display().to_string();
        let settings = json!({
            "jwt_secret": "secret-of-the-tests-on-loopback-for-links",
            "server": {
                "host": "127.0.0.1",
                "port": self.origin.port(),
                "tls": { "certificate": file("server.pem"), "key": file("server.key") },
            },
            "log": { "level": "debug" },
            "ntp": { "disable_startup_check": true },
            "authentication_backend": { "file": { "path": file("users.yml") } },
            "access_control": { "default_policy": "one_factor" },
            "session": {
                "domain": self.origin.host_str(),
                "secret": "secret-of-the-tests-on-loopback-for-sessions",
            },
            // All users sign in from one address, with passwords that are never wrong.
            "regulation": { "max_retries": 0 },
            "storage": {
                "encryption_key": "secret-of-the-tests-on-loopback-for-storage",
                "local": { "path": file("db.sqlite3") },
            },
            "notifier": { "filesystem": { "filename": file("notifications.txt") } },
            "identity_providers": { "oidc": {
                "hmac_secret": "secret-of-the-tests-on-loopback-for-tokens",
                "issuer_private_key": fs::read_to_string(file("private.pem"))?,
                "clients": clients,
            }},
        });
        // It reads YAML, which JSON is.
        Ok(fs::write(
            configuration(self.data.path()),
            settings.to_string(),
        )?)
    }

    /// Sends what a script of a page sends, and returns the answer's data.
    fn ask(&self, browser: &Client, path: &str, body: Option<&Value>) -> Result<Value> {
        let method = if body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let url = self.origin.join("/api/")?.join(path)?;
        let mut answer = api::send(browser.fetch(method, &url), body)?.json()?;
        if answer.pointer("/status") != Some(&json!("OK")) {
            bail!("{url} answers {answer}");
        }
        Ok(answer
            .pointer_mut("/data")
            .map(Value::take)
            .unwrap_or_default())
    }

    /// Whether a journey has ended at a page of Authelia's.
    fn is_page(&self, journey: &Journey, path: &str) -> bool {
        let url = &journey.landed.url;
        url.origin() == self.origin.origin() && url.path().starts_with(path)
    }

    /// Consents where a journey has ended at the page that asks for it.
    fn consent(&self, browser: &Client, journey: Journey) -> Result<Journey> {
        if !self.is_page(&journey, CONSENT_PAGE) {
            return Ok(journey);
        }
        let query = parameters(&journey.landed.url);
        let mut hops = journey.hops();
        let client = hops.find_map(|hop| parameters(&hop.url).remove("client_id"));
        let answer = json!({
            "client_id": client.context("the journey passed the authorization endpoint")?,
            "consent": true,
            "pre_configure": false,
            // Before 4.38, and since.
            "id": query.get("id"),
            "flow_id": query.get("flow_id"),
        });
        let data = self.ask(browser, "oidc/consent", Some(&answer))?;
        browser.open(&target(&data, "/redirect_uri")?)
    }
}

fn configuration(data: &Path) -> PathBuf {
    data.join("configuration.yml")
}

fn users() -> Value {
    let user = |login: &str, hash: &str, groups: &[&str]| {
        json!({
            "displayname": login,
            "password": hash,
            "email": format!("{login}@example.com"),
            "groups": groups,
        })
    };
    json!({ "users": {
        ALICE.login: user(
            ALICE.login,
            "$6$rounds=1000$HtY5l0c/KQ75P2Qe$p0uBoWLqBTEy9T3NCPZ.Q1vLNzbyHsSvO7evGkpGjcfIUgZy/6I2Ik/zuJj6NSqRLOIYPVa0sRl6xMK/XxJcn1",
            &["staff", "admins"],
        ),
        BOB.login: user(
            BOB.login,
            "$6$rounds=1000$1LO1izZwClVgLHC.$nEOQX.6MaOS2SQAGVL58oSeaiuDtdwcZB9CaurOIIPOILfdCVmMYG17Yp4OK2UAoCjEZXzI8WRDw3WYIrv1.O1",
            &["staff"],
        ),
    }})
}

fn client(id: &str, redirect_uris: &Value, refresh_tokens: bool) -> Value {
    let mut scopes = vec!["openid", "profile", "email", "groups"];
    let mut grants = vec!["authorization_code"];
    if refresh_tokens {
        scopes.push("offline_access");
        grants.push("refresh_token");
    }
    json!({
        "id": id,
        "description": id,
        "secret": format!("$plaintext${CLIENT_SECRET}"),
        "authorization_policy": "one_factor",
        "consent_mode": "implicit",
        "redirect_uris": redirect_uris,
        // Without it, releases before 4.38 refuse every refresh token.
        "audience": [id],
        "scopes": scopes,
        "grant_types": grants,
        "response_types": ["code"],
    })
}

fn parameters(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// Returns the URL that a script sends the browser to.
fn target(data: &Value, pointer: &str) -> Result<Url> {
    let target = data.pointer(pointer).and_then(Value::as_str);
    Ok(Url::parse(
        target.with_context(|| format!("no {pointer} in {data}"))?,
    )?)
}

impl Provider for Authelia {
    fn service(&self) -> &Service {
        &self.service
    }

    fn issuer(&self, _registration: &Registration) -> String {
        self.origin.origin().ascii_serialization()
    }

    fn settings(&self, registration: &Registration) -> Value {
        let mut scopes = vec!["openid", "profile", "email", "groups"];
        if registration.refresh_tokens {
            scopes.push("offline_access");
        }
        json!({
            "scopes": scopes,
            "signOut": "local",
            "caFile": self.data.path().join("authority.pem"),
        })
    }

    /// Registers a client. Authelia reads its clients once, so it is restarted, and forgets who is
    /// signed in.
    fn register(&self, registration: &Registration) -> Result<Credentials> {
        let redirect_uris = json!(registration.redirect_uris());
        self.add(client(
            &registration.client_id,
            &redirect_uris,
            registration.refresh_tokens,
        ))?;
        self.service.stop();
        self.service.start()?;
        Ok(registration.credentials())
    }

    fn sign_in(&self, browser: &Client, page: &Url, user: &User) -> Result<Journey> {
        let journey = browser.open(page)?;
        if !self.is_page(&journey, "/") {
            bail!(
                "not at a page of the provider: {journey}\n{:.2000}",
                journey.landed.body
            );
        }
        let query = parameters(&journey.landed.url);
        let login = json!({
            "username": user.login,
            "password": user.password,
            "keepMeLoggedIn": false,
            "targetURL": query.get("rd"),
            // Before 4.38, and since.
            "workflow": query.get("workflow"),
            "workflowID": query.get("workflow_id"),
            "flow": query.get("flow"),
            "flowID": query.get("flow_id"),
        });
        let data = self.ask(browser, "firstfactor", Some(&login))?;
        let journey = browser.open(&target(&data, "/redirect")?)?;
        self.consent(browser, journey)
    }

    fn open(&self, browser: &Client, page: &Url) -> Result<Journey> {
        let journey = browser.open(page)?;
        self.consent(browser, journey)
    }

    fn asks_to_sign_in(&self, browser: &Client, journey: &Journey) -> Result<bool> {
        // The page is the same for a user who is signed in.
        let state = self.ask(browser, "state", None)?;
        let anonymous = state.pointer("/authentication_level") == Some(&json!(0));
        Ok(self.is_page(journey, "/") && anonymous)
    }

    fn end_session(&self, browser: &Client) -> Result<()> {
        self.ask(browser, "logout", Some(&json!({}))).map(drop)
    }

    fn change_signing_key(&self) -> Result<()> {
        self.create_signing_key()?;
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        self.configure(&clients)?;
        self.service.stop();
        self.service.start()
    }
}
