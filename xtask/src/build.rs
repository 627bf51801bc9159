//! Building the two programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use gatepost_e2e::layout;
use gatepost_e2e::tools::{NodePackages, Source, TARGET, Tool as _, WasmToolchain, cargo};

/// The package of `xtask/fill-store/`, and its program.
const FILL_STORE: &str = "gatepost-fill-store";

/// The most that the guest may take: Traefik compiles it for every router at each reload.
const MAX_PLUGIN_BYTES: u64 = 150_000;

/// What the linker is told about the guest's memory. Every request in flight holds a whole
/// instance, so what is not used by the guest must not be reserved by it.
const LINKER_ARGUMENTS: &[&str] = &["-zstack-size=16384"];

/// What the optimiser does, and the features of WebAssembly that rustc's target has anyway.
const WASM_OPT_ARGUMENTS: &[&str] = &[
    // No address wraps around to below 1024, where the far end of the stack is: so a small constant
    // that is added to an address can stand in the instruction that uses it.
    "--low-memory-unused",
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
];

#[derive(Debug, clap::Args)]
pub(crate) struct PluginArguments {
    /// Compiler to use; without this, rustup's where it can have the target, else Debian's
    #[arg(long, value_enum)]
    toolchain: Option<Toolchain>,
}

/// A compiler for WebAssembly, as the command line names it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Toolchain {
    Rustup,
    Debian,
}

impl From<Toolchain> for Source {
    fn from(toolchain: Toolchain) -> Self {
        match toolchain {
            Toolchain::Rustup => Self::Rustup,
            Toolchain::Debian => Self::Debian,
        }
    }
}

/// Builds the guest and checks its size.
pub(crate) fn plugin(arguments: &PluginArguments) -> Result<PathBuf> {
    build_plugin(arguments.toolchain.map(Source::from))
}

/// As [`plugin`], with whatever compiler is there.
pub(crate) fn default_plugin() -> Result<PathBuf> {
    build_plugin(None)
}

fn build_plugin(source: Option<Source>) -> Result<PathBuf> {
    let source = WasmToolchain { source }.ensure()?;
    // Apart from other builds: the two compilers must not take each other's results for stale.
    let build_dir = layout::target_dir().join(match source {
        Source::Rustup => "plugin/rustup",
        Source::Debian => "plugin/debian",
    });
    run(WasmToolchain::cargo_build(source, &rustflags())
        .args([
            "--profile",
            "plugin",
            "--locked",
            "--package",
            "gatepost-plugin",
        ])
        .arg("--target-dir")
        .arg(&build_dir))?;
    let built = build_dir.join(TARGET).join("plugin/gatepost-plugin.wasm");
    let wasm = layout::target_dir().join("plugin/plugin.wasm");
    optimise(&built, &wasm)?;
    let bytes = fs::metadata(&wasm)?.len();
    println!("{} {bytes} bytes", wasm.display());
    if bytes > MAX_PLUGIN_BYTES {
        bail!("the plugin may have at most {MAX_PLUGIN_BYTES} bytes");
    }
    Ok(wasm)
}

/// Makes a compiled module smaller. `to` may be `from`.
pub(crate) fn optimise(from: &Path, to: &Path) -> Result<()> {
    let optimiser = NodePackages::wasm_opt().ensure()?;
    run(Command::new("node")
        .arg(optimiser.join("node_modules/binaryen/bin/wasm-opt"))
        .args(WASM_OPT_ARGUMENTS)
        .arg(from)
        .arg("--output")
        .arg(to))
}

/// Which form of SHA-256 the guest has. Its rounds written out one by one would be 6 KB more.
const COMPACT_HASH: &str = "--cfg sha2_backend_soft=\"compact\"";

/// Flags for rustc, the same whichever compiler builds the guest.
pub(crate) fn rustflags() -> String {
    let flag = |argument: &&str| format!("-C link-arg={argument}");
    let linking = LINKER_ARGUMENTS.iter().map(flag);
    let flags: Vec<String> = linking.chain([COMPACT_HASH.to_owned()]).collect();
    flags.join(" ")
}

/// Builds the outpost as the demo and the tests run it.
///
/// In the dev profile: it is built in a fraction of the time of a release (which optimises across
/// all crates), and sign-in on loopback is no slower for a person.
pub(crate) fn outpost() -> Result<()> {
    run(&mut cargo(&["build", "--locked", "--package", "gatepost"]))
}

/// Builds the program that puts sessions into a store.
pub(crate) fn fill_store() -> Result<()> {
    run(&mut cargo(&["build", "--locked", "--package", FILL_STORE]))
}

/// Returns the path of the program that [`fill_store`] builds.
pub(crate) fn fill_store_path() -> PathBuf {
    layout::target_dir().join("debug").join(FILL_STORE)
}

/// Builds the outpost as it is installed.
pub(crate) fn release_outpost() -> Result<()> {
    run(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "--package",
        "gatepost",
    ]))
}

/// Where [`release_outpost`] puts it.
pub(crate) fn release_outpost_path() -> PathBuf {
    layout::target_dir().join("release/gatepost")
}

/// Runs a command whose output a person watches.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}
