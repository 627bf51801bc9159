use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::programs::Service;
use crate::site::Site;
use crate::tools::{Packaged, Tool as _};

/// Caddy with a Caddyfile of `deploy/`.
#[derive(Clone, Copy, Debug)]
pub struct Caddy;

impl Caddy {
    /// Starts Caddy and waits until it protects these hosts.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(site: &Site, file: &str, hosts: &[&str]) -> Result<Service> {
        Self::start_with(site, file, &[], hosts)
    }

    /// Starts Caddy as [`Self::start`] does, with changes of the file.
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
        let folder = site.folder().join("caddy");
        fs::create_dir_all(&folder)?;
        let options = "{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n\n";
        let config = format!("{options}{}", site.fitted(file, changes)?);
        let path = folder.join("Caddyfile");
        fs::write(&path, config)?;
        let mut command = Command::new(Packaged::Caddy.locate()?);
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&path)
            .env("HOME", &folder)
            .env("XDG_DATA_HOME", &folder)
            .env("XDG_CONFIG_HOME", &folder);
        site.front("caddy", command, hosts)
    }
}
