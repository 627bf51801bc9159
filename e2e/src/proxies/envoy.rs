use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::programs::Service;
use crate::settings;
use crate::site::Site;
use crate::tools::{self, Tool as _};

/// Envoy with a bootstrap configuration of `deploy/`.
#[derive(Clone, Copy, Debug)]
pub struct Envoy;

impl Envoy {
    /// Starts Envoy and waits until it protects these hosts.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(site: &Site, file: &str, hosts: &[&str]) -> Result<Service> {
        Self::start_with(site, file, &[], hosts)
    }

    /// Starts Envoy as [`Self::start`] does, with changes of the file.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start_with(
        site: &Site,
        file: &str,
        changes: &[(&str, &str)],
        hosts: &[&str],
    ) -> Result<Service> {
        let folder = site.folder().join("envoy");
        fs::create_dir_all(&folder)?;
        let ports = site.ports();
        // Envoy has addresses and ports apart.
        let mut text = site
            .fitted(file, changes)?
            .replace("address: 0.0.0.0,", "address: 127.0.0.1,");
        for (shown, actual) in [
            (80, ports.web),
            (8000, ports.wiki),
            (8001, ports.files),
            (9000, ports.outpost),
        ] {
            let port = |port: u16| format!("port_value: {port} ");
            text = text.replace(&port(shown), &port(actual));
        }
        let config: Value =
            serde_saphyr::from_str(&text).with_context(|| format!("parse {file}"))?;
        let path = folder.join("envoy.json");
        settings::write(&path, &config)?;
        let mut command = Command::new(tools::Envoy.locate()?);
        command
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--config-path",
            ])
            .arg(&path);
        site.front("envoy", command, hosts)
    }
}
