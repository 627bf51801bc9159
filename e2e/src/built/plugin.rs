//! Building the plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{is_newer, run};
use crate::layout;
use crate::tools::{NodePackages, Source, TARGET, Tool as _, WasmToolchain};

/// The most that the plugin may take: Traefik compiles it for every router at each reload.
const MAX_BYTES: u64 = 150_000;

/// Flags for rustc, the same whichever compiler builds the plugin.
const RUSTFLAGS: &str = concat!(
    // The plugin's stack. Every request in flight holds a whole instance, so memory that the plugin
    // does not use must not be reserved.
    "-C link-arg=-zstack-size=16384",
    // For SHA-256: as small as its compact form, and faster than its rounds written out one by one,
    // which would be 6 KB more. wazero has had it since its first release.
    " -C target-feature=+simd128",
);

/// The passes of the optimiser, and the features of WebAssembly that rustc's target has anyway.
const WASM_OPT_ARGUMENTS: &[&str] = &[
    // No address wraps around to below 1024, where the far end of the stack is: so a small constant
    // that is added to an address can be part of the instruction that uses it.
    "--low-memory-unused",
    "-Oz",
    // Rebuilds the control flow: smaller, and a quarter less to execute for a verdict.
    "--flatten",
    "--rereloop",
    "-Oz",
    "-Oz",
    "--reorder-functions",
    "--reorder-locals",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// Compiles and optimises the plugin, and checks its size.
pub(super) fn build(source: Option<Source>) -> Result<PathBuf> {
    let source = WasmToolchain { source }.locate()?;
    // Apart from other builds: the two compilers must not take each other's results for stale.
    let build_dir = layout::target_dir().join(match source {
        Source::Rustup => "plugin/rustup",
        Source::Debian => "plugin/debian",
    });
    run(WasmToolchain::cargo_build(source, RUSTFLAGS)
        .args(["--profile", "plugin", "--locked"])
        .args(["--package", "gatepost-plugin"])
        .arg("--target-dir")
        .arg(&build_dir))?;
    let compiled = build_dir.join(TARGET).join("plugin/gatepost-plugin.wasm");
    let optimised = build_dir.join("plugin.wasm");
    let optimiser = [
        layout::root().join(file!()),
        NodePackages::wasm_opt().lock_file(),
    ];
    let inputs = [&optimiser[..], std::slice::from_ref(&compiled)].concat();
    if !is_newer(&optimised, &inputs)? {
        optimise(&compiled, &optimised)?;
    }
    let bytes = fs::metadata(&optimised)?.len();
    if bytes > MAX_BYTES {
        bail!("the plugin has {bytes} bytes and may have at most {MAX_BYTES}");
    }
    publish(&optimised, &layout::target_dir().join("plugin/plugin.wasm"))
}

/// Puts the module where users and tests look for it, in one step: a Traefik may be reading it.
fn publish(optimised: &Path, published: &Path) -> Result<PathBuf> {
    let draft = published.with_extension("draft");
    fs::copy(optimised, &draft).with_context(|| format!("write {}", draft.display()))?;
    fs::rename(&draft, published).with_context(|| format!("write {}", published.display()))?;
    Ok(published.to_owned())
}

/// Makes a compiled module smaller. `to` may be `from`.
///
/// # Errors
///
/// When the optimiser is not installed or fails.
pub fn optimise(from: &Path, to: &Path) -> Result<()> {
    let optimiser = NodePackages::wasm_opt().locate()?;
    run(Command::new("node")
        .arg(optimiser.join("node_modules/binaryen/bin/wasm-opt"))
        .args(WASM_OPT_ARGUMENTS)
        .arg(from)
        .arg("--output")
        .arg(to))
}
