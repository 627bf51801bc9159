//! `cargo xtask test`.

mod counts;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use gatepost_e2e::tools::{Packaged, Source, TARGET, Tool as _, WasmToolchain, cargo};

use self::counts::Counts;
use crate::{js, setup};

/// The suites of end-to-end tests: test programs of `gatepost-e2e`.
const E2E_SUITES: &[&str] = &[
    "scenarios",
    "attacks",
    "deployments",
    "sessions",
    "authentik",
];

/// The test program of `gatepost-plugin` that runs the plugin as it is built.
const GUEST_SUITE: &str = "guest";

/// The test program of `gatepost-store` that runs every kind of store, with its Redis.
const STORE_SUITE: &str = "store";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only these sections; without this, all
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Only>,
    /// Only tests whose name contains this text; leaves out format, lints and docs
    filter: Option<String>,
}

/// What `--only` names: sections, each by itself or several by one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// What is done within a minute when it is built: format and unit tests
    Fast,
    /// rustfmt
    Format,
    /// Clippy, warnings as errors, for this machine and for the plugin's target
    Lints,
    /// rustdoc, broken links as errors
    Docs,
    /// Unit, property and documentation tests
    Unit,
    /// The built plugin in a WebAssembly runtime, under hostile requests
    Guest,
    /// The session store in Redis
    Store,
    /// The npm package, in every runtime that it is for
    Js,
    /// All suites with real proxies, providers and browsers
    E2e,
    /// End to end: what a user meets, with Traefik and a browser
    Scenarios,
    /// End to end: hostile requests through every proxy
    Attacks,
    /// End to end: every configuration that the docs show
    Deployments,
    /// End to end: stores, renewal and replicas
    Sessions,
    /// End to end: in the place of authentik's outpost
    Authentik,
}

impl Only {
    fn sections(self) -> Vec<Section> {
        match self {
            Self::Fast => vec![Section::Format, Section::Unit],
            Self::Format => vec![Section::Format],
            Self::Lints => vec![Section::Lints],
            Self::Docs => vec![Section::Docs],
            Self::Unit => vec![Section::Unit],
            Self::Guest => vec![Section::Guest],
            Self::Store => vec![Section::Store],
            Self::Js => vec![Section::Js],
            Self::E2e => E2E_SUITES.iter().copied().map(Section::E2e).collect(),
            Self::Scenarios => vec![Section::E2e("scenarios")],
            Self::Attacks => vec![Section::E2e("attacks")],
            Self::Deployments => vec![Section::E2e("deployments")],
            Self::Sessions => vec![Section::E2e("sessions")],
            Self::Authentik => vec![Section::E2e("authentik")],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
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
    /// All of them, in the order in which they run: what fails soonest first.
    fn all() -> impl Iterator<Item = Self> {
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
    }

    fn title(self) -> String {
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

    /// Whether it runs tests that have names, among which a filter can choose.
    fn has_named_tests(self) -> bool {
        match self {
            Self::Format | Self::Lints | Self::Docs => false,
            Self::Unit | Self::Guest | Self::Store | Self::Js | Self::E2e(_) => true,
        }
    }

    fn run(self, filter: Option<&str>) -> Result<Counts> {
        match self {
            Self::Format => check(&mut cargo(&["fmt", "--all", "--check"])),
            Self::Lints => lints(),
            Self::Docs => check(
                // Private items too: their links are for whoever changes the code.
                cargo(&["doc", "--locked", "--workspace", "--no-deps"])
                    .arg("--document-private-items")
                    .env(
                        "RUSTDOCFLAGS",
                        "-D warnings -A rustdoc::private-intra-doc-links",
                    ),
            ),
            Self::Unit => tests(cargo_test().args(filter)),
            Self::Guest => {
                setup::plugin(None)?;
                tests(&mut ignored_tests(GUEST_SUITE, filter))
            }
            Self::Store => {
                Packaged::Redis.ensure()?;
                tests(&mut ignored_tests(STORE_SUITE, filter))
            }
            Self::Js => {
                setup::js(None)?;
                tests(&mut js::test_command(filter)?)
            }
            Self::E2e(suite) => {
                setup::everything()?;
                tests(&mut ignored_tests(suite, filter))
            }
        }
    }
}

/// Runs what is asked for and says how it went.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let filter = arguments.filter.as_deref();
    let only: Vec<Section> = arguments
        .only
        .iter()
        .flat_map(|only| only.sections())
        .collect();
    let chosen = |section: &Section| {
        if !only.is_empty() {
            return only.contains(section);
        }
        filter.is_none() || section.has_named_tests()
    };
    let started = Instant::now();
    let mut total = Counts::default();
    for section in Section::all().filter(chosen) {
        println!("\n=== {} ===", section.title());
        let section_started = Instant::now();
        let counts = section.run(filter).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Counts::failure()
        });
        total += counts;
        println!(
            "--- {}: {counts} in {} s",
            section.title(),
            section_started.elapsed().as_secs()
        );
    }
    println!("\n{total} ({} s)", started.elapsed().as_secs());
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn lints() -> Result<Counts> {
    let mut counts = check(&mut clippy(&["--workspace", "--all-targets"]))?;
    // Clippy belongs to one compiler; Debian's has none for the plugin's target.
    if WasmToolchain::ANY.ensure()? == Source::Rustup {
        let plugin = ["--package", "gatepost-plugin", "--target", TARGET];
        counts += check(&mut clippy(&plugin))?;
    } else {
        println!("no clippy for {TARGET} on this machine: left out");
    }
    Ok(counts)
}

fn clippy(arguments: &[&str]) -> Command {
    let mut command = cargo(&["clippy", "--locked"]);
    command.args(arguments).args(["--", "--deny", "warnings"]);
    command
}

/// `cargo test` of the whole workspace, ready for more arguments.
///
/// Always of the whole, though one test program may be asked for: cargo compiles dependencies with
/// the features that the selected packages need, so each other selection compiles them once more.
fn cargo_test() -> Command {
    cargo(&["test", "--locked", "--no-fail-fast", "--workspace"])
}

/// The tests of one test program that are ignored by default, because they need more than Rust.
fn ignored_tests(suite: &str, filter: Option<&str>) -> Command {
    let mut command = cargo_test();
    command.args(["--test", suite]).args(filter);
    command.args(["--", "--ignored"]);
    command
}

/// A check counts as one test.
fn check(command: &mut Command) -> Result<Counts> {
    let status = command
        .status()
        .with_context(|| format!("run {command:?}"))?;
    Ok(if status.success() {
        Counts::success()
    } else {
        Counts::failure()
    })
}

/// Runs tests, shows what they print and adds up their results.
fn tests(command: &mut Command) -> Result<Counts> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {command:?}"))?;
    let output = child.stdout.take().context("the tests' output")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        counts += Counts::of_line(&line).unwrap_or_default();
    }
    let status = child.wait()?;
    // A test that does not compile, or a test program that crashes, has no result line.
    if !status.success() && counts.failed == 0 {
        counts += Counts::failure();
    }
    Ok(counts)
}
