//! The settings of Traefik in an exported configuration.

use url::Url;

/// The settings that Traefik's dynamic configuration depends on besides the applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraefikSettings {
    /// The outpost, as Traefik reaches it.
    pub outpost_url: Url,
    /// The plugin; without one, Traefik asks the outpost about every request.
    pub plugin: Option<PluginSettings>,
    /// The entry points of the routers; an empty list means Traefik's default ones.
    pub entry_points: Vec<String>,
    /// Whether the routers terminate TLS.
    pub tls: bool,
    /// Traefik's certificate resolver, if one obtains the certificates.
    pub cert_resolver: Option<String>,
}

/// The plugin, as Traefik's static configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSettings {
    /// Its name there.
    pub name: String,
    /// Where it reads the keys.
    pub keys: PluginKeys,
    /// The list of revoked sessions, by the path under which Traefik mounts it for plugins.
    pub revoked_file: Option<String>,
}

/// Where the plugin reads the keys: never in its configuration, which Traefik shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginKeys {
    /// The folder that the outpost writes, by the path under which Traefik mounts it for plugins.
    /// The plugin reads everything else there, too.
    StateDir(String),
    /// A file, by the path under which Traefik mounts it for plugins.
    File(String),
    /// An environment variable that Traefik passes to plugins.
    Env(String),
}
