use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::{Tool, on_path, run};
use crate::layout;

/// A program that is built from the Go module proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoProgram {
    /// The path of its main package.
    pub package: &'static str,
    /// The module's version.
    pub version: &'static str,
    /// What `go install` calls it: the last element of the package's path.
    pub binary: &'static str,
}

impl GoProgram {
    fn folder(self) -> PathBuf {
        let name = self.package.replace('/', "_");
        layout::tools_dir().join(format!("go/{name}-{}", self.version))
    }
}

impl Tool for GoProgram {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("{}@{} (Go modules)", self.package, self.version)
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        let binary = self.folder().join(self.binary);
        Ok(binary.is_file().then_some(binary))
    }

    fn install(&self) -> Result<()> {
        if on_path("go").is_none() {
            bail!("install Go (https://go.dev/dl/)");
        }
        // As a tool of a module of our own: that names one version and never asks for the list of
        // all, which a mirror of the proxy may not have.
        let folder = self.folder();
        let module = folder.join("module");
        fs::create_dir_all(&module)?;
        fs::write(module.join("go.mod"), "module gatepost-tool\n\ngo 1.24\n")?;
        let tool = format!("{}@{}", self.package, self.version);
        run(go().args(["get", "-tool", &tool]).current_dir(&module))?;
        run(go()
            .args(["install", self.package])
            .env("GOBIN", &folder)
            .current_dir(&module))
    }
}

fn go() -> Command {
    let mut command = Command::new("go");
    command.env("GOFLAGS", "-mod=mod");
    command
}
