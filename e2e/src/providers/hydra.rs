//! Ory Hydra, with the application that it leaves to its operator.

#![allow(
    clippy::indexing_slicing,
    reason = "a member that is missing from a JSON value is null"
)]

mod login;

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use self::login::LoginApplication;
use super::{CLIENT_SECRET, Credentials, Provider, Registration, api, logs};
use crate::clients::Client;
use crate::programs::{Process, Service, ports};
use crate::tools::{GoProgram, Tool as _};

/// For all tables to be made, on a machine that is busy with other tests.
const MIGRATION_LIMIT: Duration = Duration::from_secs(120);

/// The key set that ID tokens are signed with.
const KEY_SET: &str = "hydra.openid.id-token";

/// Hydra with a database in a file.
#[derive(Debug)]
pub struct Hydra {
    service: Service,
    issuer: Url,
    admin: Url,
    client: Client,
    _login: LoginApplication,
    _data: TempDir,
}

impl Hydra {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start() -> Result<Self> {
        let program = GoProgram::HYDRA.locate()?;
        let data = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        let (public, admin_port, login) = (ports::free()?, ports::free()?, ports::free()?);
        let at = |port: u16| Url::parse(&format!("http://127.0.0.1:{port}/"));
        let (issuer, admin) = (at(public)?, at(admin_port)?);
        let environment = [
            (
                "DSN",
                format!("sqlite://{}?_fk=true", data.path().join("db").display()),
            ),
            ("SECRETS_SYSTEM", "system-secret-of-the-tests".to_owned()),
            ("URLS_SELF_ISSUER", issuer.to_string()),
            ("URLS_LOGIN", at(login)?.join("login")?.into()),
            ("URLS_CONSENT", at(login)?.join("consent")?.into()),
            ("URLS_LOGOUT", at(login)?.join("logout")?.into()),
            ("SERVE_PUBLIC_HOST", "127.0.0.1".to_owned()),
            ("SERVE_PUBLIC_PORT", public.to_string()),
            ("SERVE_ADMIN_HOST", "127.0.0.1".to_owned()),
            ("SERVE_ADMIN_PORT", admin_port.to_string()),
            // It would report to its makers.
            ("SQA_OPT_OUT", "true".to_owned()),
        ];
        let command = |arguments: &[&str]| {
            let mut command = Command::new(&program);
            command.args(arguments).envs(environment.clone());
            command
        };
        let logs = logs("hydra");
        let migrate = command(&["migrate", "sql", "--read-from-env", "--yes"]);
        let mut migration = Process::spawn("hydra-migrate", &migrate, &logs.join("migrate.log"))?;
        ensure!(
            migration.finish(MIGRATION_LIMIT)?.success(),
            migration.output()
        );
        // `--dev`: its issuer is not https.
        let service = Service::new("hydra", command(&["serve", "all", "--dev"]), &logs)
            .answering(admin.join("health/ready")?, StatusCode::OK);
        service.start()?;
        Ok(Self {
            service,
            _login: LoginApplication::start(login, admin.clone())?,
            issuer,
            admin,
            client: Client::new()?,
            _data: data,
        })
    }

    fn administrate(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let request = self.client.bare(method, &self.admin.join(path)?);
        let answer = api::send(request, body)?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        answer.json()
    }
}

impl Provider for Hydra {
    fn service(&self) -> &Service {
        &self.service
    }

    fn issuer(&self, _registration: &Registration) -> String {
        self.issuer.to_string()
    }

    fn settings(&self, registration: &Registration) -> Value {
        let mut scopes = vec!["openid", "profile", "email", "groups"];
        if registration.refresh_tokens {
            scopes.push("offline_access");
        }
        json!({ "scopes": scopes })
    }

    fn register(&self, registration: &Registration) -> Result<Credentials> {
        let client = json!({
            "client_id": registration.client_id,
            "client_secret": CLIENT_SECRET,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "scope": "openid profile email groups offline_access",
            "redirect_uris": registration.redirect_uris(),
            "post_logout_redirect_uris": registration.post_logout_redirect_uris(),
            "backchannel_logout_uri": registration.backchannel_logout_uri(),
            "backchannel_logout_session_required": true,
        });
        self.administrate(Method::POST, "admin/clients", Some(&client))?;
        Ok(registration.credentials())
    }

    fn end_session(&self, browser: &Client) -> Result<()> {
        let journey = browser.open(&self.issuer.join("oauth2/sessions/logout")?)?;
        ensure!(
            journey.passed("/logout"),
            "not asked to sign out: {journey}"
        );
        Ok(())
    }

    fn change_signing_key(&self) -> Result<()> {
        let path = format!("admin/keys/{KEY_SET}");
        let before = self.administrate(Method::GET, &path, None)?;
        let new = json!({ "alg": "RS256", "use": "sig", "kid": "of-the-tests" });
        self.administrate(Method::POST, &path, Some(&new))?;
        let keys = before["keys"].as_array().into_iter().flatten();
        for id in keys.filter_map(|key| key["kid"].as_str()) {
            self.administrate(Method::DELETE, &format!("{path}/{id}"), None)?;
        }
        Ok(())
    }
}
