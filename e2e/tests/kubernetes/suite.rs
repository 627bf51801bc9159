//! A suite whose tests run one after another, on what starts for the first of them.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Result, anyhow};
use gatepost_e2e::layout;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// A test by its name, on what the suite shares.
pub(crate) struct Test<S: 'static> {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&S) -> Result<()>,
}

/// What the tests of a suite have in common.
pub(crate) struct Suite<S: 'static> {
    /// Its name, which the folder of its logs has too.
    pub(crate) name: &'static str,
    /// Runs this program again where the tests can run, and returns its exit code; or `None` where
    /// this process is the one there. The error says what is missing.
    pub(crate) enter: fn() -> Result<Option<ExitCode>>,
    /// Starts what the tests share, with its logs in this folder.
    pub(crate) start: fn(&Path) -> Result<S>,
}

/// The error of a test that lacks something of its own, with the reason.
#[derive(Debug)]
pub(crate) struct LeftOut(pub(crate) String);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for LeftOut {}

impl<S: Send + Sync> Suite<S> {
    /// Runs these tests, as far as the program's arguments request them.
    pub(crate) fn run(self, tests: &[&'static [Test<S>]]) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads = Some(1);
        let mut missing = None;
        // Under plain `cargo test`, which only names them, they need nothing.
        let runs = arguments.ignored || arguments.include_ignored;
        if runs && !arguments.list {
            match (self.enter)() {
                Ok(Some(code)) => return code,
                Ok(None) => {}
                Err(error) => missing = Some(format!("{error:#}")),
            }
        }
        let shared = Arc::new(Shared {
            suite: self,
            started: Mutex::default(),
        });
        let trials = tests.iter().copied().flatten();
        let trials = trials.map(|test| trial(test, &shared, missing.clone()));
        libtest_mimic::run(&arguments, trials.collect()).exit_code()
    }
}

/// What the tests share, which starts for the first one.
struct Shared<S: 'static> {
    suite: Suite<S>,
    started: Mutex<Option<Result<Arc<S>, String>>>,
}

impl<S> Shared<S> {
    /// Returns it; what failed once is not tried again.
    fn get(&self) -> Result<Arc<S>> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let started = started.get_or_insert_with(|| {
            let logs = layout::artefacts_dir().join(self.suite.name);
            let started = (self.suite.start)(&logs).map(Arc::new);
            started.map_err(|error| format!("{error:#}"))
        });
        started.clone().map_err(|error| anyhow!(error))
    }
}

fn trial<S: Send + Sync>(
    test: &'static Test<S>,
    shared: &Arc<Shared<S>>,
    missing: Option<String>,
) -> Trial {
    let shared = Arc::clone(shared);
    let run = move || -> Result<Completion, Failed> {
        if let Some(reason) = missing {
            return Ok(skipped(reason));
        }
        // The thread's name is that of the folder with the logs.
        let name = format!("{}::{}", shared.suite.name, test.name);
        let thread = thread::Builder::new().name(name);
        let thread = thread.spawn(move || (test.run)(&*shared.get()?))?;
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
