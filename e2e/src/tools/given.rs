use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{Tool, apt, on_path};

/// A program that no package registry has: the person who runs the tests says where it is.
#[derive(Clone, Copy, Debug)]
pub struct GivenProgram {
    name: &'static str,
    /// The environment variable with its path.
    variable: &'static str,
    /// Where its makers publish it.
    source: &'static str,
}

impl GivenProgram {
    /// Dex, an OpenID provider.
    pub const DEX: Self = Self {
        name: "Dex",
        variable: "GATEPOST_DEX",
        source: "https://github.com/dexidp/dex",
    };
}

impl Tool for GivenProgram {
    type Installed = PathBuf;

    fn name(&self) -> String {
        let Self {
            name,
            variable,
            source,
        } = self;
        format!("{name} ({source}; `{variable}` is to have the path of the program)")
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        let Some(path) = env::var_os(self.variable).map(PathBuf::from) else {
            return Ok(None);
        };
        if !path.is_file() {
            bail!("{}: {} is not a file", self.variable, path.display());
        }
        Ok(Some(path))
    }

    fn install(&self) -> Result<()> {
        bail!("set `{}` to the path of the program", self.variable)
    }

    /// Finds it. There is nothing that `cargo xtask setup` could install.
    fn locate(&self) -> Result<PathBuf> {
        match self.find()? {
            Some(path) => Ok(path),
            None => bail!("{} is not there", self.name()),
        }
    }
}

/// The command line of SQLite, for a database of a given program.
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
