use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Tool, apt, on_path};

/// Where the packages of nginx put its modules.
pub(crate) const NGINX_MODULES: &str = "/usr/lib/nginx/modules";

/// A program that Debian has a package of. `GATEPOST_` and its name in capitals names another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packaged {
    /// nginx, for its `auth_request`.
    Nginx,
    /// Caddy, for its `forward_auth`.
    Caddy,
    /// HAProxy with Lua.
    Haproxy,
    /// Redis, with its Sentinel.
    Redis,
    /// Prometheus, with its `promtool`.
    Prometheus,
    /// etcd, where a Kubernetes API server keeps its objects.
    Etcd,
    /// Podman, a container engine, with what it needs to make networks and to limit processes.
    Podman,
    /// The program that changes which authorities a Chromium trusts.
    Certutil,
    /// The command line of SQLite, for a database of a provider.
    Sqlite,
    /// The load generator.
    Wrk,
}

impl Packaged {
    /// Those that the tests need which run unasked.
    pub const ALL: [Self; 6] = [
        Self::Nginx,
        Self::Caddy,
        Self::Haproxy,
        Self::Redis,
        Self::Prometheus,
        Self::Certutil,
    ];

    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Redis => "redis-server",
            Self::Prometheus => "prometheus",
            Self::Etcd => "etcd",
            Self::Podman => "podman",
            Self::Certutil => "certutil",
            Self::Sqlite => "sqlite3",
            Self::Wrk => "wrk",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            // The module is for directives that the ingress controller configures.
            Self::Nginx => &["nginx-light", "libnginx-mod-http-set-misc"],
            Self::Caddy => &["caddy"],
            Self::Haproxy => &["haproxy"],
            Self::Redis => &["redis-server"],
            Self::Prometheus => &["prometheus"],
            Self::Etcd => &["etcd-server"],
            Self::Podman => &["podman", "runc", "netavark", "aardvark-dns", "iptables"],
            Self::Certutil => &["libnss3-tools"],
            Self::Sqlite => &["sqlite3"],
            Self::Wrk => &["wrk"],
        }
    }
}

impl Tool for Packaged {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!(
            "{} (Debian: {})",
            self.program(),
            self.packages().join(", ")
        )
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        let variable = format!(
            "GATEPOST_{}",
            self.program().to_uppercase().replace('-', "_")
        );
        if let Some(path) = env::var_os(variable) {
            return Ok(Some(path.into()));
        }
        let modules = Path::new(NGINX_MODULES);
        if self == &Self::Nginx && !modules.join("ngx_http_set_misc_module.so").is_file() {
            return Ok(None);
        }
        let network = Path::new("/usr/lib/podman/netavark");
        if self == &Self::Podman && !(network.is_file() && on_path("runc").is_some()) {
            return Ok(None);
        }
        // Where servers are, which is not on everyone's path.
        let server = Path::new("/usr/sbin").join(self.program());
        Ok(on_path(self.program()).or_else(|| server.is_file().then_some(server)))
    }

    fn install(&self) -> Result<()> {
        apt::install(self.packages())
    }
}
