//! The programs under test, built from the sources of this checkout.
//!
//! Each is built once per process, and only where its sources are newer than the last build, so
//! that a single test that is run from an editor never meets a stale program. Where the
//! environment names a program that is built already, as `cargo xtask test` does, nothing is built.

mod deb;
mod plugin;
mod session_js;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context as _, Error, Result, bail};

use crate::layout;
use crate::tools::{Source, StaticToolchain, Tool as _, cargo};

pub use deb::debian_package;
pub use plugin::optimise;

/// Names a built outpost. (Not `GATEPOST_…`: the outpost takes such variables for settings.)
pub const OUTPOST: &str = "E2E_OUTPOST";

/// Names a built outpost that is linked statically.
pub const STATIC_OUTPOST: &str = "E2E_STATIC_OUTPOST";

/// Names a built plugin.
pub const PLUGIN: &str = "E2E_PLUGIN_WASM";

/// Names the folder of a built npm package `@gatepost/session`.
pub const SESSION_JS: &str = "E2E_SESSION_JS";

/// A program that is built at most once per process.
struct Program {
    variable: &'static str,
    build: fn() -> Result<PathBuf>,
    built: OnceLock<Result<PathBuf, String>>,
}

impl Program {
    const fn new(variable: &'static str, build: fn() -> Result<PathBuf>) -> Self {
        Self {
            variable,
            build,
            built: OnceLock::new(),
        }
    }

    fn path(&self) -> Result<PathBuf> {
        let path = self.built.get_or_init(|| {
            let path = match env::var_os(self.variable) {
                Some(path) => Ok(PathBuf::from(path)),
                None => (self.build)(),
            };
            path.map_err(|error| format!("{error:#}"))
        });
        path.clone().map_err(Error::msg)
    }
}

/// Returns the outpost's binary.
///
/// # Errors
///
/// When it cannot be built.
pub fn outpost() -> Result<PathBuf> {
    static PROGRAM: Program = Program::new(OUTPOST, build_outpost);
    PROGRAM.path()
}

/// Returns the outpost's binary for container images: linked statically, as releases are.
///
/// # Errors
///
/// When it cannot be built.
pub fn static_outpost() -> Result<PathBuf> {
    static PROGRAM: Program = Program::new(STATIC_OUTPOST, build_static_outpost);
    PROGRAM.path()
}

/// Returns the command for the outpost's program, without the variables that the tests have for
/// themselves.
///
/// # Errors
///
/// When it cannot be built.
pub fn gatepost() -> Result<Command> {
    Ok(gatepost_at(&outpost()?))
}

/// Returns the same command as [`gatepost`], with another build of the program.
pub(crate) fn gatepost_at(program: &Path) -> Command {
    let mut command = Command::new(program);
    // The program would take `GATEPOST_TRAEFIK` and its like for settings.
    for (variable, _) in env::vars_os() {
        if variable.to_string_lossy().starts_with("GATEPOST_") {
            command.env_remove(variable);
        }
    }
    command
}

/// Returns the plugin: a WebAssembly module.
///
/// # Errors
///
/// When it cannot be built.
pub fn plugin() -> Result<PathBuf> {
    static PROGRAM: Program = Program::new(PLUGIN, || build_plugin(None));
    PROGRAM.path()
}

/// Returns the folder of the npm package `@gatepost/session`, with its build.
///
/// # Errors
///
/// When it cannot be built.
pub fn session_js() -> Result<PathBuf> {
    static PROGRAM: Program = Program::new(SESSION_JS, || build_session_js(None));
    PROGRAM.path()
}

/// Builds the outpost in the dev profile: that takes a fraction of the time of a release, which
/// optimises across all crates, and sign-in on loopback is no slower for a person.
fn build_outpost() -> Result<PathBuf> {
    run(&mut cargo(&["build", "--locked", "--package", "gatepost"]))?;
    Ok(outpost_path())
}

/// Builds the outpost for images, in the dev profile too.
fn build_static_outpost() -> Result<PathBuf> {
    let target = StaticToolchain.locate()?;
    let arguments = ["build", "--locked", "--package", "gatepost", "--target"];
    run(cargo(&arguments).arg(&target))?;
    Ok(layout::target_dir().join(target).join("debug/gatepost"))
}

/// Returns the path of the outpost that [`outpost`] builds.
pub fn outpost_path() -> PathBuf {
    layout::target_dir().join("debug/gatepost")
}

/// Builds the plugin where its sources are newer, with the compiler from this source or with the
/// one that is installed: `target/plugin/plugin.wasm`.
///
/// # Errors
///
/// When a tool is missing, it does not compile, or it is larger than it may be.
pub fn build_plugin(source: Option<Source>) -> Result<PathBuf> {
    let _lock = lock("plugin")?;
    plugin::build(source)
}

/// Builds the npm package `@gatepost/session` where its sources are newer: `session/js/dist/`.
///
/// # Errors
///
/// When a tool is missing or it does not compile.
pub fn build_session_js(source: Option<Source>) -> Result<PathBuf> {
    let _lock = lock("session-js")?;
    session_js::build(source)
}

/// Runs a command whose output a person watches.
///
/// # Errors
///
/// When it cannot be run or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

/// Keeps other processes from building the same at the same time, as long as the lock lives.
fn lock(name: &str) -> Result<File> {
    let folder = layout::target_dir().join(name);
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let lock = File::create(folder.join(".lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Returns whether `output` is newer than each of these files, and than each file in those of them
/// that are folders.
fn is_newer(output: &Path, inputs: &[PathBuf]) -> Result<bool> {
    let Ok(output) = fs::metadata(output) else {
        return Ok(false);
    };
    let built = output.modified()?;
    for input in inputs {
        if newest(input)? >= built {
            return Ok(false);
        }
    }
    Ok(true)
}

fn newest(path: &Path) -> Result<SystemTime> {
    let metadata = fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
    let mut newest = metadata.modified()?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            newest = newest.max(self::newest(&entry?.path())?);
        }
    }
    Ok(newest)
}
