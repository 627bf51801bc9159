//! Gatepost inside Traefik: verifies the session cookie where the request is, without a network
//! call.
//!
//! The crate is a program for a WebAssembly host (`main.rs`) around this library, which knows no
//! host: it sees requests through the [`Host`] trait, so that all of it runs natively in tests.
//!
//! - [`Config`] holds the operator's settings, read strictly.
//! - [`Gate`] holds the keys and decides on requests, one at a time.
//!
//! Three facts about the host shape the code. A guest that traps is used again for the next
//! request with its memory as it was, so nothing here panics and no state is left half-written. A
//! guest is held for as long as its request runs, so memory is paid per request in flight. And the
//! host's randomness is the same in every guest, so the plugin draws none.

mod config;
mod forwarded_cookies;
mod gate;
mod host;
mod keys;
mod labels;
mod narrowing;
mod reply;
mod revoked;
mod session_cache;
mod settings;
mod state;

pub use config::{Config, ConfigError, Fallback, Mode};
pub use gate::Gate;
pub use host::{Flow, Host, Level, ReadPart, Reply, Texts};
