//! The programs that a stack needs and that a machine may lack.
//!
//! Each is a [`Tool`]: tests [`locate`](Tool::locate) it and fail with what to run where it is
//! missing; chores [`ensure`](Tool::ensure) it, which installs it with the ordinary client of its
//! registry. Tools that can be kept in the checkout go to `target/tools/`; the others are packages
//! of the system, which are installed where that is possible without asking, and elsewhere named.

mod apt;
mod browser;
mod cilium;
mod envoy;
mod faketime;
mod glewlwyd;
mod go;
mod ingress_controller;
mod keycloak;
mod kubernetes;
mod mdbook;
mod musl;
mod node;
mod packaged;
mod pip;
mod python;
mod systemd;
mod traefik;
mod wasm;

use std::fs::{self, File};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

pub use browser::Browser;
pub use cilium::{CiliumTranslator, InstalledTranslator};
pub use envoy::Envoy;
pub use faketime::Faketime;
pub use glewlwyd::{Glewlwyd, GlewlwydFiles};
pub use go::GoProgram;
pub use ingress_controller::{IngressController, InstalledController};
pub use keycloak::{Keycloak, KeycloakHome};
pub use kubernetes::{CustomResources, InstalledClients, KubeApiServer, KubernetesClients};
pub use mdbook::Mdbook;
pub use musl::StaticToolchain;
pub use node::{Node, NodePackages};
pub(crate) use packaged::NGINX_MODULES;
pub use packaged::Packaged;
pub use python::PythonPackage;
pub use systemd::SystemdRoot;
pub use traefik::{OldestTraefik, Traefik};
pub use wasm::{JS_TARGET, Source, TARGET, WasmToolchain};

use crate::layout;

/// A program, or a set of files, that may have to be installed.
pub trait Tool {
    /// Where it is, once it is there.
    type Installed;

    /// Returns its name in a progress line.
    fn name(&self) -> String;

    /// Looks for it. Quick, and changes nothing.
    ///
    /// # Errors
    ///
    /// When looking is not possible.
    fn find(&self) -> Result<Option<Self::Installed>>;

    /// Installs it. Called only when it was not found.
    ///
    /// # Errors
    ///
    /// When it cannot be installed: says what a person can do.
    fn install(&self) -> Result<()>;

    /// Finds it, without ever installing.
    ///
    /// # Errors
    ///
    /// When it is missing.
    fn locate(&self) -> Result<Self::Installed> {
        self.find()?.with_context(|| {
            format!(
                "{} is not installed. Run `cargo xtask setup`, which installs the missing tools",
                self.name()
            )
        })
    }

    /// Finds it, or installs it with a progress line.
    ///
    /// # Errors
    ///
    /// When it cannot be installed.
    fn ensure(&self) -> Result<Self::Installed> {
        if let Some(installed) = self.find()? {
            return Ok(installed);
        }
        // Two chores may run at the same time; the second then finds the tool that the first has
        // installed.
        let folder = layout::tools_dir();
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let lock = File::create(folder.join(".lock"))?;
        lock.lock()?;
        if self.find()?.is_none() {
            eprintln!("Installing {} …", self.name());
            self.install()
                .with_context(|| format!("install {}", self.name()))?;
        }
        self.find()?
            .with_context(|| format!("{} was installed but is not there", self.name()))
    }
}

/// Returns the command for cargo, in the checkout, as if it were called from a shell.
///
/// A chore runs under cargo, which describes the chore's package in its environment. Build scripts
/// look at the same variables, and would be run again each time they differ.
pub fn cargo(arguments: &[&str]) -> Command {
    cargo_at("cargo", arguments)
}

/// Returns the same command as [`cargo`], with another program.
fn cargo_at(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(layout::root());
    for (name, _) in std::env::vars_os() {
        let about_package = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if about_package {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end; its output is shown only when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a command to its end, and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("run {shown}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "{shown} failed ({}):\n{said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(said.into_owned())
}

/// Returns the full path of a program in `PATH`.
fn on_path(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
