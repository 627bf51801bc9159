//! In the place of authentik's own proxy outpost: the applications come from authentik's API.
//!
//! With `AUTHENTIK_HOST` and `AUTHENTIK_TOKEN` set and no configuration file, an outpost is what
//! `goauthentik.io/proxy` is: [`Settings`] reads those variables, `api` asks authentik, `mapping`
//! makes a configuration of its answers, and [`Follower`] keeps that current: by a websocket
//! (`socket`), and by asking again periodically while there is no connection.
//!
//! authentik is needed for changes only. While it cannot be reached the last answer stays in
//! force, across restarts too where sessions outlive them (`cache`).

mod api;
mod cache;
mod configured;
mod ending;
mod follower;
mod log_limit;
mod mapping;
mod reasons;
mod settings;
mod socket;
mod token_headers;

pub use configured::{StartError, ask};
pub use follower::Follower;
pub use reasons::AskingSignals;
pub use settings::{Settings, SettingsError};
