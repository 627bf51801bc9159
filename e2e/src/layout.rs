//! The folders of the checkout, of its builds and of the tools.

use std::env;
use std::path::{Path, PathBuf};

/// Returns the top of the checkout.
pub fn root() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().unwrap_or(crate_dir).to_owned()
}

/// Cargo's target directory: `CARGO_TARGET_DIR` where set, else `target/` in the checkout.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Returns the folder into which [`crate::tools`] installs tools inside the checkout.
pub fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// Returns the folder for logs, screenshots and other traces of a run, which are kept after it.
pub fn artefacts_dir() -> PathBuf {
    target_dir().join("e2e")
}
