//! How sessions are kept, renewed and ended, on real processes: Traefik with the built plugin, the
//! outpost, a real OpenID provider, Redis. Faults are made by killing and pausing processes.
//!
//! `cargo xtask test --only e2e` builds and installs what these need.

// What a test cannot go on without stops it; `clippy.toml` knows that of test functions only.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod api_keys;
mod cut_list;
mod ending;
mod failures;
mod groups;
mod redis;
mod renewal;
mod repairs;
mod replicas;
mod state_dir;
mod step_up;
mod store;
mod tabs;
mod upstream_tokens;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::{Journey, Service, Stack};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use url::Url;

/// For something to happen on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Windows that a test can wait for: every page load after two seconds renews.
fn short_windows() -> Value {
    json!({ "session": { "window": "8s", "renewAfter": "2s", "refreshAfter": "1s" } })
}

/// Kills a program as the system does when memory runs out.
fn kill(service: &Service) -> Result<()> {
    let group = service.group().context("it runs")?;
    killpg(Pid::from_raw(i32::try_from(group)?), Signal::SIGKILL)?;
    service.stop();
    Ok(())
}

/// Returns a new page: with windows this short, a browser that returns to the same page would look
/// caught in a loop.
fn another_page(stack: &Stack) -> Url {
    static VISITS: AtomicU32 = AtomicU32::new(0);
    let visit = VISITS.fetch_add(1, Ordering::Relaxed);
    stack.app().url(&format!("/{visit}"))
}

/// Returns whether a journey went by the provider.
fn visited(journey: &Journey, stack: &Stack) -> bool {
    let provider = stack.outpost_url().host_str();
    journey
        .hops()
        .any(|hop| hop.url.host_str() == provider && hop.url.path() != "/akprox/start")
}

/// Returns how often the provider has answered a grant of this type since it was started.
fn grants(stack: &Stack, kind: &str) -> usize {
    let line = format!("granted {kind}");
    stack.provider().output().matches(&line).count()
}
