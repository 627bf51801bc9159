//! A disk that can be full.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// A small file system in memory, until it is dropped. Only the superuser can mount one.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many megabytes at this folder.
    ///
    /// # Errors
    ///
    /// When that is not allowed.
    pub fn mount(at: &Path, megabytes: u32) -> Result<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]);
        ensure!(mount.arg(at).output()?.status.success(), "cannot mount");
        Ok(Self(at.to_owned()))
    }

    /// Takes all the room that is left.
    ///
    /// # Errors
    ///
    /// When not even a file can be begun.
    pub fn fill(&self) -> Result<()> {
        let mut file = fs::File::create(self.filler())?;
        for size in [64 * 1_024, 4_096] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    }

    /// Gives that room back.
    ///
    /// # Errors
    ///
    /// When it was not taken.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
