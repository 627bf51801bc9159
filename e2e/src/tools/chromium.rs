use std::env;
use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, apt, on_path};

/// A Chromium to drive. `GATEPOST_CHROMIUM` names another one.
#[derive(Clone, Copy, Debug)]
pub struct Chromium;

impl Tool for Chromium {
    type Installed = PathBuf;

    fn name(&self) -> String {
        "Chromium".to_owned()
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(path) = env::var_os("GATEPOST_CHROMIUM") {
            return Ok(Some(path.into()));
        }
        let names = ["chromium", "chromium-browser", "google-chrome"];
        Ok(names.into_iter().find_map(on_path))
    }

    fn install(&self) -> Result<()> {
        apt::install(&["chromium"])
    }
}
