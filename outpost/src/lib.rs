//! Gatepost's outpost: signs users in at an OpenID provider, keeps their sessions, and answers
//! proxies that ask whether a request may pass.
//!
//! - [`config`]: reads the configuration and checks it as a whole; [`application`]: the
//!   applications.
//! - [`runtime`]: the process, and the configuration at work.
//! - [`web`]: the endpoints. Each returns a [`web::Outcome`], and one place turns that into a
//!   response, so no path through a handler ends without a decision.
//! - [`sign_in_flow`]: a sign-in under way; [`sessions`]: issues, finds, renews and revokes
//!   sessions.
//! - [`assertion`]: what applications verify by themselves.
//! - [`device_bound`]: the proofs by which browsers renew sessions that are bound to a device;
//!   [`key_proof`]: their form, which machine clients' proofs have too.
//! - [`admin`]: health, metrics, and what `gatepost session` and `gatepost key` ask.
//! - [`telemetry`]: log, audit log, metrics and traces.
//! - [`sources`]: where a configuration comes from, and its changes.
//! - [`server`]: listeners and shutdown; [`cli`]: the commands.
//!
//! The modules are layers: `tests/layers/` has the list, and checks that each imports only the ones
//! above its own.

pub mod admin;
pub mod application;
pub mod assertion;
mod certificate;
pub mod cli;
pub mod client_certificate;
mod compat;
pub mod config;
mod device_bound;
pub mod dialect;
mod export;
#[cfg(test)]
mod fixture;
mod http_client;
pub mod import;
mod key_proof;
pub mod machine_clients;
pub mod origin;
mod pages;
pub mod provider_client;
mod rate_limit;
pub mod runtime;
mod server;
mod service_manager;
mod session_times;
pub mod sessions;
mod sign_in_flow;
pub mod signals;
pub mod sources;
mod store_observer;
mod telemetry;
mod trusted_proxies;
pub mod web;
