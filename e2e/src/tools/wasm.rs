use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Tool, apt, cargo_at, on_path, run};
use crate::layout;

/// The target that Traefik's plugin runtime runs.
pub const TARGET: &str = "wasm32-wasip1";

/// The target of what JavaScript's engines run: no system, only memory and functions.
pub const JS_TARGET: &str = "wasm32-unknown-unknown";

/// Where a compiler for the plugin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The toolchain in use has the target and the standard library's sources.
    Rustup,
    /// Debian's `rustc-web`, which builds the standard library along, for machines where rustup
    /// is not there or cannot fetch a target.
    Debian,
}

/// A compiler for the plugin, and for the session in JavaScript: as the standard library is built
/// along, a compiler that can build the plugin can build the other too.
#[derive(Clone, Copy, Debug)]
pub struct WasmToolchain {
    /// Only this source, or `None` for any that is installed, rustup's first.
    pub source: Option<Source>,
}

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CRT: &str = "/usr/lib/wasm32-wasi/crt1.o";

impl WasmToolchain {
    /// Whichever compiler is there or can be had.
    pub const ANY: Self = Self { source: None };

    /// Returns `cargo build` for the plugin's target, with these flags for rustc, ready for more
    /// arguments.
    ///
    /// The standard library is built along: without its handling of panics, which a guest could not
    /// show, the plugin is a fifth smaller. These are options of nightly compilers; both sources
    /// have the library that belongs to their stable one.
    pub fn cargo_build(source: Source, rustflags: &str) -> Command {
        let mut flags = rustflags.to_owned();
        if source == Source::Debian {
            flags.push_str(" -C link-self-contained=no -L native=/usr/lib/wasm32-wasi");
            flags.push_str(" -C link-arg=");
            flags.push_str(DEBIAN_CRT);
        }
        Self::cargo_build_for(TARGET, source, &flags)
    }

    /// Returns the same as [`Self::cargo_build`], for JavaScript's engines.
    pub fn cargo_build_js(source: Source, rustflags: &str) -> Command {
        Self::cargo_build_for(JS_TARGET, source, rustflags)
    }

    fn cargo_build_for(target: &str, source: Source, rustflags: &str) -> Command {
        let program = match source {
            Source::Rustup => "cargo",
            Source::Debian => DEBIAN_CARGO,
        };
        let mut command = cargo_at(program, &["build", "--target", target]);
        command
            .arg("-Zbuild-std=std,panic_abort")
            .arg("-Zbuild-std-features=optimize_for_size")
            .env("RUSTC_BOOTSTRAP", "1");
        let flags = format!(
            "{rustflags} -Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none \
             -Zfmt-debug=none"
        );
        if source == Source::Debian {
            let linker = target.to_uppercase().replace('-', "_");
            command
                .env("RUSTC", DEBIAN_RUSTC)
                .env(format!("CARGO_TARGET_{linker}_LINKER"), "wasm-ld")
                // Set by a rustup cargo that this runs under, for its own compiler.
                .env_remove("LD_LIBRARY_PATH")
                .env_remove("RUSTUP_TOOLCHAIN");
        }
        command.env("RUSTFLAGS", flags);
        command
    }

    fn allows(self, source: Source) -> bool {
        self.source.is_none_or(|only| only == source)
    }
}

impl Tool for WasmToolchain {
    type Installed = Source;

    fn name(&self) -> String {
        match self.source {
            None | Some(Source::Rustup) => format!("a Rust compiler for {TARGET}"),
            Some(Source::Debian) => format!("Debian's Rust compiler for {TARGET}"),
        }
    }

    fn find(&self) -> Result<Option<Source>> {
        let found = [Source::Rustup, Source::Debian]
            .into_iter()
            .find(|source| self.allows(*source) && is_there(*source));
        Ok(found)
    }

    fn install(&self) -> Result<()> {
        if self.allows(Source::Rustup) && add_target()? {
            return Ok(());
        }
        if self.allows(Source::Debian) {
            apt::install(&["rustc-web", "cargo-web", "rust-web-src", "lld", "wasi-libc"])?;
        }
        Ok(())
    }
}

fn is_there(source: Source) -> bool {
    match source {
        Source::Rustup => {
            let libraries = Command::new("rustc")
                .args(["--print", "target-libdir", "--target", TARGET])
                .output();
            libraries.is_ok_and(|output| {
                let folder = String::from_utf8_lossy(&output.stdout);
                output.status.success() && Path::new(folder.trim()).is_dir()
            }) && rust_sources("rustc").is_some()
        }
        Source::Debian => {
            [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_CRT]
                .iter()
                .all(|path| Path::new(path).is_file())
                && on_path("wasm-ld").is_some()
                && rust_sources(DEBIAN_RUSTC).is_some()
        }
    }
}

/// Returns the standard library's sources that belong to this compiler.
fn rust_sources(rustc: &str) -> Option<PathBuf> {
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .ok()?;
    let sysroot = String::from_utf8_lossy(&output.stdout);
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std");
    sources.is_dir().then_some(sources)
}

/// Asks rustup for the target, once: where it cannot be fetched, the next run would wait for the
/// same refusal.
fn add_target() -> Result<bool> {
    let refused = layout::tools_dir().join("rustup-has-no-wasm-target");
    if on_path("rustup").is_none() || refused.exists() {
        return Ok(false);
    }
    let added = run(Command::new("rustup").args(["target", "add", TARGET]))
        .and_then(|()| run(Command::new("rustup").args(["component", "add", "rust-src"])));
    match added {
        Ok(()) => Ok(true),
        Err(error) => {
            eprintln!("rustup cannot add {TARGET}; trying Debian's packages");
            fs::write(
                &refused,
                format!("{error:#}\nRemove this file to try again.\n"),
            )?;
            Ok(false)
        }
    }
}
