//! Building the npm package `@gatepost/session`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{is_newer, optimise, run};
use crate::layout;
use crate::tools::{JS_TARGET, NodePackages, Source, Tool as _, WasmToolchain, cargo};

/// A page of memory for the stack: more than the verifier needs, less than a mebibyte for nothing.
/// It lies below all else, so one that overflows ends in a trap.
const RUSTFLAGS: &str = "-C link-arg=-zstack-size=65536";

/// What of the package's folder the built package is made of.
const SOURCES: &[&str] = &[
    "bindgen/src",
    "inline.mjs",
    "package-lock.json",
    "ts",
    "tsconfig.json",
];

/// Compiles the binding and the TypeScript around it.
pub(super) fn build(source: Option<Source>) -> Result<PathBuf> {
    let package = NodePackages::session_js().locate()?;
    let compiled = compile(source)?;
    let mut inputs = vec![compiled.clone(), layout::root().join(file!())];
    inputs.extend(SOURCES.iter().map(|name| package.join(name)));
    if !is_newer(&package.join("dist/index.js"), &inputs)? {
        package_up(&package, &compiled)?;
    }
    Ok(package)
}

fn package_up(package: &Path, compiled: &Path) -> Result<()> {
    let dist = package.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("remove {}", dist.display()))?;
    }
    let folder = dist.join("wasm");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    run(cargo(&["run", "--quiet", "--locked"])
        .args(["--package", "gatepost-session-bindgen", "--"])
        .arg(compiled)
        .arg(&folder))?;
    let module = folder.join("gatepost_session_bg.wasm");
    optimise(&module, &module)?;
    run(Command::new("node").arg("inline.mjs").current_dir(package))?;
    run(Command::new("node")
        .arg("node_modules/typescript/bin/tsc")
        .current_dir(package))
}

/// Compiles the binding.
fn compile(source: Option<Source>) -> Result<PathBuf> {
    let source = WasmToolchain { source }.locate()?;
    // Apart from the plugin: another target, with another standard library.
    let build_dir = layout::target_dir().join(match source {
        Source::Rustup => "session-js/rustup",
        Source::Debian => "session-js/debian",
    });
    run(WasmToolchain::cargo_build_js(source, RUSTFLAGS)
        .args(["--profile", "plugin", "--locked"])
        .args(["--package", "gatepost-session-js"])
        .arg("--target-dir")
        .arg(&build_dir)
        // wasm-bindgen reads the symbols, and strips them itself.
        .env("CARGO_PROFILE_PLUGIN_STRIP", "none"))?;
    Ok(build_dir
        .join(JS_TARGET)
        .join("plugin/gatepost_session_js.wasm"))
}
