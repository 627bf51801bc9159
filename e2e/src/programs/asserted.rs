//! An application that verifies assertions with a library of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::Service;
use crate::clients::{Answer, Client};
use crate::tools::{NodePackages, PythonPackage, Tool as _};
use crate::{built, forge, layout};

/// The library that an application verifies with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtLibrary {
    /// `jose` of npm.
    Jose,
    /// PyJWT of PyPI.
    PyJwt,
    /// Gatepost's own package, which has `jose` within.
    Package,
}

/// What an application expects of assertions.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Where the keys are.
    pub jwks: Url,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// `alg`.
    pub algorithm: &'static str,
}

/// The application that `docs/assertion.md` shows, until it is dropped.
#[derive(Debug)]
pub struct AssertedApp {
    _service: Service,
    url: Url,
}

impl AssertedApp {
    /// Starts it on this port.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(library: JwtLibrary, port: u16, expected: &Expected, logs: &Path) -> Result<Self> {
        let mut command = match library {
            JwtLibrary::Jose => {
                let mut command = Command::new("node");
                command.arg(NodePackages::assertion().locate()?.join("app.mjs"));
                command
            }
            JwtLibrary::Package => {
                let mut command = Command::new("node");
                command
                    .arg("examples/assertion.mjs")
                    .current_dir(built::session_js()?);
                command
            }
            JwtLibrary::PyJwt => {
                let mut command = Command::new(PythonPackage::PYJWT.locate()?);
                command.arg(layout::root().join("e2e/assertion/app.py"));
                command
            }
        };
        command
            .env("PORT", port.to_string())
            .env("JWKS_URL", expected.jwks.as_str())
            .env("ISSUER", &expected.issuer)
            .env("AUDIENCE", &expected.audience)
            .env("ALGORITHM", expected.algorithm);
        let url = Url::parse(&format!("http://127.0.0.1:{port}/"))?;
        let name = match library {
            JwtLibrary::Jose => "app-with-jose",
            JwtLibrary::PyJwt => "app-with-pyjwt",
            JwtLibrary::Package => "app-with-the-package",
        };
        // A test may start several.
        let logs = logs.join(port.to_string());
        std::fs::create_dir_all(&logs)?;
        let service =
            Service::new(name, command, &logs).answering(url.clone(), StatusCode::UNAUTHORIZED);
        service.start()?;
        Ok(Self {
            _service: service,
            url,
        })
    }

    /// Asks it with an assertion, without a proxy. Returns the claims, or why it refuses.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn ask(&self, assertion: &str) -> Result<(StatusCode, Value)> {
        let request = Client::new()?.bare(Method::GET, &self.url);
        let answer = request.header("X-Gatepost-Assertion", assertion).send()?;
        let answer = Answer::read(answer)?;
        Ok((answer.status, answer.json()?))
    }
}

/// Makes a key with `gatepost keygen`, in front of those that the file has.
///
/// # Errors
///
/// When the program fails.
pub fn new_assertion_key(file: &Path, algorithm: &str) -> Result<()> {
    let output = built::gatepost()?
        .args(["keygen", "--assertion", algorithm])
        .output()?;
    ensure!(output.status.success(), "gatepost keygen");
    let before = match file.exists() {
        true => std::fs::read_to_string(file)?,
        false => String::new(),
    };
    let text = String::from_utf8(output.stdout)? + &before;
    crate::settings::write_atomically(file, &text)
}

/// Returns the assertion that a session cookie carries.
///
/// # Errors
///
/// When it carries none.
pub fn assertion_in(cookie: &str) -> Result<String> {
    let claims = forge::claims(cookie)?;
    let assertion = claims.pointer("/ext/gatepost_assertion");
    let assertion = assertion.and_then(Value::as_str).context("an assertion")?;
    Ok(assertion.to_owned())
}

/// Returns what attackers make of an assertion and the public keys: names and tokens.
///
/// # Errors
///
/// When the script fails.
pub fn forged_assertions(assertion: &str, jwks: &Url) -> Result<Vec<(String, String)>> {
    let script: PathBuf = NodePackages::assertion().locate()?.join("forge.mjs");
    let output = Command::new("node")
        .arg(script)
        .env("TOKEN", assertion)
        .env("JWKS_URL", jwks.as_str())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout)?;
    let pairs = lines.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs
        .map(|(name, token)| (name.to_owned(), token.to_owned()))
        .collect())
}
