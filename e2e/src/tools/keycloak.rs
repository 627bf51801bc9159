use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Tool, apt, on_path, run};
use crate::layout;

/// Keycloak, from Maven Central, built for a database in a file.
#[derive(Clone, Copy, Debug)]
pub struct Keycloak;

/// An installed Keycloak.
#[derive(Clone, Debug)]
pub struct KeycloakHome {
    folder: PathBuf,
}

impl Keycloak {
    /// The release that the tests run.
    pub const VERSION: &str = "26.7.3";

    /// The name and the password of its administrator.
    pub(crate) const ADMINISTRATOR: (&str, &str) = ("admin", "administrator-of-the-tests");
}

impl KeycloakHome {
    /// Returns the command that starts the server with this folder for its database. The folder
    /// begins as a copy of an initialised one, since creating the tables takes longer than the rest
    /// of a start.
    pub(crate) fn server(&self, data: &Path) -> Result<Command> {
        let database = data.join("keycloak.mv.db");
        if !database.is_file() {
            fs::copy(self.folder.join("gatepost/keycloak.mv.db"), database)?;
        }
        Ok(self.command(&["start", "--optimized"], data))
    }

    fn command(&self, arguments: &[&str], data: &Path) -> Command {
        // `NON_KEYWORDS` is part of the address that Keycloak has by default.
        let database = format!(
            "--db-url=jdbc:h2:file:{};NON_KEYWORDS=VALUE",
            data.join("keycloak").display()
        );
        let mut command = Command::new(self.folder.join("bin/kc.sh"));
        command
            .args(arguments)
            .arg(database)
            // It runs for a minute: the second compiler costs more than it gains.
            .env("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1");
        command
    }
}

impl Tool for Keycloak {
    type Installed = KeycloakHome;

    fn name(&self) -> String {
        format!(
            "Keycloak {} (Maven: org.keycloak:keycloak-quarkus-dist)",
            Self::VERSION
        )
    }

    fn find(&self) -> Result<Option<KeycloakHome>> {
        let folder = layout::tools_dir().join(format!("keycloak-{}", Self::VERSION));
        // The file is written last.
        let done = folder.join("gatepost/done").is_file() && on_path("java").is_some();
        Ok(done.then_some(KeycloakHome { folder }))
    }

    fn install(&self) -> Result<()> {
        if on_path("mvn").is_none() || on_path("java").is_none() {
            apt::install(&["maven", "openjdk-17-jre-headless"])?;
        }
        let tools = layout::tools_dir();
        let version = Self::VERSION;
        let artifact = format!("org.keycloak:keycloak-quarkus-dist:{version}:zip");
        run(Command::new("mvn")
            .args(["--batch-mode", "--quiet", "dependency:unpack"])
            .arg(format!("-Dartifact={artifact}"))
            .arg(format!("-DoutputDirectory={}", tools.display()))
            // Maven remembers outside of this folder that it has unpacked a release, and would not do it
            // again for another checkout.
            .arg("-Dmdep.overWriteReleases=true")
            // Where a `pom.xml` would be looked for.
            .current_dir(env::temp_dir()))?;
        let home = KeycloakHome {
            folder: tools.join(format!("keycloak-{version}")),
        };
        run(Command::new(home.folder.join("bin/kc.sh")).args([
            "build",
            "--db=dev-file",
            "--cache=local",
            "--health-enabled=true",
        ]))?;
        let data = home.folder.join("gatepost");
        fs::create_dir_all(&data)?;
        let (user, password) = Self::ADMINISTRATOR;
        let create = ["bootstrap-admin", "user", "--optimized", "--no-prompt"];
        run(home
            .command(&create, &data)
            .args(["--username", user, "--password:env", "PASSWORD"])
            .env("PASSWORD", password))?;
        fs::write(data.join("done"), version)?;
        Ok(())
    }
}
