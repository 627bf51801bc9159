//! `cargo xtask js`: the npm package `@gatepost/session`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use gatepost_e2e::layout;
use gatepost_e2e::tools::{
    Chromium, JS_TARGET, Node, NodePackages, Source, Tool as _, WasmToolchain, cargo,
};

use crate::build::{self, Toolchain};

/// A page of memory for the stack: more than the verifier needs, less than a mebibyte for nothing.
/// It lies below all else, so one that overflows ends in a trap.
const RUSTFLAGS: &str = "-C link-arg=-zstack-size=65536";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only build: session/js/dist/
    #[arg(long)]
    no_test: bool,
    /// Compiler to use; without this, rustup's where it can have the target, else Debian's
    #[arg(long, value_enum)]
    toolchain: Option<Toolchain>,
}

/// Builds the package and, unless told not to, tests it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    build(arguments.toolchain.map(Source::from))?;
    if arguments.no_test {
        return Ok(());
    }
    build::run(&mut test_command(None)?)
}

/// Builds the package into `session/js/dist/`.
pub(crate) fn build(source: Option<Source>) -> Result<()> {
    Node.ensure()?;
    let package = NodePackages::session_js().ensure()?;
    let wasm = compile(source)?;

    let dist = package.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("remove {}", dist.display()))?;
    }
    let folder = dist.join("wasm");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let bindgen = [
        "run",
        "--quiet",
        "--locked",
        "--package",
        "gatepost-session-bindgen",
        "--",
    ];
    build::run(cargo(&bindgen).arg(&wasm).arg(&folder))?;

    let module = folder.join("gatepost_session_bg.wasm");
    build::optimise(&module, &module)?;
    build::run(Command::new("node").arg("inline.mjs").current_dir(&package))?;
    build::run(
        Command::new("node")
            .arg("node_modules/typescript/bin/tsc")
            .current_dir(&package),
    )?;
    println!(
        "{} (module: {} bytes)",
        dist.display(),
        fs::metadata(&module)?.len()
    );
    Ok(())
}

/// Compiles the binding.
fn compile(source: Option<Source>) -> Result<PathBuf> {
    let source = WasmToolchain { source }.ensure()?;
    // Apart from the plugin: another target, with another standard library.
    let build_dir = layout::target_dir().join(match source {
        Source::Rustup => "session-js/rustup",
        Source::Debian => "session-js/debian",
    });
    build::run(
        WasmToolchain::cargo_build_js(source, RUSTFLAGS)
            .args(["--profile", "plugin", "--locked"])
            .args(["--package", "gatepost-session-js"])
            .arg("--target-dir")
            .arg(&build_dir)
            // wasm-bindgen reads what would be stripped, and strips it then.
            .env("CARGO_PROFILE_PLUGIN_STRIP", "none"),
    )?;
    Ok(build_dir
        .join(JS_TARGET)
        .join("plugin/gatepost_session_js.wasm"))
}

/// The command that tests the built package in Node.js, Chromium and the other runtimes: all of
/// it, or the tests whose name contains a text.
pub(crate) fn test_command(filter: Option<&str>) -> Result<Command> {
    let package = NodePackages::session_js().ensure()?;
    NodePackages::js_runtimes().ensure()?;
    let mut command = Command::new("node");
    command.args(["--test", "--test-reporter=spec"]);
    if let Some(filter) = filter {
        command.args(["--test-name-pattern", filter]);
    }
    // Named one by one: versions of Node.js differ in what they make of a folder or a pattern.
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
        .env("GATEPOST_CHROMIUM", Chromium.ensure()?)
        .current_dir(package);
    Ok(command)
}
