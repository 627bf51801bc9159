//! Builds that chores ask for by name.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use gatepost_e2e::built::run;
use gatepost_e2e::tools::{Source, cargo};
use gatepost_e2e::{built, layout};

use crate::setup;

/// The package of `xtask/fill-store/`, and its program.
const FILL_STORE: &str = "gatepost-fill-store";

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

/// Builds the plugin and says how large it is.
pub(crate) fn plugin(arguments: &PluginArguments) -> Result<()> {
    let source = arguments.toolchain.map(Source::from);
    setup::plugin(source)?;
    let plugin = built::build_plugin(source)?;
    let bytes = fs::metadata(&plugin)?.len();
    println!("{} {bytes} bytes", plugin.display());
    Ok(())
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

/// Returns the path to which [`release_outpost`] builds it.
pub(crate) fn release_outpost_path() -> PathBuf {
    layout::target_dir().join("release/gatepost")
}
