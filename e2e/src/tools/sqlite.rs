use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, apt, on_path};

/// The command line of SQLite, for a database of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Sqlite;

impl Tool for Sqlite {
    type Installed = PathBuf;

    fn name(&self) -> String {
        "SQLite (Debian: sqlite3)".to_owned()
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        Ok(on_path("sqlite3"))
    }

    fn install(&self) -> Result<()> {
        apt::install(&["sqlite3"])
    }
}
