use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::{CLIENT_SECRET, Credentials, Provider, Registration, logs};
use crate::clients::{Client, Journey};
use crate::programs::{Service, ports};
use crate::tools::{GoProgram, Packaged, Tool as _, run};
use crate::users::{ALICE, BOB, User};

/// Dex with a database in a file, and its own list of users as the only connector.
#[derive(Debug)]
pub struct Dex {
    service: Service,
    issuer: Url,
    /// What writes into the database: its clients are in there, or in a file that is read once.
    sqlite: PathBuf,
    data: TempDir,
}

impl Dex {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start() -> Result<Self> {
        let program = GoProgram::DEX.locate()?;
        let sqlite = Packaged::Sqlite.locate()?;
        let data = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        let port = ports::free()?;
        let issuer = Url::parse(&format!("http://127.0.0.1:{port}/dex"))?;
        let settings = json!({
            "issuer": issuer.as_str(),
            "storage": { "type": "sqlite3", "config": { "file": data.path().join("db") } },
            "web": { "http": format!("127.0.0.1:{port}") },
            "oauth2": { "skipApprovalScreen": true },
            "enablePasswordDB": true,
            "staticPasswords": [password(ALICE)?, password(BOB)?],
        });
        let config = data.path().join("config.json");
        // It reads YAML, which JSON is.
        fs::write(&config, settings.to_string())?;
        let mut command = Command::new(program);
        command.arg("serve").arg(&config);
        let service = Service::new("dex", command, &logs("dex")).answering(
            Url::parse(&format!("{issuer}/.well-known/openid-configuration"))?,
            StatusCode::OK,
        );
        service.start()?;
        Ok(Self {
            service,
            issuer,
            sqlite,
            data,
        })
    }

    fn execute(&self, statement: &str) -> Result<()> {
        let mut command = Command::new(&self.sqlite);
        command.args(["-cmd", ".timeout 20000"]);
        command.arg(self.data.path().join("db")).arg(statement);
        run(&mut command)
    }
}

/// Dex knows users by their addresses.
fn address(user: User) -> Result<&'static str> {
    match user {
        ALICE => Ok("alice@example.com"),
        BOB => Ok("bob@example.com"),
        User { login, .. } => bail!("Dex has no user {login}"),
    }
}

fn password(user: User) -> Result<Value> {
    // By bcrypt, as Dex wants them.
    let (hash, groups) = match user {
        ALICE => (
            "$2b$10$abcdefghijklmnopqrstuuwmjOOgyx/jknFqeF8sHrF2cGgSECl/q",
            json!(["staff", "admins"]),
        ),
        _ => (
            "$2b$10$abcdefghijklmnopqrstuuk5x0xM4LjSJMaOVU8l/EbT/G5t48ddC",
            json!(["staff"]),
        ),
    };
    Ok(json!({
        "email": address(user)?,
        "hash": hash,
        "username": user.login,
        "preferredUsername": user.login,
        "userID": format!("id-of-{}", user.login),
        "groups": groups,
    }))
}

/// A text of SQL. The tests put nothing into it that has to be escaped.
fn text(value: &str) -> Result<String> {
    if value.contains('\'') {
        bail!("{value} cannot be written into a statement");
    }
    Ok(format!("'{value}'"))
}

impl Provider for Dex {
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
        json!({ "scopes": scopes, "signOut": "local" })
    }

    fn register(&self, registration: &Registration) -> Result<Credentials> {
        let redirect_uris = serde_json::to_string(&registration.redirect_uris())?;
        self.execute(&format!(
            "insert into client (id, secret, redirect_uris, trusted_peers, public, name, logo_url) \
             values ({id}, {secret}, cast({redirect_uris} as blob), cast('null' as blob), 0, {id}, '');",
            id = text(&registration.client_id)?,
            secret = text(CLIENT_SECRET)?,
            redirect_uris = text(&redirect_uris)?,
        ))?;
        Ok(registration.credentials())
    }

    fn remembers_users(&self) -> bool {
        false
    }

    fn fill_in(&self, browser: &Client, journey: Journey, user: &User) -> Result<Journey> {
        let user = User {
            login: address(*user)?,
            ..*user
        };
        browser.fill_in(journey, "input[type=password]", &user)
    }

    fn end_session(&self, _browser: &Client) -> Result<()> {
        bail!("Dex has no sessions")
    }

    fn change_signing_key(&self) -> Result<()> {
        self.service.stop();
        self.execute("delete from keys;")?;
        self.service.start()
    }
}
