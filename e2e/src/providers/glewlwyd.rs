use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use rcgen::KeyPair;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::{CLIENT_SECRET, Credentials, Provider, Registration, api, logs};
use crate::clients::{Client, Journey};
use crate::programs::{Service, ports};
use crate::tools::{self, Tool as _, run};
use crate::users::{ALICE, BOB, User};

/// The name of the plugin of Glewlwyd that is the OpenID provider.
const PLUGIN: &str = "oidc";

/// The cookie with the session's id at the provider.
const SESSION_COOKIE: &str = "GLEWLWYD2_OIDC_SID";

const SCOPES: [&str; 4] = ["openid", "profile", "email", "groups"];

/// Glewlwyd with a database in a file. Its pages are made by script: what a user does there is, in
/// the tests, the requests that these scripts send.
#[derive(Debug)]
pub struct Glewlwyd {
    service: Service,
    origin: Url,
    /// Signed in as the administrator.
    client: Client,
    /// Held while something is written: two changes at once are too many for it.
    writing: Mutex<()>,
    /// What writes into the database.
    sqlite: PathBuf,
    data: TempDir,
}

impl Glewlwyd {
    /// Starts it with an administrator, two users and the plugin for OpenID Connect.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start() -> Result<Self> {
        let files = tools::Glewlwyd.locate()?;
        let data = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        let database = database(data.path());
        let mut make = Command::new(&files.sqlite);
        run(make.arg(&database).stdin(File::open(&files.tables)?))?;
        let port = ports::free()?;
        let config = data.path().join("glewlwyd.conf");
        let text = format!(
            r#"port={port}
bind_address="127.0.0.1"
external_url="http://127.0.0.1:{port}"
api_prefix="api"
login_url="login.html"
log_mode="console"
log_level="INFO"
session_key="GLEWLWYD2_SESSION_ID"
allow_multiple_user_per_session=true
login_api_enabled=true
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
static_files_path="/usr/share/glewlwyd/webapp"
static_files_mime_types=({{ extension=".html"; mime_type="text/html"; }})
database={{ type="sqlite3"; path="{}"; }};
"#,
            database.display()
        );
        fs::write(&config, text)?;
        let mut command = Command::new(&files.program);
        command.arg(format!("--config-file={}", config.display()));
        let origin = Url::parse(&format!("http://127.0.0.1:{port}"))?;
        let service = Service::new("glewlwyd", command, &logs("glewlwyd"))
            .answering(origin.join("config")?, StatusCode::OK);
        service.start()?;
        let glewlwyd = Self {
            service,
            origin,
            client: Client::new()?,
            writing: Mutex::default(),
            sqlite: files.sqlite,
            data,
        };
        glewlwyd.set_up()?;
        Ok(glewlwyd)
    }

    fn set_up(&self) -> Result<()> {
        // The administrator of the tables that the package brings.
        let administrator = json!({ "username": "admin", "password": "password" });
        self.administrate(Method::POST, "auth/", Some(&administrator))?;
        let many = json!({ "multiple": true, "read": true, "write": true });
        self.add_property("mod/user/database", "groups", &many)?;
        self.add_property("mod/client/database", "post_logout_redirect_uris", &many)?;
        for scope in SCOPES.iter().filter(|scope| **scope != "openid") {
            let scope = json!({
                "name": scope,
                "display_name": scope,
                "password_required": true,
                "password_max_age": 0,
                "scheme": {},
            });
            self.administrate(Method::POST, "scope/", Some(&scope))?;
        }
        for (user, groups) in [(ALICE, json!(["staff", "admins"])), (BOB, json!(["staff"]))] {
            let user = json!({
                "username": user.login,
                "password": user.password,
                "name": user.login,
                "email": format!("{}@example.com", user.login),
                "groups": groups,
                "scope": SCOPES,
                "enabled": true,
            });
            self.administrate(Method::POST, "user/", Some(&user))?;
        }
        let plugin = json!({
            "module": "oidc",
            "name": PLUGIN,
            "display_name": "OpenID Connect",
            "enabled": true,
            "parameters": self.parameters()?,
        });
        self.administrate(Method::POST, "mod/plugin/", Some(&plugin))?;
        Ok(())
    }

    /// Lets users or clients have a property of this name.
    fn add_property(&self, module: &str, name: &str, format: &Value) -> Result<()> {
        let mut settings = self.administrate(Method::GET, module, None)?;
        let change = json!({ "parameters": { "data-format": { name: format } } });
        crate::settings::merge(&mut settings, &change);
        self.administrate(Method::PUT, module, Some(&settings))?;
        self.administrate(Method::PUT, &format!("{module}/reset"), None)?;
        Ok(())
    }

    /// Returns the plugin's parameters, with a new key.
    fn parameters(&self) -> Result<Value> {
        let key = KeyPair::generate()?;
        let claim = |name: &str, property: &str, scope: &str| {
            json!({
                "name": name,
                "user-property": property,
                "type": "string",
                "mandatory": true,
                "scope": [scope],
            })
        };
        Ok(json!({
            "iss": self.issuer_text(),
            "jwt-type": "ecdsa",
            "jwt-key-size": "256",
            "key": key.serialize_pem(),
            "cert": key.public_key_pem(),
            "code-duration": 600,
            "access-token-duration": 3600,
            "refresh-token-duration": 1_209_600,
            "refresh-token-rolling": true,
            // Each refresh token serves once.
            "refresh-token-one-use": "always",
            "allow-non-oidc": false,
            "auth-type-code-enabled": true,
            "auth-type-token-enabled": false,
            "auth-type-implicit-enabled": false,
            "auth-type-password-enabled": false,
            "auth-type-client-enabled": false,
            "auth-type-refresh-enabled": true,
            "allowed-scope": SCOPES,
            "pkce-allowed": true,
            "pkce-method-plain-allowed": false,
            "jwks-show": true,
            "subject-type": "public",
            "name-claim": "mandatory",
            "name-claim-scope": ["profile"],
            "email-claim": "mandatory",
            "email-claim-scope": ["email"],
            "claims": [
                claim("groups", "groups", "groups"),
                claim("preferred_username", "username", "profile"),
            ],
            "session-management-allowed": true,
            "session-cookie-name": SESSION_COOKIE,
            "session-cookie-expiration": 2_419_200,
            "front-channel-logout-allowed": false,
            "back-channel-logout-allowed": true,
        }))
    }

    fn issuer_text(&self) -> String {
        format!("{}api/{PLUGIN}", self.origin)
    }

    fn administrate(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        self.ask(&self.client, method, path, body)
    }

    /// Sends what a script of a page sends.
    fn ask(
        &self,
        browser: &Client,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let url = self.origin.join("api/")?.join(path)?;
        let answer = api::send(browser.fetch(method, &url), body)?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        answer.json()
    }

    /// Does what the page for sign-in does with a signed-in user: grants the scopes, and goes on.
    fn go_on(&self, browser: &Client, journey: &Journey) -> Result<Journey> {
        let mut query = self.parameters_of_page(journey)?;
        let mut take = |name: &str| query.remove(name).with_context(|| format!("no {name}"));
        let grant = format!("auth/grant/{}", take("client_id")?);
        let scopes = json!({ "scope": take("scope")? });
        self.ask(browser, Method::PUT, &grant, Some(&scopes))?;
        let mut next = Url::parse(&take("callback_url")?)?;
        next.query_pairs_mut().append_key_only("g_continue");
        browser.open(&next)
    }

    fn parameters_of_page(&self, journey: &Journey) -> Result<BTreeMap<String, String>> {
        let url = &journey.landed.url;
        if !self.is_page(journey) {
            bail!(
                "not at a page of the provider: {journey}\n{:.2000}",
                journey.landed.body
            );
        }
        Ok(url.query_pairs().into_owned().collect())
    }

    /// Whether a journey has ended at the page that signs users in and out.
    fn is_page(&self, journey: &Journey) -> bool {
        let url = &journey.landed.url;
        url.origin() == self.origin.origin() && url.path() == "/login.html"
    }

    /// Does what the page for sign-out does.
    fn end(&self, browser: &Client, session: &str) -> Result<()> {
        let path = format!("{PLUGIN}/session/{session}");
        self.ask(browser, Method::DELETE, &path, None)?;
        self.ask(browser, Method::DELETE, "auth/", None)?;
        Ok(())
    }
}

fn database(data: &Path) -> PathBuf {
    data.join("db")
}

impl Provider for Glewlwyd {
    fn service(&self) -> &Service {
        &self.service
    }

    fn issuer(&self, _registration: &Registration) -> String {
        self.issuer_text()
    }

    fn gives_every_client_refresh_tokens(&self) -> bool {
        true
    }

    fn register(&self, registration: &Registration) -> Result<Credentials> {
        let mut grants = vec!["code"];
        if registration.refresh_tokens {
            grants.push("refresh_token");
        }
        let client = json!({
            "client_id": registration.client_id,
            "name": registration.client_id,
            "confidential": true,
            "client_secret": CLIENT_SECRET,
            "redirect_uri": registration.redirect_uris(),
            "post_logout_redirect_uris": registration.post_logout_redirect_uris(),
            "authorization_type": grants,
            "token_endpoint_auth_method": ["client_secret_basic"],
            "backchannel_logout_uri": registration.backchannel_logout_uri(),
            "backchannel_logout_session_required": "true",
            "scope": [],
            "enabled": true,
        });
        self.administrate(Method::POST, "client/", Some(&client))?;
        Ok(registration.credentials())
    }

    fn sign_in(&self, browser: &Client, page: &Url, user: &User) -> Result<Journey> {
        let journey = browser.open(page)?;
        let login = json!({ "username": user.login, "password": user.password });
        self.ask(browser, Method::POST, "auth/", Some(&login))?;
        self.go_on(browser, &journey)
    }

    fn open(&self, browser: &Client, page: &Url) -> Result<Journey> {
        let journey = browser.open(page)?;
        if self.is_page(&journey) {
            return self.go_on(browser, &journey);
        }
        Ok(journey)
    }

    fn asks_to_sign_in(&self, browser: &Client, journey: &Journey) -> Result<bool> {
        // The page is the same for a user who is signed in.
        let users = self.origin.join("api/profile_list")?;
        let status = browser.fetch(Method::GET, &users).send()?.status();
        Ok(self.is_page(journey) && status == StatusCode::UNAUTHORIZED)
    }

    fn confirm_sign_out(&self, browser: &Client, journey: Journey) -> Result<Journey> {
        let mut query = self.parameters_of_page(&journey)?;
        self.end(browser, &query.remove("sid").context("no session")?)?;
        let back = query.remove("callback_url").context("no callback_url")?;
        browser.open(&Url::parse(&back)?)
    }

    fn end_session(&self, browser: &Client) -> Result<()> {
        let session = browser.cookie(&self.origin.join("api/oidc/auth")?, SESSION_COOKIE);
        self.end(browser, &session.context("the browser has a session")?)
    }

    fn revoke_refresh_tokens(&self) -> Result<()> {
        let mut command = Command::new(&self.sqlite);
        command.args(["-cmd", ".timeout 20000"]);
        command.arg(database(self.data.path()));
        command.arg("update gpo_refresh_token set gpor_enabled = 0;");
        run(&mut command)
    }

    fn change_signing_key(&self) -> Result<()> {
        let path = format!("mod/plugin/{PLUGIN}");
        let mut settings = self.administrate(Method::GET, &path, None)?;
        crate::settings::merge(&mut settings, &json!({ "parameters": self.parameters()? }));
        self.administrate(Method::PUT, &path, Some(&settings))?;
        self.administrate(Method::PUT, &format!("{path}/reset"), None)?;
        Ok(())
    }
}
