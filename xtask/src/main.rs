//! Chores of the project: `cargo xtask --help`.

// What a chore finds out is its output.
#![allow(clippy::print_stdout)]

mod bench;
mod build;
mod demo;
mod dist;
mod docs;
mod fuzz;
mod js;
mod setup;
mod soak;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Gatepost's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run everything on loopback: Traefik with the plugin, outpost, provider and an app
    Demo(demo::Arguments),
    /// Format, lints, docs, unit and property tests, end to end; closes with the counts
    Test(test::Arguments),
    /// Measure the plugin and forward auth side by side: table, JSON and chart
    Bench(bench::Arguments),
    /// Feed made-up bytes to whatever reads bytes that others made
    Fuzz(fuzz::Arguments),
    /// Put load on the whole while its parts fail, and check every answer
    Soak(soak::Arguments),
    /// Build the plugin: target/plugin/plugin.wasm
    Plugin(build::PluginArguments),
    /// Build and test the session in JavaScript: session/js/dist/
    Js(js::Arguments),
    /// Check the documentation's links and make a book of it: target/book/
    Docs,
    /// Build what a release publishes: target/dist/
    Dist(dist::Arguments),
    /// Install what demo and tests need and this machine lacks
    Setup(setup::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Demo(arguments) => demo::run(&arguments),
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Bench(arguments) => bench::run(&arguments).map(|()| ExitCode::SUCCESS),
        Chore::Fuzz(arguments) => fuzz::fuzz(&arguments).map(|()| ExitCode::SUCCESS),
        Chore::Soak(arguments) => soak::run(&arguments),
        Chore::Plugin(arguments) => build::plugin(&arguments).map(|_| ExitCode::SUCCESS),
        Chore::Js(arguments) => js::run(&arguments).map(|()| ExitCode::SUCCESS),
        Chore::Docs => docs::book().map(|()| ExitCode::SUCCESS),
        Chore::Dist(arguments) => dist::run(&arguments).map(|()| ExitCode::SUCCESS),
        Chore::Setup(arguments) => setup::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
