//! `cargo xtask test`.

mod counts;
mod output;
mod section;

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;

use self::counts::Counts;
use self::output::Output;
use self::section::{
    ASKED_FOR, CONTAINERS, E2E_SUITES, KUBERNETES, PROVIDERS, Programs, Results, Section,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only these sections; without this, all
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Only>,
    /// Only tests whose name contains this text; leaves out format, lints and docs
    filter: Option<String>,
    /// Fail where more tests than this were skipped, since a part that they need cannot be had
    #[arg(long, value_name = "NUMBER")]
    at_most_skipped: Option<u64>,
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
    if total == Counts::default() {
        match filter {
            Some(filter) => bail!("no test has `{filter}` in its name"),
            None => bail!("no test ran"),
        }
    }
    if let Some(most) = arguments.at_most_skipped
        && total.skipped > most
    {
        bail!("more than {most} tests were skipped");
    }
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The most failed tests that run once more: where more fail, the machine was not the reason.
const MOST_RUN_ALONE: usize = 10;

/// Runs the checks, then the lanes of the other sections side by side, and then once more the few
/// tests that failed, where they may watch clocks: other lanes may have kept the machine busy. What
/// passes then is named, since it says something of the test or of Gatepost.
fn run_sections(sections: &[Section], filter: Option<&str>) -> Result<Counts> {
    let programs = Programs::prepare(sections)?;
    let mut total = Counts::default();
    let (in_lanes, first): (Vec<Section>, Vec<Section>) = sections
        .iter()
        .partition(|section: &&Section| section.lane().is_some());
    for section in first {
        total += run_section(section, filter, &programs, Output::live()).counts;
    }
    let lanes: Vec<&[Section]> = in_lanes.chunk_by(|a, b| a.lane() == b.lane()).collect();
    let output = if lanes.len() > 1 {
        Output::held_back
    } else {
        Output::live
    };
    let run_lane = |lane: &[Section]| -> Vec<(Section, Results)> {
        let run = |section: &Section| {
            let results = run_section(*section, filter, &programs, output());
            (*section, results)
        };
        lane.iter().map(run).collect()
    };
    let mut failed = Vec::new();
    thread::scope(|scope| {
        let lanes: Vec<_> = lanes
            .iter()
            .map(|lane| scope.spawn(|| run_lane(lane)))
            .collect();
        for lane in lanes {
            let Ok(results) = lane.join() else {
                // The panic has been printed.
                total += Counts::failure();
                continue;
            };
            for (section, results) in results {
                total += results.counts;
                if !results.failed.is_empty() {
                    failed.push((section, results.failed));
                }
            }
        }
    });
    let again = failed.iter().map(|(_, names)| names.len()).sum::<usize>() <= MOST_RUN_ALONE;
    for (section, names) in failed {
        let mut passing = Vec::new();
        if again {
            let mut output = Output::live();
            output.line(&format!(
                "\n=== {}: once more, one by one ===",
                section.title()
            ));
            passing = section.run_alone(&names, &programs, &mut output)?;
        }
        total = total.passing_now(passing.len() as u64);
        for name in names {
            let verdict = match passing.contains(&name) {
                true => "failed beside the others and passed by itself",
                false => "failed",
            };
            println!("{verdict}: {name} ({})", section.title());
        }
    }
    Ok(total)
}

fn run_section(
    section: Section,
    filter: Option<&str>,
    programs: &Programs,
    mut output: Output,
) -> Results {
    let title = section.title();
    let started = Instant::now();
    output.line(&format!("\n=== {title} ==="));
    let results = section
        .run(filter, programs, &mut output)
        .unwrap_or_else(|error| {
            output.line(&format!("error: {error:#}"));
            Counts::failure().into()
        });
    let seconds = started.elapsed().as_secs();
    output.line(&format!("--- {title}: {} in {seconds} s", results.counts));
    output.release();
    results
}
