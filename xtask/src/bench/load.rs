//! Load from a process of its own: wrk.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::layout;
use gatepost_e2e::tools::{Packaged, Tool as _};
use serde::Deserialize;

/// What to send, as fast as it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) url: String,
    /// Header lines of every request.
    pub(crate) headers: Vec<String>,
    /// A file with the requests to send in turn: target, tab and `Cookie` on each line.
    pub(crate) requests: PathBuf,
    /// Connections, all kept alive.
    pub(crate) connections: usize,
    pub(crate) seconds: f64,
}

/// The result. Times in microseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Answers {
    pub(crate) requests: u32,
    pub(crate) duration: u32,
    pub(crate) p50: u32,
    pub(crate) p99: u32,
    status_errors: u32,
    socket_errors: u32,
}

impl Answers {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.requests) * 1e6 / f64::from(self.duration)
    }
}

impl Load {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Also when a response was not a success: the figures would then measure something else.
    pub(crate) fn run(&self) -> Result<Answers> {
        let mut command = Command::new(Packaged::Wrk.locate()?);
        command
            .arg("-t1")
            .arg(format!("-c{}", self.connections))
            .arg(format!("-d{}s", self.seconds.ceil()))
            .arg("--latency")
            .arg("-s")
            .arg(layout::root().join("testdata/bench/report.lua"))
            .env("GATEPOST_BENCH_REQUESTS", &self.requests);
        for header in &self.headers {
            command.arg("-H").arg(header);
        }
        let output = command.arg(&self.url).output().context("run wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.starts_with('{'));
        let Some(line) = line.filter(|_| output.status.success()) else {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("wrk {} failed:\n{text}{errors}", self.url);
        };
        let answers: Answers = serde_json::from_str(line).context("what wrk printed")?;
        if answers.status_errors + answers.socket_errors > 0 || answers.requests == 0 {
            bail!("{} did not answer every request well: {line}", self.url);
        }
        Ok(answers)
    }
}
