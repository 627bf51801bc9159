//! Redis on a port of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::programs::Process;
use crate::programs::ports;
use crate::stack;
use crate::tools::{Packaged, Tool as _};

/// For Redis to start on a machine that is busy.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A Redis with its own folder, from which it can be started again.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    command: Command,
    process: Option<Process>,
}

impl Redis {
    /// Starts a server in this folder with further settings, each as on its command line.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not answer.
    pub fn start(folder: &Path, settings: &[&str]) -> Result<Self> {
        let port = ports::free()?;
        let folder = folder.join(format!("redis-{port}"));
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(Packaged::Redis.locate()?);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            // Every change is on the disk before it is acknowledged.
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .args(["--save", "", "--dir"])
            .arg(&folder)
            .args(settings)
            .current_dir(&folder);
        let mut redis = Self {
            port,
            command,
            process: None,
        };
        redis.start_again()?;
        Ok(redis)
    }

    /// The same, over TLS too, by `redis.pem`, `redis.key` and `authority.pem` of this folder; with
    /// `asks_clients`, clients need a certificate of that authority. Returns its address for that.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_with_tls(folder: &Path, asks_clients: bool) -> Result<(Self, String)> {
        let file = |name: &str| folder.join(name).display().to_string();
        let port = ports::free()?.to_string();
        let clients = if asks_clients { "yes" } else { "no" };
        let settings = [
            ["--tls-port", &port],
            ["--tls-ca-cert-file", &file("authority.pem")],
            ["--tls-cert-file", &file("redis.pem")],
            ["--tls-key-file", &file("redis.key")],
            ["--tls-auth-clients", clients],
        ];
        let redis = Self::start(folder, &settings.concat())?;
        Ok((redis, format!("rediss://127.0.0.1:{port}")))
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its address for the outpost.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns `store` of an outpost's configuration, with which it keeps its sessions here.
    pub fn store(&self) -> Value {
        json!({ "kind": "redis", "path": null, "url": self.url() })
    }

    /// Stops it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Kills it as the system does when memory runs out.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.process = None;
    }

    /// Suspends it: connections stay open, and it does not answer.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Has it go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Starts it after it was stopped, with its data.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn start_again(&mut self) -> Result<()> {
        let log = stack::logs_folder(None)?.join(format!("redis-{}.log", self.port));
        let mut process = Process::spawn("redis", &self.command, &log)?;
        process.ready(START_LIMIT, || {
            self.ask("PING").is_ok_and(|a| a.contains("PONG"))
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Sends a command without blanks in its words, and gives the first part of the answer.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn ask(&self, command: &str) -> Result<String> {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        connection.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = vec![0; 64 * 1024];
        let length = connection.read(&mut answer)?;
        answer.truncate(length);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
