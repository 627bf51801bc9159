//! Packages of Debian and its relatives.

use std::process::Command;

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use super::{on_path, run};

/// Installs packages of the system, or says how where that takes another user or another system.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if on_path("apt-get").is_none() {
        bail!("install {list} (Debian's names) with this system's package manager");
    }
    if !geteuid().is_root() {
        bail!("run `sudo apt-get install --no-install-recommends {list}`");
    }
    // The lists of a fresh machine or image are often empty or too old for the archive.
    run(apt_get().arg("update"))?;
    run(apt_get()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}
