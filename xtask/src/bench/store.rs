//! What a store costs by the number of its sessions, by the benchmark of `gatepost-store`.

use std::fmt::{self, Write as _};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::tools::cargo;

pub(crate) use self::row::Row;
use self::row::Waits;

#[path = "../../../store/benches/size/row.rs"]
mod row;

/// The sizes that are measured, as its argument.
const SESSIONS: &str = "1000,100000,1000000";

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
