//! The package for Debian and its relatives.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::layout;
use crate::tools::{output, run};

/// Where the scripts and the description of the package are.
const SCRIPTS: &str = "deploy/debian";

/// Builds the package of a program that this machine can run, into this folder.
///
/// # Errors
///
/// When the program does not run here, or there is no `dpkg-deb`.
pub fn debian_package(program: &Path, version: &str, folder: &Path) -> Result<PathBuf> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("no package for {other}"),
    };
    let name = format!("gatepost_{version}_{architecture}.deb");
    let root = tempfile::Builder::new().prefix("gatepost-deb-").tempdir()?;
    let root = root.path();
    lay_out(root, program)?;
    let control = fs::read_to_string(layout::root().join(SCRIPTS).join("control"))?
        .replace("VERSION", version)
        .replace("ARCHITECTURE", architecture);
    write(&root.join("DEBIAN/control"), control)?;
    write_changelog(root, version)?;
    for script in ["postinst", "prerm", "postrm"] {
        let file = layout::root().join(SCRIPTS).join(script);
        install(&file, &root.join("DEBIAN").join(script), "755")?;
    }
    write_sums(root)?;
    open_to_all(root)?;
    let package = folder.join(name);
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Zgzip", "--build"])
        .arg(root)
        .arg(&package))?;
    Ok(package)
}

fn lay_out(root: &Path, program: &Path) -> Result<()> {
    let source = layout::root();
    install(program, &root.join("usr/bin/gatepost"), "755")?;
    for unit in ["gatepost.service", "gatepost.socket"] {
        let text = fs::read_to_string(source.join("deploy/systemd").join(unit))?;
        // Where the administrator's own programs and units are, a package has none.
        let text = text
            .replace("/usr/local/bin/", "/usr/bin/")
            .replace("/etc/systemd/system/", "/lib/systemd/system/")
            .replace("# docs/running.md makes it.", "# The package makes it.");
        write(&root.join("lib/systemd/system").join(unit), text)?;
    }
    for (shell, path) in [
        ("bash", "usr/share/bash-completion/completions/gatepost"),
        ("zsh", "usr/share/zsh/vendor-completions/_gatepost"),
        ("fish", "usr/share/fish/vendor_completions.d/gatepost.fish"),
    ] {
        write(&root.join(path), print(program, &["completions", shell])?)?;
    }
    let manual = root.join("usr/share/man/man1");
    print(program, &["man", &manual.to_string_lossy()])?;
    for page in fs::read_dir(&manual)? {
        run(Command::new("gzip").arg("-9n").arg(page?.path()))?;
    }
    let documentation = root.join("usr/share/doc/gatepost");
    let example = print(program, &["config", "example"])?;
    write(&documentation.join("examples/gatepost.yaml"), example)?;
    for example in ["single.yaml", "domain.yaml"] {
        let file = source.join("deploy/outpost").join(example);
        install(&file, &documentation.join("examples").join(example), "644")?;
    }
    install(
        &source.join("LICENSE-MIT"),
        &documentation.join("copyright"),
        "644",
    )?;
    install(
        &source.join(SCRIPTS).join("lintian-overrides"),
        &root.join("usr/share/lintian/overrides/gatepost"),
        "644",
    )
}

/// Writes what changed: in the form of Debian, which has no Markdown, a line that names the file.
fn write_changelog(root: &Path, version: &str) -> Result<()> {
    let documentation = root.join("usr/share/doc/gatepost");
    let source = layout::root();
    let own = fs::read_to_string(source.join(SCRIPTS).join("changelog"))?;
    // That of the source, so that the same source makes the same package.
    let mut git = Command::new("git");
    let date = output(
        git.arg("-C")
            .arg(&source)
            .args(["log", "-1", "--format=%cD"]),
    );
    // An archive of the source has no history.
    let date = date.unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned());
    let own = own.replace("VERSION", version).replace("DATE", date.trim());
    let changes = fs::read_to_string(source.join("CHANGELOG.md"))?;
    for (name, text) in [("changelog", own), ("CHANGELOG.md", changes)] {
        let path = documentation.join(name);
        write(&path, text)?;
        run(Command::new("gzip").arg("-9n").arg(path))?;
    }
    Ok(())
}

/// Writes the sums by which `dpkg --verify` finds a file that has changed.
fn write_sums(root: &Path) -> Result<()> {
    let script = "find usr lib -type f | LC_ALL=C sort | xargs md5sum > DEBIAN/md5sums";
    run(Command::new("sh").args(["-c", script]).current_dir(root))
}

/// Lets every user read a folder and what is in it, and run what its owner may run: they would have the
/// modes of the user who builds the package, by that user's umask.
fn open_to_all(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path())?;
        }
    }
    let runs = metadata.is_dir() || metadata.permissions().mode() & 0o100 != 0;
    let mode = if runs { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn print(program: &Path, arguments: &[&str]) -> Result<String> {
    output(super::gatepost_at(program).args(arguments))
}

fn write(path: &Path, text: String) -> Result<()> {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn install(file: &Path, at: &Path, mode: &str) -> Result<()> {
    run(Command::new("install")
        .args(["-D", "--mode", mode])
        .arg(file)
        .arg(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modes_of_a_package_are_not_those_of_its_builder() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        let mode = |path: &str, mode| {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(root.join(path), permissions).expect("a mode");
        };
        write(&root.join("bin/program"), "program".to_owned()).expect("written");
        write(&root.join("doc/text"), "text".to_owned()).expect("written");
        mode("bin/program", 0o700);
        mode("doc/text", 0o600);
        mode("bin", 0o700);
        mode("doc", 0o2770);
        mode("", 0o700);
        open_to_all(&root).expect("set");
        for (path, expected) in [
            ("", 0o755),
            ("bin", 0o755),
            ("bin/program", 0o755),
            ("doc", 0o755),
            ("doc/text", 0o644),
        ] {
            let metadata = fs::metadata(root.join(path)).expect("there");
            let found = metadata.permissions().mode() & 0o7777;
            assert_eq!(found, expected, "{path}: {found:o}");
        }
    }
}
