//! The program itself, running, with its output.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::provider::Provider;
use crate::world::{KEY_A, configuration};

/// How long anything here may take: the program looks at its files every two seconds.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A folder of this test, removed in the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = format!("gatepost-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The lines that the program has logged so far, as JSON.
#[derive(Default)]
pub(crate) struct Lines(Mutex<VecDeque<Value>>, Condvar);

impl Lines {
    /// Waits for the first line of which `wanted` is true, and returns it.
    pub(crate) fn await_line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + LIMIT;
        let mut lines = self.0.lock().expect("no panic");
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no such line: {lines:#?}");
            lines = self.1.wait_timeout(lines, left).expect("no panic").0;
        }
    }

    /// Returns what `of` makes of each line so far.
    pub(crate) fn each<T>(&self, of: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        let lines = self.0.lock().expect("no panic");
        lines.iter().filter_map(of).collect()
    }

    pub(crate) fn all(&self) -> String {
        let lines = self.0.lock().expect("no panic");
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        lines.join("\n")
    }
}

/// A running program.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) lines: Arc<Lines>,
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) metrics: SocketAddr,
}

impl Running {
    pub(crate) fn start(config: &Path) -> Self {
        Self::start_with(config, &[])
    }

    /// Starts the program with variables besides the configuration.
    pub(crate) fn start_with(config: &Path, variables: &[(&str, &str)]) -> Self {
        let config = config.to_str().expect("text");
        Self::start_by(&["serve", "--config", config], variables)
    }

    /// Starts the program with these arguments and variables alone.
    pub(crate) fn start_by(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .args(arguments)
            .env_clear()
            .envs(variables.iter().copied())
            .env("GATEPOST_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = Arc::<Lines>::default();
        let output = BufReader::new(child.stderr.take().expect("a pipe"));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.0.lock().expect("no panic").push_back(line);
                kept.1.notify_all();
            }
        });
        let listening = lines.await_line(|line| line.get("http").is_some());
        let address = |key| {
            let first = listening[key].as_str()?.split(", ").next();
            first?.parse().ok()
        };
        Self {
            child,
            http: address("http").expect("an address"),
            https: address("https"),
            metrics: address("metrics").expect("an address"),
            lines,
        }
    }

    pub(crate) async fn operations(&self, path: &str) -> (StatusCode, String) {
        let url = format!("http://{}{path}", self.metrics);
        let answer = client().build().expect("a client").get(url).send().await;
        let answer = answer.expect("an answer");
        (answer.status(), answer.text().await.expect("text"))
    }

    /// Waits until sign-ins work.
    pub(crate) async fn ready(&self) {
        self.until("the program to be ready", async || {
            self.operations("/readyz").await.0 == StatusCode::OK
        })
        .await;
    }

    /// Waits until a condition holds, and fails with all log lines where it does not within
    /// [`LIMIT`].
    ///
    /// `what` completes the sentence "timed out waiting for …".
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !holds().await {
            assert!(
                begun.elapsed() < LIMIT,
                "timed out waiting for {what}: {}",
                self.lines.all()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the process ends, and fails with all log lines where it does not within [`LIMIT`].
    ///
    /// `Child::wait` would wait for ever, on a thread that the test's runtime waits for in turn.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "the process does not end: {}",
                self.lines.all()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns what `gatepost check` says of this configuration. It runs on another thread, since the provider
/// that it asks runs on this one.
pub(crate) async fn checked(file: PathBuf) -> String {
    let checked = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .args(["check", "--config"])
            .arg(file)
            .output()
    });
    let output = checked.await.expect("no panic").expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn client() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .timeout(LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([])
}

const ANY_PORT: &str = "listen: {http: '127.0.0.1:0', https: '127.0.0.1:0', metrics: '127.0.0.1:0'}\nstore: {kind: memory}\n";

pub(crate) fn write_config(folder: &Folder, provider: &Provider, more: &str) -> PathBuf {
    let path = folder.path("gatepost.yaml");
    fs::write(
        &path,
        configuration(provider, KEY_A, &format!("{ANY_PORT}{more}")),
    )
    .expect("written");
    path
}
