//! What processes have used, from `/proc`.

use std::fs;

use anyhow::{Context as _, Result};

/// How `/proc` counts time. The kernel's `USER_HZ` is 100 on every architecture that Traefik
/// runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the CPU seconds that the processes of a group have used so far.
pub(crate) fn cpu_seconds(group: u32) -> Result<f64> {
    let mut ticks = 0;
    for pid in members(group)? {
        // A process may end while this looks.
        if let Some(stat) = Stat::of(pid) {
            ticks += stat.ticks;
        }
    }
    Ok(f64::from(u32::try_from(ticks)?) / TICKS_PER_SECOND)
}

/// Returns the bytes of memory of the programs of a group (their resident sets), without the shell
/// that watches over them.
pub(crate) fn resident_bytes(group: u32) -> Result<u64> {
    let mut bytes = 0;
    for pid in members(group)? {
        let Some(stat) = Stat::of(pid) else { continue };
        if !matches!(stat.name.as_str(), "sh" | "cat") {
            bytes += kibibytes(pid, "VmRSS:").unwrap_or_default() * 1024;
        }
    }
    Ok(bytes)
}

fn members(group: u32) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if Stat::of(pid).is_some_and(|stat| stat.group == group) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// The parts of `/proc/PID/stat` (proc_pid_stat(5)) that matter here.
struct Stat {
    name: String,
    group: u32,
    ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name is in brackets and may contain anything, also brackets.
        let (start, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            name: start.split_once('(')?.1.to_owned(),
            group: u32::try_from(number(2)?).ok()?,
            ticks: number(11)? + number(12)?,
        })
    }
}

fn kibibytes(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Describes the machine, on which ratios may depend.
pub(crate) fn machine() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
    let values = |field: &str| -> Vec<String> {
        cpus.lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.trim() == field)
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    };
    let models = values("model name");
    let count = values("processor").len();
    let model = models.first().map_or("processor", String::as_str);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version: Vec<&str> = kernel.trim().splitn(3, ['.', '-']).take(2).collect();
    Ok(format!("{count} × {model}, Linux {}", version.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read_whatever_the_name() {
        let rest = "S 1 77 77 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 9 8 7";
        for name in ["traefik", "a) (b", ""] {
            let stat = Stat::parse(&format!("42 ({name}) {rest}")).expect(name);
            assert_eq!(
                (stat.name.as_str(), stat.group, stat.ticks),
                (name, 77, 300)
            );
        }
    }
}
