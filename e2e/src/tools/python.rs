use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Tool, apt, on_path, run};
use crate::layout;

/// A package of PyPI with its dependencies, in its own virtual environment.
#[derive(Clone, Copy, Debug)]
pub struct PythonPackage {
    name: &'static str,
    version: &'static str,
    /// Its optional parts, as pip writes them.
    extras: &'static str,
    meaning: &'static str,
}

impl PythonPackage {
    /// authentik's own client: the tests compare the double's responses with its models, which are
    /// generated from the API's schema.
    pub const AUTHENTIK_CLIENT: Self = Self {
        name: "authentik-client",
        version: "2026.8.5",
        extras: "",
        meaning: "the models of authentik's API",
    };

    /// The schemas of Kubernetes' objects, and a program that checks manifests against them.
    pub const KUBERNETES_VALIDATE: Self = Self {
        name: "kubernetes-validate",
        version: "1.37.0",
        extras: "",
        meaning: "the schemas of Kubernetes' objects",
    };

    /// Verifies assertions for an application.
    pub const PYJWT: Self = Self {
        name: "PyJWT",
        version: "2.15.1",
        extras: "[crypto]",
        meaning: "a library for signed tokens",
    };

    /// A server for applications of WSGI, which takes the beginning of the path from a header.
    pub const GUNICORN: Self = Self {
        name: "gunicorn",
        version: "27.0.1",
        extras: "",
        meaning: "a server for applications of WSGI",
    };

    /// Starts what a compose file has, by Podman.
    pub const PODMAN_COMPOSE: Self = Self {
        name: "podman-compose",
        version: "1.6.0",
        extras: "",
        meaning: "compose files on Podman",
    };

    /// Canaille, an OpenID provider, with what it needs to be a server with a database in a file.
    pub const CANAILLE: Self = Self {
        name: "canaille",
        version: "0.3.6",
        extras: "[front,oidc,server,sqlite]",
        meaning: "Canaille",
    };

    fn folder(self) -> PathBuf {
        layout::tools_dir().join(format!("{}-{}", self.name, self.version))
    }
}

impl Tool for PythonPackage {
    /// The Python that finds it.
    type Installed = PathBuf;

    fn name(&self) -> String {
        let Self {
            name,
            version,
            meaning,
            ..
        } = self;
        format!("{meaning} (PyPI: {name} {version})")
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        // The file is written last, so an unfinished installation does not count.
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
            &format!("{}{}=={}", self.name, self.extras, self.version),
        ]))?;
        std::fs::write(self.folder().join("done"), self.version)?;
        Ok(())
    }
}
