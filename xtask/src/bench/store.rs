//! What a store costs by the number of its sessions, by the benchmark of `gatepost-store`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::tools::cargo;
use serde::{Deserialize, Serialize};

/// The sizes that are measured, as its argument.
const SESSIONS: &str = "1000,100000,1000000";

/// A store of one kind and size, as `store/benches/size.rs` prints it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) sessions: u64,
    /// Time from opening the store to its first answer.
    pub(crate) start_ms: f64,
    /// The process's memory after that, and at its highest.
    pub(crate) memory_mib: f64,
    pub(crate) peak_memory_mib: f64,
    /// Bytes of the file, or of Redis, for each session.
    pub(crate) bytes_per_session: u64,
    pub(crate) find_us: f64,
    pub(crate) sign_in_us: f64,
    pub(crate) renewal_us: f64,
    /// Time to end the ten sessions of a user.
    pub(crate) end_user_ms: f64,
    pub(crate) sweep_ms: f64,
    pub(crate) end_all_ms: f64,
    /// The longest that another request waited: one that reads, and one that writes.
    pub(crate) quiet_wait_ms: (f64, f64),
    pub(crate) sweep_wait_ms: (f64, f64),
    pub(crate) end_all_wait_ms: (f64, f64),
}

/// Fills and measures a store of each kind and size.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let mut child = cargo(&["bench", "--locked", "--package", "gatepost-store"])
        .args(["--bench", "size", "--", "--sessions", SESSIONS])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("the benchmark's output")?;
    let mut rows = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line.starts_with('{') {
            rows.push(serde_json::from_str(&line)?);
        }
    }
    ensure!(child.wait()?.success(), "the store's benchmark failed");
    Ok(rows)
}
