//! Real containers: `docker-compose.yml` and the labels of `deploy/compose/`, on Podman with its
//! Docker-compatible API, and our images as they ship.
//!
//! `cargo xtask test --only containers` installs the engine and runs these in namespaces of their own.
//! Where that cannot be had (the engine takes root), each test is ignored with the reason, and never
//! counted as passed. `deployments` has the same labels on a double of the API.

// What a test cannot go on without stops it; `clippy.toml` knows that of test functions only, and
// these are functions that the test harness is handed.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod demo;
mod labels;
mod package;
mod visit;

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Result, anyhow};
use gatepost_e2e::containers::{self, Engine};
use gatepost_e2e::layout;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They publish the same ports.
    arguments.test_threads = Some(1);
    let mut missing = None;
    // Under plain `cargo test`, which only names them, they need no engine.
    let runs = arguments.ignored || arguments.include_ignored;
    if runs && !arguments.list {
        match containers::enter() {
            Ok(Some(code)) => return code,
            Ok(None) => {}
            Err(error) => missing = Some(format!("{error:#}")),
        }
    }
    let shared = Arc::new(Shared::default());
    let tests = demo::TESTS
        .iter()
        .chain(labels::TESTS)
        .chain(package::TESTS);
    let trials = tests.map(|test| trial(test, &shared, missing.clone()));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A test by its name.
struct Test {
    name: &'static str,
    run: fn(&Engine) -> Result<()>,
}

/// The engine of all tests, which starts for the first one.
#[derive(Default)]
struct Shared(Mutex<Option<Result<Arc<Engine>, String>>>);

impl Shared {
    /// Returns the engine; what failed once is not tried again.
    fn engine(&self) -> Result<Arc<Engine>> {
        let mut engine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let started = engine.get_or_insert_with(|| {
            let logs = layout::artefacts_dir().join("containers");
            let app = Path::new(env!("CARGO_BIN_EXE_upstream"));
            let started = Engine::start(&logs, app).map(Arc::new);
            started.map_err(|error| format!("{error:#}"))
        });
        started.clone().map_err(|error| anyhow!(error))
    }
}

fn trial(test: &'static Test, shared: &Arc<Shared>, missing: Option<String>) -> Trial {
    let shared = Arc::clone(shared);
    let run = move || -> Result<Completion, Failed> {
        if let Some(reason) = missing {
            eprintln!("skipped: {reason}");
            return Ok(Completion::ignored_with(reason));
        }
        let thread = thread::Builder::new().name(format!("containers::{}", test.name));
        let thread = thread.spawn(move || (test.run)(&*shared.engine()?))?;
        let Ok(outcome) = thread.join() else {
            return Err("the test panicked: see above".into());
        };
        outcome.map_err(|error| format!("{error:#}"))?;
        Ok(Completion::Completed)
    };
    // As all end-to-end tests: `cargo test` names them, `cargo xtask test` runs them.
    Trial::ignorable_test(test.name, run).with_ignored_flag(true)
}
