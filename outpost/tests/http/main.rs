//! The outpost over HTTP, in process: real requests to its router, and a provider that can be made
//! to misbehave. The end-to-end tests run the outpost with real providers and proxies.

#![allow(missing_docs)]
// What a test cannot go on without stops it; `clippy.toml` knows that of test functions only.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice
)]

mod admission;
mod answers;
mod assertion;
mod authentik;
mod backchannel_logout;
mod believed;
mod browser;
mod choice;
mod conformance;
mod device_bound;
mod endings;
mod exit_status;
mod faults;
mod form_post;
mod forward_auth;
mod frames;
mod kept_alive;
mod limits;
mod machine_issuers;
mod machines;
mod meanwhile;
mod monitored;
mod process;
mod program;
mod provider;
mod redirects;
mod renewal;
mod renewal_beside;
mod renewed_claims;
mod resources;
mod rule_names;
mod said_of_providers;
mod sign_in;
mod sign_out;
mod silent;
mod step_up;
mod stopping;
mod traces;
mod unexplained;
mod upstream_tokens;
mod vendors;
mod way_back;
mod world;
