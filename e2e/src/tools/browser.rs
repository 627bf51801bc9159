use std::env;
use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, apt, on_path};

/// A browser to drive. `GATEPOST_CHROMIUM` and `GATEPOST_FIREFOX` name other ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Browser {
    /// Chromium.
    Chromium,
    /// Firefox.
    Firefox,
}

impl Tool for Browser {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        let (variable, programs): (_, &[&str]) = match self {
            Self::Chromium => (
                "GATEPOST_CHROMIUM",
                &["chromium", "chromium-browser", "google-chrome"],
            ),
            Self::Firefox => ("GATEPOST_FIREFOX", &["firefox-esr", "firefox"]),
        };
        if let Some(path) = env::var_os(variable) {
            return Ok(Some(path.into()));
        }
        Ok(programs.iter().copied().find_map(on_path))
    }

    fn install(&self) -> Result<()> {
        apt::install(&[match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox-esr",
        }])
    }
}
