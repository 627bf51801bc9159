//! Gatepost's outpost: signs people in at an OpenID provider, keeps their sessions, and answers
//! proxies that ask who may pass.
//!
//! - [`config`]: what an operator wrote, checked as a whole.
//! - [`outpost`]: the running outpost; [`application`], [`gatepost_oidc`] and [`gatepost_store`] are its
//!   parts.
//! - [`flow`]: a sign-in under way.
//! - [`session_times`]: how long sessions last; [`sessions`]: opening and renewing them.
//! - [`rate_limit`]: how often one client may come.
//! - [`web`]: the endpoints. Every one returns an [`web::Outcome`], and one place turns that into
//!   a response, so no path through a handler ends without a decision.
//! - [`telemetry`]: log, audit log, metrics and traces.
//! - [`server`]: listeners and their life; [`cli`]: the commands.

pub mod admin;
pub mod application;
pub mod certificate;
pub mod cli;
pub mod compat;
pub mod config;
pub mod export;
#[cfg(test)]
mod fixture;
pub mod flow;
pub mod http_client;
pub mod machine_clients;
pub mod origin;
pub mod outpost;
pub mod pages;
pub mod provider_client;
pub mod rate_limit;
pub mod server;
pub mod session_times;
pub mod sessions;
pub mod sources;
mod store_observer;
pub mod telemetry;
pub mod trusted_proxies;
pub mod web;
