//! A Redis for one test, on a socket of its own.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gatepost_store::RedisUrl;
use tempfile::TempDir;

/// The longest time that a server needs to start on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server, which ends with this value.
pub(crate) struct RedisServer {
    process: Child,
    folder: TempDir,
}

impl RedisServer {
    /// Starts an empty server.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(folder.path().join("socket"))
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server: install Redis 7 or later");
        let server = Self { process, folder };
        let begun = Instant::now();
        while UnixStream::connect(server.socket()).is_err() {
            assert!(
                begun.elapsed() < START_TIMEOUT,
                "redis-server has not started"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub(crate) fn url(&self) -> RedisUrl {
        let url = format!("redis+unix://{}", self.socket().display());
        RedisUrl::parse(&url).expect("an address")
    }

    /// Runs a command.
    pub(crate) fn run(&self, arguments: &[Vec<u8>]) {
        let mut command = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            command.extend(format!("${}\r\n", argument.len()).into_bytes());
            command.extend(argument);
            command.extend(b"\r\n");
        }
        let mut connection = UnixStream::connect(self.socket()).expect("connected");
        connection.write_all(&command).expect("sent");
        let mut kind = [0];
        connection.read_exact(&mut kind).expect("answered");
        assert_ne!(kind, *b"-", "{}", String::from_utf8_lossy(&command));
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
