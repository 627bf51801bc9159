//! `cargo xtask js`: the npm package `@gatepost/session`.

use std::fs;
use std::process::Command;

use anyhow::Result;
use gatepost_e2e::built;
use gatepost_e2e::tools::{Browser, Source, Tool as _};

use crate::build::Toolchain;
use crate::setup;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only build: session/js/dist/
    #[arg(long)]
    no_test: bool,
    /// Compiler to use; without this, rustup's where it can have the target, else Debian's
    #[arg(long, value_enum)]
    toolchain: Option<Toolchain>,
}

/// Builds the package and, unless `--no-test` is given, tests it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let source = arguments.toolchain.map(Source::from);
    setup::js(source)?;
    let dist = built::build_session_js(source)?.join("dist");
    let module = fs::metadata(dist.join("wasm/gatepost_session_bg.wasm"))?;
    println!("{} (module: {} bytes)", dist.display(), module.len());
    if arguments.no_test {
        return Ok(());
    }
    built::run(&mut test_command(None)?)
}

/// Returns the command that tests the built package in Node.js, Chromium and the other runtimes:
/// all of it, or the tests whose name contains a text.
pub(crate) fn test_command(filter: Option<&str>) -> Result<Command> {
    let package = built::session_js()?;
    let mut command = Command::new("node");
    command.args(["--test", "--test-reporter=spec"]);
    if let Some(filter) = filter {
        command.args(["--test-name-pattern", filter]);
    }
    // Named one by one: versions of Node.js read a folder or a pattern differently.
    let mut tests = Vec::new();
    for entry in fs::read_dir(package.join("test"))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            tests.push(path);
        }
    }
    tests.sort();
    command
        .args(tests)
        .env("GATEPOST_CHROMIUM", Browser::Chromium.locate()?)
        .current_dir(package);
    Ok(command)
}
