use std::env;
use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, apt, on_path};

/// A Firefox to drive. `GATEPOST_FIREFOX` names another one.
#[derive(Clone, Copy, Debug)]
pub struct Firefox;

impl Tool for Firefox {
    type Installed = PathBuf;

    fn name(&self) -> String {
        "Firefox".to_owned()
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(path) = env::var_os("GATEPOST_FIREFOX") {
            return Ok(Some(path.into()));
        }
        Ok(["firefox-esr", "firefox"].into_iter().find_map(on_path))
    }

    fn install(&self) -> Result<()> {
        apt::install(&["firefox-esr"])
    }
}
