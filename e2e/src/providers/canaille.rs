use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use url::Url;

use super::{Credentials, Provider, Registration, api, logs};
use crate::clients::{Client, Journey};
use crate::programs::{Service, ports};
use crate::tools::{PythonPackage, Tool as _, output, run};
use crate::until;
use crate::users::{ALICE, BOB, User};

/// For a second to pass on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// Canaille with a database in a file.
#[derive(Debug)]
pub struct Canaille {
    service: Service,
    issuer: Url,
    client: Client,
    python: PathBuf,
    data: TempDir,
}

impl Canaille {
    /// Starts it with two users, and with clients that register themselves.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start() -> Result<Self> {
        let python = PythonPackage::CANAILLE.locate()?;
        let data = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        let port = ports::free()?;
        let issuer = Url::parse(&format!("http://127.0.0.1:{port}"))?;
        let mut command = canaille(&python, data.path());
        command.args(["run", "--bind", &format!("127.0.0.1:{port}")]);
        let service = Service::new("canaille", command, &logs("canaille")).answering(
            issuer.join(".well-known/openid-configuration")?,
            StatusCode::OK,
        );
        let canaille = Self {
            service,
            issuer,
            client: Client::new()?,
            python,
            data,
        };
        canaille.configure()?;
        canaille.set_up()?;
        canaille.service.start()?;
        Ok(canaille)
    }

    /// Writes the configuration, with a new key.
    fn configure(&self) -> Result<()> {
        let mut create = canaille(&self.python, self.data.path());
        // The configuration is what this is for.
        create.env_remove("CANAILLE_CONFIG");
        let key = output(create.args(["jwk", "create", "rsa"]))?;
        let key: Map<String, Value> = serde_json::from_str(&key)?;
        // JSON's texts are TOML's.
        let members: Vec<String> = key
            .iter()
            .map(|(name, v)| format!("{name} = {v}"))
            .collect();
        let (address, key) = (self.issuer.authority(), members.join(", "));
        let database = self.data.path().join("db").display().to_string();
        let text = format!(
            r#"SECRET_KEY = "secret-of-the-tests-on-loopback"
SERVER_NAME = "{address}"
PREFERRED_URL_SCHEME = "http"

[CANAILLE]
DATABASE = "sql"
JAVASCRIPT = false
HTMX = false
CAPTCHA_ENABLED = false

[CANAILLE_SQL]
DATABASE_URI = "sqlite:///{database}"

[CANAILLE_OIDC]
DYNAMIC_CLIENT_REGISTRATION_OPEN = true
ACTIVE_JWKS = [{{ {key} }}]

[CANAILLE_OIDC.USERINFO_MAPPING]
PREFERRED_USERNAME = "{{{{ user.user_name }}}}"
"#
        );
        Ok(fs::write(configuration(self.data.path()), text)?)
    }

    fn set_up(&self) -> Result<()> {
        let run =
            |arguments: &[&str]| run(canaille(&self.python, self.data.path()).args(arguments));
        run(&["install"])?;
        for User { login, password } in [ALICE, BOB] {
            run(&[
                "create",
                "user",
                "--user-name",
                login,
                "--password",
                password,
                "--family-name",
                login,
                "--formatted-name",
                login,
                "--emails",
                &format!("{login}@example.com"),
            ])?;
        }
        let group = ["create", "group", "--display-name"];
        let members = ["--members", ALICE.login];
        run(&[&group[..], &["admins"], &members].concat())?;
        let both = ["--members", BOB.login];
        run(&[&group[..], &["staff"], &members, &both].concat())
    }

    /// Consents, where the provider asks for that.
    fn consent(browser: &Client, journey: Journey) -> Result<Journey> {
        if journey.shows("button#accept")? {
            return browser.press(journey, "button#accept");
        }
        Ok(journey)
    }
}

fn configuration(data: &Path) -> PathBuf {
    data.join("canaille.toml")
}

/// Canaille's program with its configuration.
fn canaille(python: &Path, data: &Path) -> Command {
    let mut command = Command::new(python);
    // The script names a Python that may have been moved since.
    command.arg(python.with_file_name("canaille"));
    // It looks for files of its own in the folder where it is started, and below.
    command
        .current_dir(data)
        .env("CANAILLE_CONFIG", configuration(data));
    command
}

impl Provider for Canaille {
    fn service(&self) -> &Service {
        &self.service
    }

    fn issuer(&self, _registration: &Registration) -> String {
        // Without the slash that `Url` has at the end.
        self.issuer.origin().ascii_serialization()
    }

    /// Registers the client as it could by itself (RFC 7591): so it is of its own audience.
    fn register(&self, registration: &Registration) -> Result<Credentials> {
        let mut grants = vec!["authorization_code"];
        if registration.refresh_tokens {
            grants.push("refresh_token");
        }
        let client = json!({
            "client_name": registration.client_id,
            "redirect_uris": registration.redirect_uris(),
            "post_logout_redirect_uris": registration.post_logout_redirect_uris(),
            "grant_types": grants,
            "response_types": ["code"],
            "scope": "openid profile email groups",
            "token_endpoint_auth_method": "client_secret_basic",
        });
        let url = self.issuer.join("oauth/register")?;
        let answer = api::send(self.client.bare(Method::POST, &url), Some(&client))?.json()?;
        let text = |name: &str| {
            let text = answer.get(name).and_then(Value::as_str).map(str::to_owned);
            text.with_context(|| format!("no {name}"))
        };
        Ok(Credentials {
            client_id: text("client_id")?,
            client_secret: text("client_secret")?,
        })
    }

    fn sign_in(&self, browser: &Client, page: &Url, user: &User) -> Result<Journey> {
        let journey = browser.open(page)?;
        let journey = browser.fill_in(journey, "input#login", user)?;
        let journey = browser.fill_in(journey, "input#password", user)?;
        Self::consent(browser, journey)
    }

    fn open(&self, browser: &Client, page: &Url) -> Result<Journey> {
        // Two of its access tokens for one user, client and second are the same, which its database
        // refuses.
        let begun = Instant::now();
        until("a second to pass", PATIENCE, || {
            Ok((begun.elapsed() > Duration::from_secs(1)).then_some(()))
        })?;
        Self::consent(browser, browser.open(page)?)
    }

    fn asks_to_sign_in(&self, _browser: &Client, journey: &Journey) -> Result<bool> {
        journey.shows("input#login")
    }

    fn confirm_sign_out(&self, browser: &Client, journey: Journey) -> Result<Journey> {
        if journey.shows("button[value=logout]")? {
            return browser.press(journey, "button[value=logout]");
        }
        Ok(journey)
    }

    fn end_session(&self, browser: &Client) -> Result<()> {
        browser.open(&self.issuer.join("logout")?)?;
        Ok(())
    }

    fn change_signing_key(&self) -> Result<()> {
        self.service.stop();
        self.configure()?;
        self.service.start()
    }
}
