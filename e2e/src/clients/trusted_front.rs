//! TLS in front of a proxy, with a certificate that a Chromium trusts.
//!
//! Browsers bind sessions to devices only over a connection that they trust: with a certificate whose
//! errors they are set to ignore, they do nothing and say nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::write_certificates;
use crate::programs::ports;
use crate::tools::{Packaged, Tool as _, run};

/// The names that the certificate is for.
const NAMES: [&str; 2] = ["example.localhost", "*.example.localhost"];

/// A port and a certificate. The scenario itself listens there, and hands each request on.
#[derive(Debug)]
pub struct TrustedFront {
    port: u16,
    folder: TempDir,
}

impl TrustedFront {
    /// Makes an authority, a certificate of it for `example.localhost` and the hosts below, and a
    /// home for a Chromium that trusts it.
    ///
    /// # Errors
    ///
    /// When `certutil` is not installed or there is no free port.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        write_certificates(folder.path(), &[("front", &NAMES)])?;
        let front = Self {
            port: ports::free()?,
            folder,
        };
        front.make_browser_trust()?;
        Ok(front)
    }

    /// Returns the address of a host, such as `wiki`.
    pub fn origin(&self, host: &str) -> String {
        format!("https://{host}.example.localhost:{}", self.port)
    }

    /// Returns what the scenario needs to listen, and to hand requests on to this port.
    pub(crate) fn input(&self, to: u16) -> Value {
        json!({
            "port": self.port,
            "to": to,
            "auth": self.origin("auth"),
            "certificate": self.path("front.pem"),
            "key": self.path("front.key"),
            "authority": self.path("authority.pem"),
        })
    }

    /// Returns the home of a browser that trusts the certificate.
    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    fn make_browser_trust(&self) -> Result<()> {
        let database = self.home().join(".pki/nssdb");
        fs::create_dir_all(&database)?;
        let database = format!("sql:{}", database.display());
        certutil(&["-N", "-d", &database, "--empty-password"])?;
        let authority = self.path("authority.pem");
        let authority = authority.to_str().context("a path of text")?;
        let trusted = ["-t", "C,,", "-n", "gatepost-tests", "-i", authority];
        certutil(&[&["-A", "-d", &database][..], &trusted].concat())
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn certutil(arguments: &[&str]) -> Result<()> {
    run(Command::new(Packaged::Certutil.locate()?).args(arguments))
}
