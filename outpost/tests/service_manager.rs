//! What the outpost says to systemd. The suite `deployments` has the sockets that systemd hands over.

#![allow(missing_docs)]
#![allow(clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
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

    /// Waits until the process ends, and fails where it does not within [`LIMIT`].
    fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.0.try_wait().expect("a status") {
                return status;
            }
            assert!(Instant::now() < deadline, "the outpost does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Writes a configuration whose provider does not answer.
fn configuration(folder: &Path) -> PathBuf {
    let file = folder.join("gatepost.yaml");
    let text = "listen: { http: '127.0.0.1:0', metrics: '127.0.0.1:0' }
store: { kind: memory }
keys: ['k:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
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

/// A service manager that hears what the outpost says, and the outpost.
struct Managed {
    manager: UnixDatagram,
    outpost: Outpost,
    folder: tempfile::TempDir,
}

/// Starts the outpost with these variables. A file descriptor 3 is what it inherits.
fn start(variables: &[(&str, &str)]) -> Managed {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configuration(folder.path());
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a socket");
    let patience = Some(Duration::from_millis(200));
    manager.set_read_timeout(patience).expect("a timeout");
    let outpost = command(&config)
        .envs(variables.iter().copied())
        .env("NOTIFY_SOCKET", &socket)
        .stderr(Stdio::null())
        .spawn();
    Managed {
        manager,
        outpost: Outpost(outpost.expect("started")),
        folder,
    }
}

/// Returns the command that serves with a file descriptor 3 that is no socket. `$$` in `LISTEN_PID` is
/// the process that serves.
fn command(config: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .env_clear()
        .args([
            "-c",
            r#"test "$LISTEN_PID" != own || export LISTEN_PID=$$; exec "$0" serve --config "$1" 3< "$1""#,
            env!("CARGO_BIN_EXE_gatepost"),
        ])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

#[test]
fn the_service_manager_is_told_of_each_state() {
    let Managed {
        manager,
        mut outpost,
        folder: _folder,
    } = start(&[("WATCHDOG_USEC", "400000")]);

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
    assert!(outpost.end().success());
}

/// What waits for the outpost, such as a proxy whose plugin reads the folder, finds it there.
#[test]
fn it_is_ready_when_plugins_have_their_folder() {
    let parent = tempfile::tempdir().expect("a folder");
    let state = parent.path().join("state");
    let managed = start(&[("GATEPOST_STATE_DIR", &state.to_string_lossy())]);
    heard(&managed.manager, "READY=1");
    let files = ["gatepost-state", "application-wiki.json", "revoked"];
    let found = files.map(|name| state.join(name).exists());
    assert_eq!(found, [true; 3], "{files:?}");
}

/// A store that is away keeps the folder incomplete, and the outpost from nothing.
#[test]
fn it_is_ready_without_the_folder_where_the_store_is_away() {
    let parent = tempfile::tempdir().expect("a folder");
    let state = parent.path().join("state");
    let managed = start(&[
        ("GATEPOST_STATE_DIR", &state.to_string_lossy()),
        ("GATEPOST_STORE_KIND", "redis"),
        ("GATEPOST_STORE_URL", "redis://127.0.0.1:1"),
    ]);
    heard(&managed.manager, "READY=1");
    assert!(!state.join("gatepost-state").exists());
}

/// `systemctl status` shows it, whoever looks: the reason, and not what was secret in the file.
#[test]
fn the_service_manager_is_told_why_a_reload_changed_nothing() {
    let mut started = start(&[]);
    heard(&started.manager, "READY=1");
    let file = started.folder.path().join("gatepost.yaml");
    let right = std::fs::read_to_string(&file).expect("a file");
    let key = right.lines().find(|line| line.starts_with("keys:"));
    let wrong = right
        .replace("externalUrl:", "external:")
        .replace(key.expect("keys"), "keys: [very-secret]");
    std::fs::write(&file, wrong).expect("written");
    started.outpost.signal("HUP");
    heard(&started.manager, "RELOADING=1");
    let shown = heard(&started.manager, "STATUS=");
    let reason = "STATUS=the configuration before stays: ";
    assert!(shown.starts_with(reason), "{shown}");
    assert!(shown.contains("gatepost.yaml:"), "{shown}");
    assert!(!shown.contains("very-secret"), "{shown}");
    assert!(shown.contains(" more: see the log)"), "{shown}");
    assert_eq!(shown.trim_end().lines().count(), 1, "{shown}");
    heard(&started.manager, "READY=1");
    std::fs::write(&file, right).expect("written");
    assert_eq!(heard(&started.manager, "STATUS=").trim_end(), "STATUS=");
    started.outpost.signal("TERM");
    assert!(started.outpost.end().success());
}

/// `sd_listen_fds(3)`: a process inherits the variables of the one that started it.
#[test]
fn sockets_of_another_process_are_left_alone() {
    for pid in [None, Some("1"), Some(""), Some("x"), Some("-1")] {
        let mut variables = vec![("LISTEN_FDS", "1")];
        variables.extend(pid.map(|pid| ("LISTEN_PID", pid)));
        let mut started = start(&variables);
        heard(&started.manager, "READY=1");
        started.outpost.signal("TERM");
        assert!(started.outpost.end().success(), "{pid:?}");
    }
}

#[test]
fn what_is_handed_over_and_is_no_socket_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command(&configuration(folder.path()))
        .envs([("LISTEN_FDS", "1"), ("LISTEN_PID", "own")])
        .output();
    let output = output.expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    let problem = "a socket of the service manager cannot be used: fd 3 is not a socket";
    assert!(said.contains(problem), "{said}");
}
