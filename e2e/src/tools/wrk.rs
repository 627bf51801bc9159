use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, apt, on_path};

/// The load generator.
#[derive(Clone, Copy, Debug)]
pub struct Wrk;

impl Tool for Wrk {
    type Installed = PathBuf;

    fn name(&self) -> String {
        "wrk (Debian: wrk)".to_owned()
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        Ok(on_path("wrk"))
    }

    fn install(&self) -> Result<()> {
        apt::install(&["wrk"])
    }
}
