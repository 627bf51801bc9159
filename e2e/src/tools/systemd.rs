use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Tool, apt, on_path, run};
use crate::layout;

/// Debian's release, whose systemd the unit is run by.
const RELEASE: &str = "bookworm";

/// A small Debian that starts with systemd: the folder with its files, to be run by a container engine
/// that keeps its changes elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct SystemdRoot;

impl SystemdRoot {
    fn path(self) -> PathBuf {
        layout::tools_dir().join(format!("systemd-{RELEASE}"))
    }
}

impl Tool for SystemdRoot {
    type Installed = PathBuf;

    fn name(&self) -> String {
        format!("a Debian with systemd (debootstrap: {RELEASE})")
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        let path = self.path();
        Ok(path.join("sbin/init").exists().then_some(path))
    }

    fn install(&self) -> Result<()> {
        if on_path("debootstrap").is_none() {
            apt::install(&["debootstrap"])?;
        }
        let path = self.path();
        let draft = path.with_extension("draft");
        if draft.exists() {
            fs::remove_dir_all(&draft)?;
        }
        fs::create_dir_all(&draft)?;
        run(Command::new("debootstrap")
            .arg("--variant=minbase")
            .arg("--include=systemd,systemd-sysv,ca-certificates,curl,passwd,procps")
            .arg(RELEASE)
            .arg(&draft))?;
        fs::rename(draft, path)?;
        Ok(())
    }
}
