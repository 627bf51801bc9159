//! A real container engine: Podman, with its compose files and its Docker-compatible API.
//!
//! The tests run in namespaces of their own, where the engine has its own configuration, its own
//! images and networks, and its API at the path of Docker's. So a compose file runs as it is, and
//! nothing is left of it. No registry is asked: images of other projects have stand-ins of the same
//! names here.

mod compose;
mod images;

use std::env;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;
use serde_json::Value;

use crate::programs::Process;
use crate::tools::{self, NodePackages, Packaged, PythonPackage, StaticToolchain, Tool as _};
use crate::{namespaces, wait};

pub use compose::Composition;

/// For the engine's API to answer.
const START_LIMIT: Duration = Duration::from_secs(60);

/// For an outpost to meet a provider that was late: it asks every 31 seconds in the end, by two requests that
/// may take 15 seconds each. Twice that.
const READY_LIMIT: Duration = Duration::from_secs(122);

/// Names the folder of the engine's images and of what tests write.
const FOLDER: &str = "E2E_CONTAINERS_FOLDER";

/// Where Docker has its API, which compose files hand to Traefik.
const SOCKET: &str = "/run/docker.sock";

const CONFIGURATION: &str = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
"#;

/// Runs this test program again in namespaces of its own, and returns its exit code; or `None` where
/// this process is the one inside.
///
/// # Errors
///
/// When the system does not let this user have them, or something is not installed.
pub fn enter() -> Result<Option<ExitCode>> {
    if namespaces::inside() {
        set_up()?;
        return Ok(None);
    }
    locate()?;
    let folder = tempfile::Builder::new()
        .prefix("gatepost-containers-")
        .tempdir()?;
    // When the program ends, every process of the namespace ends with it.
    let flags = [
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ];
    let path = folder.path().to_string_lossy();
    namespaces::run_inside(&flags, &[(FOLDER, &path)]).map(Some)
}

/// Says what the engine needs that is not there.
fn locate() -> Result<()> {
    if !geteuid().is_root() {
        bail!("only root may make the networks of containers here");
    }
    Packaged::Podman.locate()?;
    PythonPackage::PODMAN_COMPOSE.locate()?;
    StaticToolchain.locate()?;
    tools::Traefik.locate()?;
    NodePackages::provider().locate()?;
    Ok(())
}

fn folder() -> Result<PathBuf> {
    let folder = env::var_os(FOLDER).context("not in the namespaces of the tests' own")?;
    Ok(folder.into())
}

fn set_up() -> Result<()> {
    tools::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    for path in ["/etc/containers", "/run"] {
        tools::run(Command::new("mount").args(["-t", "tmpfs", "tmpfs", path]))?;
    }
    fs::create_dir("/run/lock")?;
    let images = folder()?.join("images");
    fs::create_dir(&images)?;
    let storage = format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = {:?}\nrunroot = \"/run/containers/storage\"\n",
        images.display().to_string()
    );
    let policy = r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#;
    let registries = "unqualified-search-registries = [\"docker.io\"]\n";
    for (file, text) in [
        ("containers.conf", CONFIGURATION),
        ("storage.conf", &storage),
        ("policy.json", policy),
        ("registries.conf", registries),
    ] {
        fs::write(Path::new("/etc/containers").join(file), text)?;
    }
    Ok(())
}

/// The engine with all images, until it is dropped.
#[derive(Debug)]
pub struct Engine {
    _api: Process,
    podman: PathBuf,
    folder: PathBuf,
    logs: PathBuf,
}

impl Engine {
    /// Starts the API and makes the images. `app` is the program that stands in for `whoami`.
    ///
    /// # Errors
    ///
    /// When something cannot be built, or the engine does not work here.
    pub fn start(logs: &Path, app: &Path) -> Result<Self> {
        let podman = Packaged::Podman.locate()?;
        let mut service = Command::new(&podman);
        service.args(["system", "service", "--time=0"]);
        service.arg(format!("unix://{SOCKET}"));
        let mut api = Process::spawn("podman", &service, &logs.join("podman.log"))?;
        api.ready(START_LIMIT, || UnixStream::connect(SOCKET).is_ok())?;
        let engine = Self {
            _api: api,
            podman,
            folder: folder()?,
            logs: logs.to_owned(),
        };
        images::make(&engine, app)?;
        Ok(engine)
    }

    /// Returns a new folder for the files of a test.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Builds the outpost's image for another platform (`linux/arm64`), by its Dockerfile, with this program.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub fn build_outpost(&self, platform: &str, program: &Path, tag: &str) -> Result<()> {
        images::outpost(self, platform, program, tag)
    }

    /// Runs `podman` with these arguments: what it printed.
    ///
    /// # Errors
    ///
    /// When it fails; with what it printed.
    pub fn podman(&self, arguments: &[&str]) -> Result<String> {
        tools::output(Command::new(&self.podman).args(arguments))
    }

    /// Returns what the engine says of a container.
    ///
    /// # Errors
    ///
    /// When no container has this name.
    pub fn inspect(&self, container: &str) -> Result<Value> {
        let said = self.podman(&["container", "inspect", container])?;
        let said: Value = serde_json::from_str(&said)?;
        said.get(0).cloned().context("one container")
    }

    /// Waits until a container is healthy. The engine leaves it to systemd to ask a container how it
    /// is, and these namespaces have no systemd: so the test does what its timer does.
    ///
    /// # Errors
    ///
    /// When it does not become healthy.
    pub fn until_healthy(&self, container: &str) -> Result<()> {
        let what = format!("{container} to be healthy");
        wait::until_ok(&what, START_LIMIT, || self.ask_health(container))?;
        // The engine tells Traefik of an outcome before it has written it down. The timer would ask
        // again.
        self.ask_health(container)
    }

    /// Waits until sign-ins work at the outpost in this container: it has met its provider.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn until_ready(&self, outpost: &str) -> Result<()> {
        let what = format!("{outpost} to be ready");
        let ask = ["exec", outpost, "gatepost", "healthcheck", "--ready"];
        wait::until_ok(&what, READY_LIMIT, || self.podman(&ask).map(drop))
    }

    /// Waits until the service manager of this container has started everything.
    ///
    /// # Errors
    ///
    /// When it does not, or one of its services has failed.
    pub fn until_running(&self, container: &str) -> Result<()> {
        let what = format!("{container} to be running");
        let ask = ["exec", container, "systemctl", "is-system-running"];
        wait::until_ok(&what, START_LIMIT, || self.podman(&ask).map(drop))
    }

    /// Runs the check of a container's health once.
    ///
    /// # Errors
    ///
    /// When the check says that it is not healthy.
    pub fn ask_health(&self, container: &str) -> Result<()> {
        self.podman(&["healthcheck", "run", container]).map(drop)
    }
}
