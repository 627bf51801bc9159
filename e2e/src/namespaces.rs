//! Test programs that run in namespaces of their own: what they do to networks and mounts is
//! invisible to the rest of the machine, and ends with them.

use std::env;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use nix::unistd::geteuid;

/// Says to a process that it is in the namespaces of the tests' own.
const INSIDE: &str = "E2E_OWN_NAMESPACES";

/// Whether this process is the one inside.
pub(crate) fn inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs this test program again in namespaces of its own, and returns its exit code. `flags` are
/// those of `unshare`.
///
/// # Errors
///
/// When the system does not let this user have such namespaces.
pub(crate) fn run_inside(flags: &[&str], variables: &[(&str, &str)]) -> Result<ExitCode> {
    if !unshare(flags).arg("true").output()?.status.success() {
        bail!("this system gives no namespaces to its users: run as root");
    }
    let status = unshare(flags)
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .envs(variables.iter().copied())
        .status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn unshare(flags: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(flags);
    if !geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
}
