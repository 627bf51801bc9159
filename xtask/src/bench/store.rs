//! What a store costs by the number of its sessions, by the benchmark of `gatepost-store`.

use std::fmt::{self, Write as _};
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
    kind: String,
    sessions: u64,
    /// Time from opening the store to its first answer.
    start_ms: f64,
    /// The process's memory after that, and at its highest.
    memory_mib: f64,
    peak_memory_mib: f64,
    /// Bytes of the file, or of Redis, for each session.
    bytes_per_session: u64,
    find_us: f64,
    sign_in_us: f64,
    renewal_us: f64,
    renewals_per_second: f64,
    /// Time to end the ten sessions of a user.
    end_user_ms: f64,
    first_sweep_ms: f64,
    sweep_ms: f64,
    end_all_ms: Option<f64>,
    quiet_wait_ms: Waits,
    first_sweep_wait_ms: Waits,
    sweep_wait_ms: Waits,
    end_all_wait_ms: Option<Waits>,
}

/// How long requests took beside something else.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Waits {
    find_longest: f64,
    touch_longest: f64,
    touch_p99: f64,
    touch_median: f64,
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

/// Writes the tables.
pub(crate) fn write(rows: &[Row], out: &mut String) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n| store | sessions | bytes per session | MiB of the process | at its highest | start ms | \
         find µs | sign-in µs | renewal µs | renewals/s |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    )?;
    for row in rows {
        writeln!(
            out,
            "| {} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            row.kind,
            row.sessions,
            row.bytes_per_session,
            row.memory_mib,
            row.peak_memory_mib,
            row.start_ms,
            row.find_us,
            row.sign_in_us,
            row.renewal_us,
            row.renewals_per_second
        )?;
    }
    writeln!(
        out,
        "\n| store | sessions | ending of a user's ten ms | sweep ms | first sweep ms | ending of all \
         ms | wait ms: at rest | in a sweep | in a first sweep | while all end |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    )?;
    for row in rows {
        let all = row.end_all_ms.map(|time| format!("{time:.0}"));
        let all = all.unwrap_or_default();
        let waits = row.end_all_wait_ms.as_ref();
        let waits = waits.map(Waits::to_string).unwrap_or_default();
        writeln!(
            out,
            "| {} | {} | {:.1} | {:.0} | {:.0} | {} | {} | {} | {} | {} |",
            row.kind,
            row.sessions,
            row.end_user_ms,
            row.sweep_ms,
            row.first_sweep_ms,
            all,
            row.quiet_wait_ms,
            row.sweep_wait_ms,
            row.first_sweep_wait_ms,
            waits
        )?;
    }
    Ok(())
}

impl fmt::Display for Waits {
    /// Writes the median of the requests that write, the time that 99 of 100 do not exceed, and the
    /// longest of all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.find_longest.max(self.touch_longest);
        write!(
            f,
            "{:.1}, {:.1}, {longest:.1}",
            self.touch_median, self.touch_p99
        )
    }
}
