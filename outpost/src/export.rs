//! Configuration of the proxy in front, which follows from the applications: for Traefik's HTTP and
//! file providers, Docker labels, Kubernetes objects, and nginx; and what the plugin reads in the
//! folder that the outpost writes for it.

pub mod compose;
mod dynamic;
pub mod kubernetes;
pub mod names;
pub mod nginx;
mod settings;
pub mod state;
#[cfg(test)]
mod tests;
pub mod traefik;

pub use settings::{PluginKeys, PluginSettings, TraefikSettings};
