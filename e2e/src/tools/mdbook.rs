use std::path::PathBuf;

use anyhow::Result;

use super::{Tool, cargo, run};
use crate::layout;

/// Compiled once and kept; a book must look the same whichever machine builds it.
const VERSION: &str = "0.5.4";

/// The program that makes a book of the documentation.
#[derive(Clone, Copy, Debug)]
pub struct Mdbook;

impl Mdbook {
    fn folder() -> PathBuf {
        layout::tools_dir().join(format!("mdbook-{VERSION}"))
    }
}

impl Tool for Mdbook {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("mdbook {VERSION} (crates.io)")
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        let program = Self::folder().join("bin/mdbook");
        Ok(program.is_file().then_some(program))
    }

    fn install(&self) -> Result<()> {
        // Without the server, which nothing here needs.
        let mut command = cargo(&["install", "mdbook", "--locked", "--version", VERSION]);
        command
            .args(["--no-default-features", "--features", "search", "--root"])
            .arg(Self::folder())
            .env("CARGO_TARGET_DIR", layout::tools_dir().join("mdbook-build"));
        run(&mut command)?;
        // Hundreds of megabytes that nothing reads again.
        Ok(std::fs::remove_dir_all(
            layout::tools_dir().join("mdbook-build"),
        )?)
    }
}
