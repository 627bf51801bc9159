use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Tool, apt, on_path, run};

/// A compiler of programs that need nothing of the system they run on: linked with musl, which has
/// no loader to be found there.
#[derive(Clone, Copy, Debug)]
pub struct StaticToolchain;

impl StaticToolchain {
    /// Returns the target for machines like this one.
    pub fn target() -> String {
        format!("{}-unknown-linux-musl", std::env::consts::ARCH)
    }

    fn has_libraries() -> bool {
        let libraries = Command::new("rustc")
            .args(["--print", "target-libdir", "--target", &Self::target()])
            .output();
        libraries.is_ok_and(|output| {
            let folder = String::from_utf8_lossy(&output.stdout);
            output.status.success() && Path::new(folder.trim()).is_dir()
        })
    }
}

impl Tool for StaticToolchain {
    type Installed = String;

    fn name(&self) -> String {
        format!("a Rust and a C compiler for {}", Self::target())
    }

    fn find(&self) -> Result<Option<String>> {
        // The C compiler is for the parts of the cryptography that are in C and assembly.
        let is_there = Self::has_libraries() && on_path("musl-gcc").is_some();
        Ok(is_there.then(Self::target))
    }

    fn install(&self) -> Result<()> {
        if !Self::has_libraries() {
            run(Command::new("rustup").args(["target", "add", &Self::target()]))?;
        }
        if on_path("musl-gcc").is_none() {
            apt::install(&["musl-tools"])?;
        }
        Ok(())
    }
}
