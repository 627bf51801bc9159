use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::service::Service;
use crate::settings;
use crate::site::Site;
use crate::tools::{self, Tool as _};

/// Envoy with a bootstrap configuration of `testdata/`.
#[derive(Clone, Copy, Debug)]
pub struct Envoy;

impl Envoy {
    /// Starts Envoy and waits until it protects these hosts.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(site: &Site, file: &str, hosts: &[&str]) -> Result<Service> {
        let folder = site.folder().join("envoy");
        fs::create_dir_all(&folder)?;
        let ports = site.ports();
        let further = [
            (
                "0.0.0.0, port_value: 80 ",
                format!("127.0.0.1, port_value: {} ", ports.web),
            ),
            ("port_value: 8000 ", format!("port_value: {} ", ports.wiki)),
            ("port_value: 8001 ", format!("port_value: {} ", ports.files)),
            (
                "port_value: 9000 ",
                format!("port_value: {} ", ports.outpost),
            ),
        ];
        let further: Vec<(&str, &str)> = further
            .iter()
            .map(|(shown, actual)| (*shown, actual.as_str()))
            .collect();
        let text = site.fitted(file, &further)?;
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
