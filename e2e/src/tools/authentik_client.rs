use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Tool, apt, on_path, run};
use crate::layout;

/// The release of authentik whose API's models the double's answers are held against.
const VERSION: &str = "2026.8.5";

/// authentik's own client in Python, in a virtual environment: what it is used for are its models,
/// which are made of the API's schema.
#[derive(Clone, Copy, Debug)]
pub struct AuthentikClient;

impl AuthentikClient {
    fn folder(self) -> PathBuf {
        layout::tools_dir().join(format!("authentik-client-{VERSION}"))
    }
}

impl Tool for AuthentikClient {
    /// The Python that finds it.
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("the models of authentik's API (PyPI: authentik-client {VERSION})")
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        // The file is written last, so an installation that broke off is none.
        let done = self.folder().join("done").is_file();
        Ok(done.then(|| self.folder().join("bin/python")))
    }

    fn install(&self) -> Result<()> {
        let create = || {
            let mut command = Command::new("python3");
            command.args(["-m", "venv", "--clear"]).arg(self.folder());
            command
        };
        if on_path("python3").is_none() || run(&mut create()).is_err() {
            apt::install(&["python3", "python3-venv"])?;
            run(&mut create())?;
        }
        run(Command::new(self.folder().join("bin/python")).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
            &format!("authentik-client=={VERSION}"),
        ]))?;
        std::fs::write(self.folder().join("done"), VERSION)?;
        Ok(())
    }
}
