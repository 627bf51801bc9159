//! What a compose file has, running.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Engine;
use crate::tools::{PythonPackage, Tool as _, output, run};

/// The containers, networks and volumes of compose files, until this is dropped.
#[derive(Debug)]
pub struct Composition<'e> {
    engine: &'e Engine,
    project: String,
    files: Vec<PathBuf>,
}

impl<'e> Composition<'e> {
    /// Starts everything that these files have, of which a later one adds to the first.
    ///
    /// # Errors
    ///
    /// When something does not start.
    pub fn up(engine: &'e Engine, project: &str, files: &[&Path]) -> Result<Self> {
        let composition = Self {
            engine,
            project: project.to_owned(),
            files: files.iter().map(|file| (*file).to_owned()).collect(),
        };
        composition.start()?;
        Ok(composition)
    }

    /// Starts everything again.
    ///
    /// # Errors
    ///
    /// When something does not start.
    pub fn start(&self) -> Result<()> {
        self.compose(&["up", "--detach", "--no-build"]).map(drop)
    }

    /// Removes the containers and networks. Volumes stay.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub fn stop(&self) -> Result<()> {
        self.compose(&["down"]).map(drop)
    }

    /// Returns the name of a service's container.
    pub fn container(&self, service: &str) -> String {
        format!("{}_{service}_1", self.project)
    }

    /// Returns the name of the network of all services.
    pub fn network(&self) -> String {
        format!("{}_default", self.project)
    }

    fn compose(&self, arguments: &[&str]) -> Result<String> {
        let python = PythonPackage::PODMAN_COMPOSE.locate()?;
        let mut command = Command::new(python.with_file_name("podman-compose"));
        command.args(["--project-name", &self.project]);
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        let folder = self.files.first().and_then(|file| file.parent());
        command
            .args(arguments)
            .current_dir(folder.context("a compose file is in a folder")?);
        output(&mut command)
    }

    /// Keeps what each container has said, for the reader of a failed test.
    fn keep_logs(&self) -> Result<()> {
        let label = format!("label=io.podman.compose.project={}", self.project);
        let names =
            self.engine
                .podman(&["ps", "--all", "--filter", &label, "--format={{.Names}}"])?;
        for name in names.lines() {
            let mut command = Command::new("sh");
            command
                .args(["-c", "podman logs \"$0\" > \"$1\" 2>&1", name])
                .arg(self.engine.logs.join(format!("{name}.log")));
            run(&mut command)?;
        }
        Ok(())
    }
}

impl Drop for Composition<'_> {
    fn drop(&mut self) {
        let removed = self.keep_logs().and_then(|()| {
            self.compose(&["down", "--volumes", "--timeout=1"])
                .map(drop)
        });
        if let Err(error) = removed {
            eprintln!("containers are left for the next test: {error:#}");
        }
    }
}
