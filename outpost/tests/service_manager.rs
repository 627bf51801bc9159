//! What the outpost says to systemd. The suite `deployments` has the sockets that systemd hands over.

#![allow(missing_docs)]
#![allow(clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// A running outpost, which is killed when it is dropped.
struct Outpost(Child);

impl Drop for Outpost {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Outpost {
    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.0.id().to_string())
            .status();
        assert!(status.expect("kill").success());
    }
}

/// Writes a configuration whose provider does not answer.
fn configuration(folder: &Path) -> PathBuf {
    let file = folder.join("gatepost.yaml");
    let text = "listen: { http: '127.0.0.1:0', metrics: '127.0.0.1:0' }
store: { kind: memory }
keys: ['k:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=']
providers: [{ name: main, issuer: 'http://127.0.0.1:1', clientId: gatepost, clientSecret: x }]
applications: [{ name: wiki, externalUrl: 'http://wiki.localhost' }]
";
    std::fs::write(&file, text).expect("written");
    file
}

/// Reads the messages to the service manager until one has this line.
fn heard(manager: &UnixDatagram, line: &str) -> String {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        let mut message = [0; 4096];
        let Ok(length) = manager.recv(&mut message) else {
            continue;
        };
        let message = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
        if message.lines().any(|found| found.starts_with(line)) {
            return message.into_owned();
        }
    }
    panic!("the service manager gets no {line}");
}

#[test]
fn the_service_manager_is_told_of_each_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configuration(folder.path());
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a socket");
    let patience = Some(Duration::from_millis(200));
    manager.set_read_timeout(patience).expect("a timeout");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command
        .env_clear()
        .args(["serve", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "400000");
    let mut outpost = Outpost(command.spawn().expect("started"));

    heard(&manager, "READY=1");
    // At once, as a deployment does: no signal ends it that has a meaning elsewhere.
    outpost.signal("HUP");
    outpost.signal("USR1");
    let reloading = heard(&manager, "RELOADING=1");
    // Without the time, `Type=notify-reload` does not take it.
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    heard(&manager, "READY=1");
    heard(&manager, "WATCHDOG=1");
    outpost.signal("TERM");
    heard(&manager, "STOPPING=1");
    assert!(outpost.0.wait().expect("ended").success());
}
