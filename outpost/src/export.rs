//! Configuration of the proxy in front, which follows from the applications: for Traefik's HTTP and
//! file providers, Docker labels, Kubernetes objects, and nginx; and what the plugin reads in the
//! folder that the outpost writes for it.

pub(crate) mod compose;
mod dynamic;
pub(crate) mod kubernetes;
pub(crate) mod names;
pub(crate) mod nginx;
mod settings;
pub(crate) mod state;
#[cfg(test)]
mod tests;
pub(crate) mod traefik;

pub(crate) use settings::{PluginKeys, PluginSettings, TraefikSettings};
