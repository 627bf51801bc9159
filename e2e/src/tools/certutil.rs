use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, apt, on_path};

/// The program that changes which authorities a Chromium trusts.
#[derive(Clone, Copy, Debug)]
pub struct Certutil;

impl Tool for Certutil {
    type Installed = PathBuf;

    fn name(&self) -> String {
        "certutil (Debian: libnss3-tools)".to_owned()
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        Ok(on_path("certutil"))
    }

    fn install(&self) -> Result<()> {
        apt::install(&["libnss3-tools"])
    }
}
