//! The sections of the test run.

use std::ops::AddAssign;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Result, bail};
use gatepost_e2e::tools::{
    Packaged, Source, StaticToolchain, TARGET, Tool as _, WasmToolchain, cargo,
};
use gatepost_e2e::{LEFT_OUT, built, layout};

use super::counts::{Counts, failed_test};
use super::output::Output;
use crate::{docs, js, setup};

/// The suites of end-to-end tests: test programs of [`HARNESS`].
pub(crate) const E2E_SUITES: &[&str] = &[
    "scenarios",
    "attacks",
    "deployments",
    "sessions",
    "authentik",
];

/// The suite of end-to-end tests that runs only when it is requested, since it installs large
/// programs.
pub(crate) const PROVIDERS: &str = "providers";

/// The suite of end-to-end tests on a real Kubernetes API, which runs only when it is asked for: the
/// API server takes minutes to build.
pub(crate) const KUBERNETES: &str = "kubernetes";

/// The suite of end-to-end tests with real containers, which runs only when it is asked for: the engine
/// takes root.
pub(crate) const CONTAINERS: &str = "containers";

/// The suites that run only when they are asked for.
pub(crate) const ASKED_FOR: [&str; 3] = [PROVIDERS, KUBERNETES, CONTAINERS];

/// The package of the end-to-end tests.
const HARNESS: &str = "gatepost-e2e";

/// The test program of `gatepost-plugin` that runs the plugin as it is built.
const GUEST_SUITE: &str = "guest";

/// The test program of `gatepost-store` that runs every kind of store, with its Redis.
const STORE_SUITE: &str = "store";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Format,
    Lints,
    Docs,
    Unit,
    Guest,
    Store,
    Js,
    /// A suite of the end-to-end tests, by the name of its test program.
    E2e(&'static str),
}

impl Section {
    /// Returns all of them: what fails soonest first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let suites = E2E_SUITES.iter().copied().map(Self::E2e);
        [
            Self::Format,
            Self::Lints,
            Self::Docs,
            Self::Unit,
            Self::Guest,
            Self::Store,
            Self::Js,
        ]
        .into_iter()
        .chain(suites)
        .chain(ASKED_FOR.map(Self::E2e))
    }

    /// Returns whether it runs without being requested.
    pub(crate) fn runs_unasked(self) -> bool {
        !matches!(self, Self::E2e(suite) if ASKED_FOR.contains(&suite))
    }

    pub(crate) fn title(self) -> String {
        match self {
            Self::Format => "format".into(),
            Self::Lints => "lints".into(),
            Self::Docs => "docs".into(),
            Self::Unit => "unit, property and documentation tests".into(),
            Self::Guest => "the built plugin".into(),
            Self::Store => "the session store in Redis".into(),
            Self::Js => "the session in JavaScript".into(),
            Self::E2e(suite) => format!("end to end: {suite}"),
        }
    }

    /// Returns the lane that it runs in: sections of one lane run one after another, lanes side by
    /// side. `None` for what runs before all lanes: it keeps every core busy, for which tests that watch
    /// clocks would pay.
    pub(crate) fn lane(self) -> Option<&'static str> {
        match self {
            Self::Format | Self::Lints | Self::Docs => None,
            Self::Unit => Some("unit"),
            Self::Guest | Self::Store | Self::Js => Some("engines"),
            Self::E2e(suite) => Some(suite),
        }
    }

    /// Returns whether it runs tests that have names, among which a filter can choose.
    pub(crate) fn has_named_tests(self) -> bool {
        match self {
            Self::Format | Self::Lints | Self::Docs => false,
            Self::Unit | Self::Guest | Self::Store | Self::Js | Self::E2e(_) => true,
        }
    }

    /// Installs the tools that it needs.
    fn install(self) -> Result<()> {
        match self {
            Self::Format | Self::Lints | Self::Docs | Self::Unit => Ok(()),
            Self::Guest => setup::plugin(None),
            Self::Store => Packaged::Redis.ensure().map(drop),
            Self::Js => setup::js(None),
            Self::E2e(PROVIDERS) => {
                setup::demo()?;
                setup::providers();
                Ok(())
            }
            Self::E2e(KUBERNETES) => {
                setup::demo()?;
                setup::kubernetes();
                Ok(())
            }
            Self::E2e(CONTAINERS) => {
                setup::demo()?;
                setup::containers();
                Ok(())
            }
            Self::E2e(_) => setup::everything(),
        }
    }

    fn needs_session_js(self) -> bool {
        matches!(self, Self::Js | Self::E2e("scenarios"))
    }

    pub(crate) fn run(
        self,
        filter: Option<&str>,
        programs: &Programs,
        output: &mut Output,
    ) -> Result<Results> {
        match self {
            Self::Format => {
                let counts = check(&mut cargo(&["fmt", "--all", "--check"]), output)?;
                Ok(counts.into())
            }
            Self::Lints => lints(output).map(Results::from),
            Self::Docs => documentation(output).map(Results::from),
            Self::Unit => {
                let mut results = tests(rust_tests().args(filter), output)?;
                results += tests(harness_tests().args(filter), output)?;
                // The tests that are ignored here run in their own sections.
                results.counts = results.counts.without_skipped();
                Ok(results)
            }
            Self::Guest => {
                let command = rust_tests();
                tests(&mut ignored(command, GUEST_SUITE, filter, programs), output)
            }
            Self::Store => {
                let command = rust_tests();
                tests(&mut ignored(command, STORE_SUITE, filter, programs), output)
            }
            Self::Js => tests(&mut js::test_command(filter)?, output),
            Self::E2e(suite) => end_to_end(suite, filter, programs, output),
        }
    }

    /// Runs these tests of it once more, one after another, and returns those that pass now.
    ///
    /// # Errors
    ///
    /// When the tests cannot be started.
    pub(crate) fn run_alone(
        self,
        failed: &[String],
        programs: &Programs,
        output: &mut Output,
    ) -> Result<Vec<String>> {
        let mut passed = Vec::new();
        for name in failed {
            let mut command = match self {
                Self::E2e(suite) => ignored(harness_tests(), suite, Some(name), programs),
                Self::Store => ignored(rust_tests(), STORE_SUITE, Some(name), programs),
                // Some watch how long a request takes.
                Self::Unit => {
                    let mut command = rust_tests();
                    command.args([name, "--"]);
                    command
                }
                // What these find depends on no clock.
                Self::Format | Self::Lints | Self::Docs | Self::Guest | Self::Js => {
                    return Ok(passed);
                }
            };
            let counts = tests(command.arg("--exact"), output)?.counts;
            if counts.failed == 0 && counts.passed == 1 {
                passed.push(name.clone());
            }
        }
        Ok(passed)
    }
}

/// How the tests of a section went.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) counts: Counts,
    /// The names of the Rust tests that failed.
    pub(crate) failed: Vec<String>,
}

impl From<Counts> for Results {
    fn from(counts: Counts) -> Self {
        Self {
            counts,
            failed: Vec::new(),
        }
    }
}

impl AddAssign for Results {
    fn add_assign(&mut self, other: Self) {
        self.counts += other.counts;
        self.failed.extend(other.failed);
    }
}

/// The programs that are built before tests run, with the variables that name them to the tests.
#[derive(Debug, Default)]
pub(crate) struct Programs(Vec<(&'static str, PathBuf)>);

impl Programs {
    /// Installs and builds what these sections need, all before the first test runs: tests that
    /// wait for a compiler in the middle of a run fail by their time limits.
    ///
    /// # Errors
    ///
    /// When something cannot be installed or does not compile.
    pub(crate) fn prepare(sections: &[Section]) -> Result<Self> {
        let mut programs = Vec::new();
        let has = |wanted: fn(&Section) -> bool| sections.iter().any(wanted);
        // Tools come over the network while the compiler, which needs none of them, has the cores.
        thread::scope(|scope| {
            let install = || sections.iter().try_for_each(|section| section.install());
            let installed = scope.spawn(install);
            if has(|section| matches!(section, Section::Unit)) {
                // Among them the outpost, which its own tests run.
                built::run(rust_tests().arg("--no-run"))?;
                programs.push((built::OUTPOST, built::outpost_path()));
            } else if has(|section| matches!(section, Section::E2e(_))) {
                programs.push((built::OUTPOST, built::outpost()?));
            }
            if has(|section| matches!(section, Section::Unit | Section::E2e(_))) {
                built::run(harness_tests().arg("--no-run"))?;
            }
            // A panic of a thread has been printed.
            installed
                .join()
                .unwrap_or_else(|_| bail!("the tools are not installed"))
        })?;
        if sections.contains(&Section::E2e(CONTAINERS)) && StaticToolchain.find()?.is_some() {
            programs.push((built::STATIC_OUTPOST, built::static_outpost()?));
        }
        if has(|section| matches!(section, Section::Guest | Section::E2e(_))) {
            programs.push((built::PLUGIN, built::plugin()?));
        }
        if sections.iter().any(|section| section.needs_session_js()) {
            programs.push((built::SESSION_JS, built::session_js()?));
        }
        Ok(Self(programs))
    }
}

fn lints(output: &mut Output) -> Result<Counts> {
    let mut counts = check(&mut clippy(&["--workspace", "--all-targets"]), output)?;
    // A workspace of their own, which a rename elsewhere would break unseen.
    if found("c++") {
        let manifest = layout::root().join("fuzz/Cargo.toml");
        let mut fuzz_targets = clippy(&["--manifest-path", &manifest.to_string_lossy()]);
        fuzz_targets.env("CARGO_TARGET_DIR", layout::target_dir());
        counts += check(&mut fuzz_targets, output)?;
    } else {
        output.line("no C++ compiler, which the fuzzer is built with: fuzz targets left out");
    }
    // Clippy belongs to one compiler; Debian's has none for the plugin's target.
    if WasmToolchain::ANY.ensure()? == Source::Rustup {
        let plugin = ["--package", "gatepost-plugin", "--target", TARGET];
        counts += check(&mut clippy(&plugin), output)?;
    } else {
        output.line(&format!("no clippy for {TARGET} on this machine: left out"));
    }
    Ok(counts)
}

/// Checks the links of the pages, and those of the code's documentation.
fn documentation(output: &mut Output) -> Result<Counts> {
    let problems = docs::problems()?;
    for problem in &problems {
        output.line(problem);
    }
    let mut counts = if problems.is_empty() {
        Counts::success()
    } else {
        Counts::failure()
    };
    counts += check(
        // Private items too: their links are for contributors.
        cargo(&["doc", "--locked", "--workspace", "--no-deps"])
            .arg("--document-private-items")
            .env(
                "RUSTDOCFLAGS",
                "-D warnings -A rustdoc::private-intra-doc-links",
            ),
        output,
    )?;
    Ok(counts)
}

/// Returns whether a compiler of this name can be started.
fn found(compiler: &str) -> bool {
    let version = Command::new(compiler).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

fn clippy(arguments: &[&str]) -> Command {
    let mut command = cargo(&["clippy", "--locked"]);
    command.args(arguments).args(["--", "--deny", "warnings"]);
    command
}

/// Tests of everything but the harness.
///
/// Two commands, since cargo compiles dependencies with the features that the selected packages
/// need together: the harness's HTTP client has no TLS, which would take each client of a test
/// time. Always these two, since any other selection would compile dependencies once more.
fn rust_tests() -> Command {
    let mut command = cargo(&["test", "--locked", "--no-fail-fast", "--workspace"]);
    command.args(["--exclude", HARNESS]);
    command
}

/// Tests of the harness, the end-to-end tests among them.
fn harness_tests() -> Command {
    cargo(&["test", "--locked", "--no-fail-fast", "--package", HARNESS])
}

/// Returns the command for the tests of one test program that are ignored by default, because they
/// need more than Rust.
fn ignored(mut tests: Command, suite: &str, filter: Option<&str>, programs: &Programs) -> Command {
    tests.args(["--test", suite]).args(filter);
    tests.args(["--", "--ignored"]);
    tests.envs(programs.0.iter().map(|(name, path)| (name, path)));
    tests
}

/// Runs a suite of end-to-end tests. Tests that mostly wait run beside the others, so that a suite
/// does not end with one of them alone.
fn end_to_end(
    suite: &str,
    filter: Option<&str>,
    programs: &Programs,
    output: &mut Output,
) -> Result<Results> {
    let waiting = WAITING.iter().find(|waiting| waiting.suite == suite);
    // With a filter there is little to spread.
    let waiting = waiting.filter(|_| filter.is_none());
    let mut others = ignored(harness_tests(), suite, filter, programs);
    others.arg(test_threads(at_once(suite)));
    let Some(waiting) = waiting else {
        return tests(&mut others, output);
    };
    for part in waiting.parts {
        others.args(["--skip", part]);
    }
    let mut waits = ignored(harness_tests(), suite, None, programs);
    waits.arg(test_threads(waiting.at_once)).args(waiting.parts);
    let mut beside = output.beside();
    let (results, of_waiting) = thread::scope(|scope| {
        let of_waiting = scope.spawn(|| tests(&mut waits, &mut beside));
        let results = tests(&mut others, output);
        // A panic of a thread has been printed.
        let of_waiting = of_waiting.join();
        (
            results,
            of_waiting.unwrap_or_else(|_| Ok(Counts::failure().into())),
        )
    });
    output.append(beside);
    let mut results = results?;
    results += of_waiting?;
    Ok(results)
}

/// Tests of a suite that mostly wait.
struct Waiting {
    suite: &'static str,
    /// How many run at the same time, on a machine with two cores.
    at_once: usize,
    /// Parts of their names.
    parts: &'static [&'static str],
}

/// Browsers that stay for several windows, and keys and tokens that last for half a minute.
const WAITING: [Waiting; 2] = [
    Waiting {
        suite: "scenarios",
        at_once: 3,
        parts: &[
            "renewal_beside_a_page",
            "is_redirected_late",
            "keys_are_rotated",
            "ends_with_its_window",
            "follows_the_keys_file",
            "rotated_keys_are_taken_up",
        ],
    },
    Waiting {
        suite: "deployments",
        at_once: 6,
        parts: &[
            "renew_beside",
            "device_bound::",
            "machines::",
            "upstream_tokens::",
        ],
    },
];

/// Returns how many tests of a suite run at the same time, on a machine with two cores.
///
/// All wait now and then: for a program to start, for a window to end. The numbers are such that
/// suites which run side by side end at about the same time.
fn at_once(suite: &str) -> usize {
    match suite {
        "deployments" => 4,
        "attacks" | "sessions" => 3,
        _ => 2,
    }
}

fn test_threads(at_once: usize) -> String {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    format!("--test-threads={}", at_once * cores.div_ceil(2))
}

/// Runs a check, which counts as one test.
fn check(command: &mut Command, output: &mut Output) -> Result<Counts> {
    let status = output.run(command, |_| {})?;
    Ok(if status.success() {
        Counts::success()
    } else {
        Counts::failure()
    })
}

/// Runs tests and adds up their results.
fn tests(command: &mut Command, output: &mut Output) -> Result<Results> {
    let mut results = Results::default();
    let mut left_out = 0;
    let status = output.run(command, |line| {
        results.counts += Counts::of_line(line).unwrap_or_default();
        results.failed.extend(failed_test(line).map(str::to_owned));
        left_out += u64::from(line.starts_with(LEFT_OUT));
    })?;
    results.counts = results.counts.leaving_out(left_out);
    // A test that does not compile, or a test program that crashes, has no result line.
    if !status.success() && results.counts.failed == 0 {
        results.counts += Counts::failure();
    }
    Ok(results)
}
