//! What systemd is told, and the sockets that it hands over.

#![allow(missing_docs)]
#![allow(clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
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

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// Writes a configuration whose provider does not answer.
fn configuration(folder: &Path, http: SocketAddr, metrics: SocketAddr) -> String {
    let file = folder.join("gatepost.yaml");
    let text = format!(
        "listen: {{ http: '{http}', metrics: '{metrics}' }}
store: {{ kind: memory }}
keys: ['k:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=']
providers: [{{ name: main, issuer: 'http://127.0.0.1:1', clientId: gatepost, clientSecret: x }}]
applications: [{{ name: wiki, externalUrl: 'http://wiki.localhost' }}]
"
    );
    std::fs::write(&file, text).expect("written");
    file.to_string_lossy().into_owned()
}

fn serve(mut command: Command, config: &str) -> Command {
    command
        .args(["serve", "--config", config])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn gatepost() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command.env_clear();
    command
}

/// Reads what the service manager is told until a message has this line.
fn told(manager: &UnixDatagram, line: &str) -> String {
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
    panic!("the service manager is not told {line}");
}

#[test]
fn the_service_manager_is_told_of_each_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configuration(folder.path(), free(), free());
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a socket");
    let patience = Some(Duration::from_millis(200));
    manager.set_read_timeout(patience).expect("a timeout");
    let mut command = serve(gatepost(), &config);
    command
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "400000");
    let mut outpost = Outpost(command.spawn().expect("started"));

    told(&manager, "READY=1");
    told(&manager, "WATCHDOG=1");
    outpost.signal("HUP");
    let reloading = told(&manager, "RELOADING=1");
    // Without the time, `Type=notify-reload` does not take it.
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    told(&manager, "READY=1");
    outpost.signal("TERM");
    told(&manager, "STOPPING=1");
    assert!(outpost.0.wait().expect("ended").success());
}

/// The manager's own program hands over the socket; it starts the outpost at the first connection.
#[test]
fn a_socket_of_the_service_manager_is_served() {
    let program = "systemd-socket-activate";
    if Command::new(program).arg("--version").output().is_err() {
        eprintln!("no {program} on this machine: left out");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (http, metrics) = (free(), free());
    let config = configuration(folder.path(), http, metrics);
    let mut activate = Command::new(program);
    activate.args(["--listen", &http.to_string()]);
    activate.arg(env!("CARGO_BIN_EXE_gatepost"));
    let _outpost = Outpost(serve(activate, &config).spawn().expect("started"));

    let deadline = Instant::now() + LIMIT;
    let answer = loop {
        let answer = ask(http);
        if !answer.is_empty() || Instant::now() > deadline {
            break answer;
        }
        thread::sleep(Duration::from_millis(50));
    };
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    // The other address, of which the manager knows nothing, is listened on as ever.
    assert!(ask(metrics).starts_with("HTTP/1.1 200"), "{metrics}");
}

fn ask(address: SocketAddr) -> String {
    let mut answer = String::new();
    if let Ok(mut connection) = TcpStream::connect(address) {
        let request = "GET /metrics HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: close\r\n\r\n";
        let _ = connection.write_all(request.as_bytes());
        let _ = connection.set_read_timeout(Some(LIMIT));
        let _ = connection.read_to_string(&mut answer);
    }
    answer
}

#[test]
fn a_socket_at_another_address_is_refused() {
    if Command::new("systemd-socket-activate")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("no systemd-socket-activate on this machine: left out");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = configuration(folder.path(), free(), free());
    let other = free();
    let mut activate = Command::new("systemd-socket-activate");
    activate.args(["--listen", &other.to_string()]);
    activate.arg(env!("CARGO_BIN_EXE_gatepost"));
    let mut outpost = Outpost(serve(activate, &config).spawn().expect("started"));
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        drop(TcpStream::connect(other));
        if let Some(status) = outpost.0.try_wait().expect("a status") {
            break status;
        }
        assert!(Instant::now() < deadline, "it serves");
        thread::sleep(Duration::from_millis(50));
    };
    let mut said = String::new();
    let stderr = outpost.0.stderr.take();
    let _ = stderr.map(|mut stderr| stderr.read_to_string(&mut said));
    assert!(!status.success());
    assert!(said.contains(&other.to_string()), "{said}");
}
