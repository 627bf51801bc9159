//! Where things are: the checkout, the built programs, the tools.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The top of the checkout.
pub fn root() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().unwrap_or(crate_dir).to_owned()
}

/// Cargo's target directory: `CARGO_TARGET_DIR` where set, else `target/` in the checkout.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where [`crate::tools`] installs what it may keep in the checkout.
pub fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// Where logs, screenshots and other traces of a run go. They stay there after it.
pub fn artefacts_dir() -> PathBuf {
    target_dir().join("e2e")
}

/// Where `cargo xtask plugin` puts the guest, whether or not it is there.
pub fn plugin_wasm_path() -> PathBuf {
    from_env("GATEPOST_PLUGIN_WASM").unwrap_or_else(|| target_dir().join("plugin/plugin.wasm"))
}

/// The built guest.
///
/// # Errors
///
/// When it has not been built: says how.
pub fn plugin_wasm() -> Result<PathBuf> {
    built(plugin_wasm_path(), "the plugin", "cargo xtask plugin")
}

/// The outpost's binary.
///
/// # Errors
///
/// When it has not been built: says how.
pub fn outpost_binary() -> Result<PathBuf> {
    let path = from_env("GATEPOST_OUTPOST").unwrap_or_else(|| target_dir().join("debug/gatepost"));
    built(path, "the outpost", "cargo build --package gatepost")
}

/// The folder of the built npm package `@gatepost/session`.
///
/// # Errors
///
/// When it has not been built: says how.
pub fn session_js() -> Result<PathBuf> {
    let folder = root().join("session/js");
    let command = "cargo xtask js --no-test";
    built(folder.join("dist/index.js"), "the npm package", command)?;
    Ok(folder)
}

fn from_env(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from)
}

fn built(path: PathBuf, what: &str, command: &str) -> Result<PathBuf> {
    if !path.is_file() {
        bail!(
            "{what} is not built: {} is missing. Run `{command}`, or `cargo xtask test`, which \
             builds all that the end-to-end tests need",
            path.display()
        );
    }
    Ok(path)
}
