use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Tool, apt, on_path};

/// Where Debian's package has the tables of the database.
const TABLES: &str = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3";

/// Glewlwyd, an OpenID provider, with what makes its database.
#[derive(Clone, Copy, Debug)]
pub struct Glewlwyd;

/// An installed Glewlwyd.
#[derive(Clone, Debug)]
pub struct GlewlwydFiles {
    pub(crate) program: PathBuf,
    pub(crate) sqlite: PathBuf,
    /// The statements that make its tables.
    pub(crate) tables: PathBuf,
}

impl Tool for Glewlwyd {
    type Installed = GlewlwydFiles;

    fn name(&self) -> String {
        "Glewlwyd (Debian: glewlwyd, sqlite3)".to_owned()
    }

    fn find(&self) -> Result<Option<GlewlwydFiles>> {
        let tables = Path::new(TABLES);
        let programs = on_path("glewlwyd").zip(on_path("sqlite3"));
        let installed = programs.filter(|_| tables.is_file());
        Ok(installed.map(|(program, sqlite)| GlewlwydFiles {
            program,
            sqlite,
            tables: tables.to_owned(),
        }))
    }

    fn install(&self) -> Result<()> {
        apt::install(&["glewlwyd", "sqlite3"])
    }
}
