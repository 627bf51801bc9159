use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Tool, apt, on_path};

/// A proxy that Debian has a package of. `GATEPOST_` and its name in capitals names another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packaged {
    /// nginx, for its `auth_request`.
    Nginx,
    /// Caddy, for its `forward_auth`.
    Caddy,
    /// HAProxy with Lua.
    Haproxy,
}

impl Packaged {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nginx, Self::Caddy, Self::Haproxy];

    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Nginx => "nginx-light",
            Self::Caddy | Self::Haproxy => self.program(),
        }
    }
}

impl Tool for Packaged {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("{} (Debian: {})", self.program(), self.package())
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        let variable = format!("GATEPOST_{}", self.program().to_uppercase());
        if let Some(path) = env::var_os(variable) {
            return Ok(Some(path.into()));
        }
        // Where servers are, which is not on everyone's path.
        let server = Path::new("/usr/sbin").join(self.program());
        Ok(on_path(self.program()).or_else(|| server.is_file().then_some(server)))
    }

    fn install(&self) -> Result<()> {
        apt::install(&[self.package()])
    }
}
