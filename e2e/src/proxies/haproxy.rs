use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::layout;
use crate::programs::Service;
use crate::site::Site;
use crate::tools::{Packaged, Tool as _};

/// HAProxy with a configuration of `deploy/` and the Lua action next to it.
#[derive(Clone, Copy, Debug)]
pub struct Haproxy;

impl Haproxy {
    /// Starts HAProxy and waits until it protects these hosts.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(site: &Site, file: &str, hosts: &[&str]) -> Result<Service> {
        let script = fs::read_to_string(layout::root().join("deploy/haproxy/gatepost.lua"))?;
        Self::start_with(site, file, &[], &script, hosts)
    }

    /// Starts HAProxy as [`Self::start`] does, with changes of the file and another action in Lua.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start_with(
        site: &Site,
        file: &str,
        changes: &[(&str, &str)],
        script: &str,
        hosts: &[&str],
    ) -> Result<Service> {
        let folder = site.folder().join("haproxy");
        fs::create_dir_all(&folder)?;
        let action = folder.join("gatepost.lua");
        fs::write(&action, script)?;
        let bind = format!("bind 127.0.0.1:{}", site.ports().web);
        let action = action.to_string_lossy();
        let mut further = changes.to_vec();
        further.extend([
            ("bind :80", bind.as_str()),
            ("/etc/haproxy/gatepost.lua", &*action),
        ]);
        let path = folder.join("haproxy.cfg");
        fs::write(&path, site.fitted(file, &further)?)?;
        let mut command = Command::new(Packaged::Haproxy.locate()?);
        command.args(["-db", "-f"]).arg(&path);
        site.front("haproxy", command, hosts)
    }
}
