use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

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
    /// The build tags that it needs.
    pub tags: &'static [&'static str],
    /// The `replace` lines of the module's own `go.mod`, which count only there.
    pub replacements: &'static [&'static str],
    /// The environment variable that may have the path of another build of the program.
    pub given_by: Option<&'static str>,
}

impl GoProgram {
    /// Ory Hydra, an OpenID provider, with the database that needs no server.
    pub const HYDRA: Self = Self {
        package: "github.com/ory/hydra/v2",
        version: "v2.3.0",
        binary: "hydra",
        tags: &["sqlite"],
        replacements: &["github.com/gobuffalo/pop/v6 => \
             github.com/ory/pop/v6 v6.2.1-0.20241121111754-e5dfc0f3344b"],
        given_by: None,
    };

    /// Dex 2.45.1, an OpenID provider. Its module's path has no major version, so that the release
    /// is known by its commit.
    pub const DEX: Self = Self {
        package: "github.com/dexidp/dex/cmd/dex",
        version: "v0.0.0-20260303133905-11d2eeb52b42",
        binary: "dex",
        tags: &[],
        replacements: &[],
        given_by: Some("GATEPOST_DEX"),
    };

    /// Authelia, an OpenID provider. Later releases need a module that few mirrors of the proxy
    /// have.
    pub const AUTHELIA: Self = Self {
        package: "github.com/authelia/authelia/v4/cmd/authelia",
        version: "v4.37.5",
        binary: "authelia",
        tags: &[],
        replacements: &[],
        given_by: Some("GATEPOST_AUTHELIA"),
    };

    /// Returns the path of another build that the person who runs the tests gives.
    pub fn given(self) -> Option<PathBuf> {
        self.given_by.and_then(env::var_os).map(PathBuf::from)
    }

    fn folder(self) -> PathBuf {
        let mut name = format!("go/{}-{}", self.package.replace('/', "_"), self.version);
        for tag in self.tags {
            name.push('-');
            name.push_str(tag);
        }
        layout::tools_dir().join(name)
    }

    /// Returns our own module, which has the program as a tool: it names one version, so that Go
    /// never asks for the list of all versions, which a mirror of the proxy may not have.
    fn module(self) -> String {
        let mut module = "module gatepost-tool\n\ngo 1.24\n".to_owned();
        for replacement in self.replacements {
            module.push_str("\nreplace ");
            module.push_str(replacement);
            module.push('\n');
        }
        module
    }
}

impl Tool for GoProgram {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("{}@{} (Go modules)", self.package, self.version)
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(given) = self.given() {
            if !given.is_file() {
                bail!("{}: {} is not a file", self.name(), given.display());
            }
            return Ok(Some(given));
        }
        let binary = self.folder().join(self.binary);
        Ok(binary.is_file().then_some(binary))
    }

    fn install(&self) -> Result<()> {
        if on_path("go").is_none() {
            bail!("install Go (https://go.dev/dl/)");
        }
        let tags = self.tags.join(",");
        let build = Build {
            package: self.package,
            version: self.version,
            module: &self.module(),
            sums: None,
            flags: &["-tags", &tags],
        };
        build.into(&self.folder())
    }
}

/// How a program is built from a module of our own of which it is a tool.
pub(super) struct Build<'b> {
    /// The path of its main package.
    pub(super) package: &'b str,
    /// The version of the module that has the package.
    pub(super) version: &'b str,
    /// Our module's `go.mod`.
    pub(super) module: &'b str,
    /// The `go.sum` to begin with, for a program that needs a module of which the checksum database
    /// knows nothing.
    pub(super) sums: Option<&'b Path>,
    /// Flags of `go install`.
    pub(super) flags: &'b [&'b str],
}

impl Build<'_> {
    /// Builds the program into this folder.
    pub(super) fn into(self, folder: &Path) -> Result<()> {
        let module = write_module(folder, self.module, self.sums)?;
        let tool = format!("{}@{}", self.package, self.version);
        run(go().args(["get", "-tool", &tool]).current_dir(&module))?;
        run(go()
            .arg("install")
            .args(self.flags)
            .arg(self.package)
            .env("GOBIN", folder)
            .current_dir(&module))
    }
}

/// Writes a module of our own below this folder, with its `go.mod` and the `go.sum` to begin with, and returns
/// where it is.
pub(super) fn write_module(folder: &Path, go_mod: &str, sums: Option<&Path>) -> Result<PathBuf> {
    let module = folder.join("module");
    fs::create_dir_all(&module)?;
    fs::write(module.join("go.mod"), go_mod)?;
    if let Some(sums) = sums {
        // Read, since the file of the module cache is read-only, and Go adds to this one.
        fs::write(module.join("go.sum"), fs::read(sums)?)?;
    }
    Ok(module)
}

/// A module that the proxy of Go modules has handed out.
pub(super) struct Downloaded {
    /// Its `go.mod`.
    pub(super) go_mod: PathBuf,
    /// Its files.
    pub(super) folder: PathBuf,
}

/// Downloads a module, `path@version`, into Go's own cache.
pub(super) fn download(module: &str) -> Result<Downloaded> {
    if on_path("go").is_none() {
        bail!("install Go (https://go.dev/dl/)");
    }
    let output = go().args(["mod", "download", "-json", module]).output()?;
    let said: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let path = |key: &str| {
        let path = said.get(key).and_then(Value::as_str).map(PathBuf::from);
        path.with_context(|| format!("{module}: {said}"))
    };
    Ok(Downloaded {
        go_mod: path("GoMod")?,
        folder: path("Dir")?,
    })
}

pub(super) fn go() -> Command {
    let mut command = Command::new("go");
    command.env("GOFLAGS", "-mod=mod");
    command
}
