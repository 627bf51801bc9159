//! `cargo xtask test`.

mod counts;
mod output;
mod section;

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use self::counts::Counts;
use self::output::Output;
use self::section::{ASKED_FOR, CONTAINERS, E2E_SUITES, KUBERNETES, PROVIDERS, Programs, Section};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only these sections; without this, all
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Only>,
    /// Only tests whose name contains this text; leaves out format, lints and docs
    filter: Option<String>,
}

/// The values of `--only`: one section, or several by one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// The checks that take less than a minute when built: format and unit tests
    Fast,
    /// rustfmt
    Format,
    /// Clippy, warnings as errors, for this machine and for the plugin's target
    Lints,
    /// rustdoc and the links of every page, broken ones as errors
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
    /// End to end, and only if it is asked for: real OpenID providers, as far as they can be had
    Providers,
    /// End to end, and only if it is asked for: a real Kubernetes API
    Kubernetes,
    /// End to end, and only if it is asked for: real containers, as root
    Containers,
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
            Self::Providers => vec![Section::E2e(PROVIDERS)],
            Self::Kubernetes => vec![Section::E2e(KUBERNETES)],
            Self::Containers => vec![Section::E2e(CONTAINERS)],
        }
    }
}

/// Runs the requested sections and reports the results.
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
        section.runs_unasked() && (filter.is_none() || section.has_named_tests())
    };
    let sections: Vec<Section> = Section::all().filter(chosen).collect();
    let started = Instant::now();
    let total = run_sections(&sections, filter)?;
    if only.is_empty() {
        println!();
        for suite in ASKED_FOR {
            println!("not run: {suite} (cargo xtask test --only {suite})");
        }
    }
    println!("\n{total} ({} s)", started.elapsed().as_secs());
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the lanes of these sections side by side.
fn run_sections(sections: &[Section], filter: Option<&str>) -> Result<Counts> {
    let programs = Programs::prepare(sections)?;
    let lanes: Vec<&[Section]> = sections.chunk_by(|a, b| a.lane() == b.lane()).collect();
    let output = if lanes.len() > 1 {
        Output::held_back
    } else {
        Output::live
    };
    let run_lane = |lane: &[Section]| {
        let mut counts = Counts::default();
        for section in lane {
            counts += run_section(*section, filter, &programs, output());
        }
        counts
    };
    let mut total = Counts::default();
    thread::scope(|scope| {
        let lanes: Vec<_> = lanes
            .iter()
            .map(|lane| scope.spawn(|| run_lane(lane)))
            .collect();
        for lane in lanes {
            // A panic has been printed.
            total += lane.join().unwrap_or_else(|_| Counts::failure());
        }
    });
    Ok(total)
}

fn run_section(
    section: Section,
    filter: Option<&str>,
    programs: &Programs,
    mut output: Output,
) -> Counts {
    let title = section.title();
    let started = Instant::now();
    output.line(&format!("\n=== {title} ==="));
    let counts = section
        .run(filter, programs, &mut output)
        .unwrap_or_else(|error| {
            output.line(&format!("error: {error:#}"));
            Counts::failure()
        });
    let seconds = started.elapsed().as_secs();
    output.line(&format!("--- {title}: {counts} in {seconds} s"));
    output.release();
    counts
}
