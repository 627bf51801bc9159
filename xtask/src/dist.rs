//! `cargo xtask dist`: what a release publishes, in `target/dist/`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::tools::{StaticToolchain, TARGET, Tool as _, cargo};
use gatepost_e2e::{built, layout};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::setup;

/// The version of the tool that lists what a program is made of.
const CYCLONEDX: &str = "0.5.9";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Build the outpost for this target, whose compiler is there; without this, for machines like
    /// this one, on Linux linked statically by a compiler that is installed on first use
    #[arg(long)]
    target: Option<String>,
    /// Leave the outpost out: only the plugin's archive
    #[arg(long, conflicts_with = "outpost_only")]
    plugin_only: bool,
    /// Leave the plugin out, which is the same for every machine: only the outpost
    #[arg(long)]
    outpost_only: bool,
    /// Leave the lists of components out, which need a tool that is installed on first use
    #[arg(long)]
    no_sbom: bool,
}

/// Builds everything again and prints the paths.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = layout::target_dir().join("dist");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let version = env!("CARGO_PKG_VERSION");

    let mut archives = Vec::new();
    if !arguments.outpost_only {
        setup::plugin(None)?;
        let plugin = built::plugin()?;
        let for_catalog = folder.join(format!("gatepost-plugin-{version}.zip"));
        archive(&for_catalog, &plugin)?;
        archives.push(for_catalog);
        if !arguments.no_sbom {
            let name = format!("gatepost-plugin-{version}.cdx");
            archives.push(components(&folder, "plugin", TARGET, &name)?);
        }
    }
    if !arguments.plugin_only {
        let target = match &arguments.target {
            Some(target) => target.clone(),
            None if cfg!(target_os = "linux") => StaticToolchain.ensure()?,
            None => host()?,
        };
        let outpost = outpost(&folder, version, &target)?;
        archives.extend(package(&outpost, version, &folder)?);
        archives.push(outpost);
        if !arguments.no_sbom {
            // What it is made of depends on the machine that it is for.
            let name = format!("gatepost-{version}-{target}.cdx");
            archives.push(components(&folder, "outpost", &target, &name)?);
        }
    }
    archives.sort();
    let sums = checksums(&archives)?;
    fs::write(folder.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    println!("in {}", folder.display());
    Ok(())
}

/// Writes the archive that Traefik's plugin catalog accepts: the guest and its manifest at the top.
/// The same files always make the same bytes.
fn archive(path: &Path, plugin: &Path) -> Result<()> {
    let manifest = layout::root().join(".traefik.yml");
    let licence = layout::root().join("LICENSE-MIT");
    let mut archive = ZipWriter::new(File::create(path)?);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    for (name, file) in [
        (".traefik.yml", manifest.as_path()),
        ("LICENSE", licence.as_path()),
        ("plugin.wasm", plugin),
    ] {
        let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        archive.start_file(name, options)?;
        archive.write_all(&bytes)?;
    }
    archive.finish()?;
    Ok(())
}

/// Builds the outpost, optimised.
fn outpost(folder: &Path, version: &str, target: &str) -> Result<PathBuf> {
    let mut command = cargo(&["build", "--locked", "--release", "--package", "gatepost"]);
    command.args(["--target", target]);
    built::run(&mut command)?;
    let built = layout::target_dir().join(target);
    let path = folder.join(format!("gatepost-{version}-{target}"));
    fs::copy(built.join("release/gatepost"), &path)?;
    let program = fs::read(&path)?;
    if target.ends_with("-musl") && asks_for_loader(&program) {
        bail!("{} is not linked statically", path.display());
    }
    if target.starts_with(std::env::consts::ARCH) {
        let output = Command::new(&path).arg("--version").output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        if said.trim() != format!("gatepost {version}") {
            bail!("{} says {said:?} of itself", path.display());
        }
    }
    Ok(path)
}

/// Builds the Debian package of a static program, where this machine can run it and has `dpkg-deb`.
fn package(program: &Path, version: &str, folder: &Path) -> Result<Option<PathBuf>> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let runs_here = name.contains(std::env::consts::ARCH) && name.ends_with("-musl");
    let has_tool = Command::new("dpkg-deb").arg("--version").output().is_ok();
    if !runs_here || !has_tool {
        eprintln!("no Debian package: it takes a static program for this machine, and dpkg-deb");
        return Ok(None);
    }
    built::debian_package(program, version, folder).map(Some)
}

/// Returns whether a program leaves it to a loader of the system to find its libraries: a program
/// header of the type `PT_INTERP` (System V ABI, chapter 5), of a 64-bit little-endian one. What
/// cannot be read counts as such.
fn asks_for_loader(program: &[u8]) -> bool {
    const PT_INTERP: usize = 3;
    let bytes = |at: usize, count: usize| program.get(at..)?.get(..count);
    let number = |at, count| {
        let little_endian = bytes(at, count)?.iter().rev();
        let number = little_endian.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).ok()
    };
    let headers = || {
        let (first, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
        (0..count)
            .map(|at| Some(number(first + at * size, 4)? == PT_INTERP))
            .collect::<Option<Vec<bool>>>()
    };
    headers().is_none_or(|found| found.is_empty() || found.contains(&true))
}

/// Returns the machine's own target.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc does not name its host")
}

/// Writes what a package of the workspace is made of for this target, as CycloneDX.
fn components(folder: &Path, package: &str, target: &str, name: &str) -> Result<PathBuf> {
    built::run(
        Command::new(cyclonedx()?)
            .args(["cyclonedx", "--format", "json", "--spec-version", "1.5"])
            .args(["--no-build-deps", "--target", target])
            .args(["--override-filename", name])
            .arg("--manifest-path")
            .arg(layout::root().join(package).join("Cargo.toml"))
            // The list must be the same for the same commit.
            .env("SOURCE_DATE_EPOCH", committed()?),
    )?;
    let file = format!("{name}.json");
    let written = layout::root().join(package).join(&file);
    let list = folder.join(&file);
    fs::rename(&written, &list).or_else(|_| {
        // The two may be on different file systems.
        fs::copy(&written, &list)?;
        fs::remove_file(&written)
    })?;
    remove_others(&file)?;
    Ok(list)
}

/// Removes the files of other packages: the tool lists every member of the workspace, whichever is
/// requested.
fn remove_others(file: &str) -> Result<()> {
    for member in members()? {
        let path = member.join(file);
        if path.exists() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Returns the folders of the workspace's members.
fn members() -> Result<Vec<PathBuf>> {
    let arguments = ["metadata", "--locked", "--no-deps", "--format-version=1"];
    let output = cargo(&arguments).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    let folder = |package: &Value| {
        let manifest = package.get("manifest_path").and_then(Value::as_str)?;
        Path::new(manifest).parent().map(Path::to_owned)
    };
    let folders = packages.and_then(|packages| packages.iter().map(folder).collect());
    folders.context("cargo names its packages and their manifests")
}

/// Returns when the commit that is built was made, in seconds since the epoch.
fn committed() -> Result<String> {
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(layout::root())
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Returns the tool, which it installs on first use.
fn cyclonedx() -> Result<PathBuf> {
    let root = layout::tools_dir().join(format!("cargo-cyclonedx-{CYCLONEDX}"));
    let program = root.join("bin/cargo-cyclonedx");
    if !program.is_file() {
        eprintln!("Installing cargo-cyclonedx {CYCLONEDX} …");
        built::run(
            cargo(&["install", "--quiet", "--locked", "cargo-cyclonedx"])
                .args(["--version", CYCLONEDX, "--root"])
                .arg(&root),
        )?;
    }
    if !program.is_file() {
        bail!("cargo-cyclonedx was installed but is not there");
    }
    Ok(program)
}

/// Returns a line for each file, as `sha256sum --check` accepts them.
fn checksums(files: &[PathBuf]) -> Result<String> {
    let mut sums = String::new();
    for file in files {
        let digest = Sha256::digest(&fs::read(file)?);
        let hex: String = digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let name = file.file_name().context("a file has a name")?;
        let _ = writeln!(sums, "{hex}  {}", name.to_string_lossy());
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_catalogs_archive_has_guest_and_manifest_at_the_top_and_is_the_same_each_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let plugin = folder.path().join("plugin.wasm");
        fs::write(&plugin, b"\0asm\x01\0\0\0").expect("written");
        let made = |name: &str| {
            let path = folder.path().join(name);
            archive(&path, &plugin).expect("an archive");
            path
        };
        let (one, other) = (made("one.zip"), made("other.zip"));
        assert_eq!(
            fs::read(&one).expect("read"),
            fs::read(&other).expect("read")
        );
        let mut archive = zip::ZipArchive::new(File::open(&one).expect("opened")).expect("a zip");
        let mut names: Vec<String> = archive
            .file_names()
            .map(|name| name.expect("a name").into_owned())
            .collect();
        names.sort_unstable();
        assert_eq!(names, [".traefik.yml", "LICENSE", "plugin.wasm"]);
        let mut guest = Vec::new();
        let mut file = archive.by_name("plugin.wasm").expect("the guest");
        file.read_to_end(&mut guest).expect("read");
        assert_eq!(guest, b"\0asm\x01\0\0\0");
        let sums = checksums(&[one]).expect("sums");
        assert_eq!(sums.len(), 64 + 2 + "one.zip\n".len(), "{sums}");
    }

    #[test]
    fn every_member_of_the_workspace_is_known() {
        let members = members().expect("members");
        for member in [
            "outpost",
            "session/scan",
            "oidc",
            "store",
            "xtask/fill-store",
        ] {
            let folder = layout::root().join(member);
            assert!(members.contains(&folder), "{member}: {members:?}");
        }
    }

    #[test]
    fn a_program_that_asks_for_a_loader_is_known() {
        let mut program = vec![0; 0x40 + 2 * 0x38];
        program[0x20] = 0x40;
        program[0x36] = 0x38;
        program[0x38] = 2;
        program[0x40] = 1;
        assert!(!asks_for_loader(&program), "only PT_LOAD");
        program[0x40 + 0x38] = 3;
        assert!(asks_for_loader(&program), "PT_INTERP");
        assert!(asks_for_loader(&program[..0x60]), "cut off");
        assert!(asks_for_loader(b"no program"));
    }
}
