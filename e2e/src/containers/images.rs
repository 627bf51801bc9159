//! The images: ours, by `outpost/Dockerfile`, and stand-ins for those of others.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Engine;
use crate::tools::{self, Node, NodePackages, Tool as _, output, run};
use crate::{built, layout};

/// In the place of `npm` in the image of Node.js: the packages are there already.
const NPM: &str = "#!/bin/sh\nexit 0\n";

pub(super) fn make(engine: &Engine, app: &Path) -> Result<()> {
    let traefik = Root::new(engine, "traefik")?;
    traefik.program(&tools::Traefik.locate()?, "usr/local/bin/traefik")?;
    traefik.stands_in_for(
        "docker.io/library/traefik:v3.7.15",
        &["/usr/local/bin/traefik"],
    )?;

    let whoami = Root::new(engine, "whoami")?;
    whoami.program(app, "whoami")?;
    whoami.stands_in_for("docker.io/traefik/whoami:v1.11", &["/whoami", "0.0.0.0:80"])?;
    // By the name that it had before, which authentik's text has.
    let tag = [
        "docker.io/traefik/whoami:v1.11",
        "docker.io/containous/whoami",
    ];
    engine.podman(&[&["tag"], &tag[..]].concat())?;

    let node = Root::new(engine, "node")?;
    node.program(&Node.locate()?, "usr/local/bin/node")?;
    node.program(Path::new("/bin/sh"), "bin/sh")?;
    node.script("usr/local/bin/npm", NPM)?;
    let packages = NodePackages::provider().locate()?.join("node_modules");
    fs::create_dir(node.folder.join("provider"))?;
    run(Command::new("cp")
        .arg("--recursive")
        .arg(packages)
        .arg(node.folder.join("provider/")))?;
    node.stands_in_for("docker.io/library/node:22-bookworm-slim", &[])?;

    ours(engine)
}

/// Builds our two images by their Dockerfile. Its stages that compile are replaced by what is
/// compiled already, as a release does for several platforms.
fn ours(engine: &Engine) -> Result<()> {
    let platform = match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        other => other,
    };
    let tag = "localhost/gatepost/outpost:latest";
    outpost(engine, platform, &built::static_outpost()?, tag)?;

    let plugin = engine.folder("plugin-build")?;
    let out = plugin.join("out");
    fs::create_dir_all(&out)?;
    fs::create_dir_all(plugin.join("state"))?;
    fs::copy(built::plugin()?, out.join("plugin.wasm"))?;
    fs::copy(
        layout::root().join(".traefik.yml"),
        out.join(".traefik.yml"),
    )?;
    let tag = "localhost/gatepost/traefik:latest";
    build(engine, platform, "traefik", ("plugin-build", &plugin), tag)
}

/// Builds the outpost's image with this program for this platform.
pub(super) fn outpost(engine: &Engine, platform: &str, program: &Path, tag: &str) -> Result<()> {
    let stage = engine.folder("outpost-build")?;
    let out = stage.join("out");
    let own = out.join(platform);
    fs::create_dir_all(out.join("empty"))?;
    fs::create_dir_all(&own)?;
    fs::copy(program, own.join("gatepost"))?;
    fs::copy(
        "/etc/ssl/certs/ca-certificates.crt",
        out.join("ca-certificates.crt"),
    )?;
    build(engine, platform, "outpost", ("outpost-build", &stage), tag)
}

/// Builds a target of our Dockerfile, with a folder in the place of a stage.
fn build(
    engine: &Engine,
    platform: &str,
    target: &str,
    (stage, folder): (&str, &Path),
    tag: &str,
) -> Result<()> {
    let context = layout::root();
    let file = context.join("outpost/Dockerfile");
    engine.podman(&[
        "build",
        // The other format has no health checks.
        "--format=docker",
        "--pull=never",
        &format!("--platform={platform}"),
        &format!("--build-context={stage}={}", folder.display()),
        &format!("--file={}", file.display()),
        &format!("--ignorefile={}.dockerignore", file.display()),
        &format!("--target={target}"),
        &format!("--tag={tag}"),
        &context.to_string_lossy(),
    ])?;
    Ok(())
}

/// The files of an image that is to be.
struct Root<'e> {
    engine: &'e Engine,
    name: &'static str,
    folder: PathBuf,
}

impl<'e> Root<'e> {
    fn new(engine: &'e Engine, name: &'static str) -> Result<Self> {
        let folder = engine.folder(name)?.join("root");
        fs::create_dir_all(folder.join("tmp"))?;
        Ok(Self {
            engine,
            name,
            folder,
        })
    }

    /// Adds a program of this machine, with the libraries that it asks for.
    fn program(&self, program: &Path, at: &str) -> Result<()> {
        self.copy(program, Path::new(at))?;
        // It says so by a failure where a program needs none.
        let said = output(Command::new("ldd").arg(program)).unwrap_or_default();
        let libraries: BTreeSet<&str> = said
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
            .map(|word| word.trim_end_matches(':'))
            .filter(|path| Path::new(path) != program)
            .collect();
        for library in libraries {
            self.copy(
                Path::new(library),
                Path::new(library.trim_start_matches('/')),
            )?;
        }
        Ok(())
    }

    fn copy(&self, file: &Path, at: &Path) -> Result<()> {
        let copy = self.folder.join(at);
        fs::create_dir_all(copy.parent().context("a folder")?)?;
        fs::copy(file, copy).with_context(|| format!("copy {}", file.display()))?;
        Ok(())
    }

    fn script(&self, at: &str, text: &str) -> Result<()> {
        let path = self.folder.join(at);
        fs::write(&path, text)?;
        run(Command::new("chmod").arg("755").arg(path))
    }

    fn stands_in_for(&self, image: &str, entry_point: &[&str]) -> Result<()> {
        let mut dockerfile = "FROM scratch\nCOPY root/ /\nEXPOSE 80\n".to_owned();
        if !entry_point.is_empty() {
            dockerfile.push_str(&format!("ENTRYPOINT {entry_point:?}\n"));
        }
        let folder = self.engine.folder(self.name)?;
        fs::write(folder.join("Dockerfile"), dockerfile)?;
        let tag = format!("--tag={image}");
        let folder = folder.to_string_lossy();
        self.engine
            .podman(&["build", "--format=docker", &tag, &folder])?;
        Ok(())
    }
}
