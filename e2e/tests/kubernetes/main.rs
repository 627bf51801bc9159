//! A real Kubernetes API: what Kubernetes accepts of our manifests, and what Traefik's providers
//! make of them.
//!
//! `cargo xtask test --only kubernetes` installs the API server and the rest, and runs these in a
//! network namespace of their own. Where something cannot be had, or the system gives no such
//! namespace, each test is ignored with the reason, and never counted as passed. `deployments` has
//! the same manifests on a double of the API, which needs none of that.

// What a test cannot go on without stops it; `clippy.toml` knows that of test functions only, and
// these are functions that the test harness is handed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr
)]

mod accepted;
mod accounts;
mod chart;
// What every deployment must do, which the suite of deployments has.
#[path = "../deployments/checks.rs"]
#[allow(dead_code, reason = "other suites have more checks")]
mod checks;
mod faults;
// What a further issuer must do, which the suite of real providers has too.
#[path = "../deployments/further_issuer.rs"]
mod further_issuer;
mod imported;
mod refused;
mod served;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Result, anyhow};
use gatepost_e2e::cluster::{Cluster, network};
use gatepost_e2e::layout;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The names of Services lead to one address each.
    arguments.test_threads = Some(1);
    let mut missing = None;
    // Under plain `cargo test`, which only names them, they need no network.
    let runs = arguments.ignored || arguments.include_ignored;
    if runs && !arguments.list {
        match network::enter() {
            Ok(Some(code)) => return code,
            Ok(None) => missing = Cluster::locate().err(),
            Err(error) => missing = Some(error),
        }
    }
    let missing = missing.map(|error| format!("{error:#}"));
    let shared = Arc::new(Shared::default());
    let trials = accepted::TESTS
        .iter()
        .chain(accounts::TESTS)
        .chain(chart::TESTS)
        .chain(faults::TESTS)
        .chain(imported::TESTS)
        .chain(refused::TESTS)
        .chain(served::TESTS);
    let trials = trials.map(|test| trial(test, &shared, missing.clone()));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A test by its name.
struct Test {
    name: &'static str,
    run: fn(&Cluster) -> Result<()>,
}

/// The error of a test that lacks something of its own, with the reason.
#[derive(Debug)]
struct LeftOut(String);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for LeftOut {}

/// The cluster of all tests, which starts for the first one.
#[derive(Default)]
struct Shared(Mutex<Option<Result<Arc<Cluster>, String>>>);

impl Shared {
    /// Returns the cluster; what failed once is not tried again.
    fn cluster(&self) -> Result<Arc<Cluster>> {
        let mut cluster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let started = cluster.get_or_insert_with(|| {
            let started = Cluster::start(&layout::artefacts_dir().join("kubernetes")).map(Arc::new);
            started.map_err(|error| format!("{error:#}"))
        });
        started.clone().map_err(|error| anyhow!(error))
    }
}

fn trial(test: &'static Test, shared: &Arc<Shared>, missing: Option<String>) -> Trial {
    let shared = Arc::clone(shared);
    let run = move || -> Result<Completion, Failed> {
        if let Some(reason) = missing {
            return Ok(skipped(reason));
        }
        // The thread's name is that of the folder with the logs.
        let thread = thread::Builder::new().name(format!("kubernetes::{}", test.name));
        let thread = thread.spawn(move || (test.run)(&*shared.cluster()?))?;
        let Ok(outcome) = thread.join() else {
            return Err("the test panicked: see above".into());
        };
        match outcome.map_err(|error| error.downcast::<LeftOut>()) {
            Ok(()) => Ok(Completion::Completed),
            Err(Ok(LeftOut(reason))) => Ok(skipped(reason)),
            Err(Err(error)) => Err(format!("{error:#}").into()),
        }
    };
    // As all end-to-end tests: `cargo test` names them, `cargo xtask test` runs them.
    Trial::ignorable_test(test.name, run).with_ignored_flag(true)
}

fn skipped(reason: String) -> Completion {
    eprintln!("skipped: {reason}");
    Completion::ignored_with(reason)
}
