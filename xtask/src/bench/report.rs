//! The findings, for people and for programs.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::changes::Growth;
use super::guest::{Shared, Verdict};
use super::memory;
use super::peers;
use super::stats::Spread;
use super::store;
use super::throughput::{Clients, Row};

/// The beginning of the tables in the page in `docs/`, and of those of the stores, which a run of
/// their own may replace.
pub(crate) const BEGIN: &str = "<!-- begin: written by `cargo xtask bench --write-docs` -->\n";
pub(crate) const BEGIN_STORES: &str =
    "<!-- begin: written by `cargo xtask bench --only store --write-docs` -->\n";
const END: &str = "<!-- end -->\n";

/// Everything of one run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) versions: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) plugin_bytes: u64,
    pub(crate) throughput: Vec<Row>,
    pub(crate) sign_ins: Vec<SignIns>,
    /// Which peers were not measured.
    pub(crate) missing: String,
    pub(crate) resident: Vec<memory::Resident>,
    pub(crate) memory: Vec<memory::Row>,
    pub(crate) flatness: Vec<Flat>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) shared: Vec<Shared>,
    pub(crate) changes: Vec<Growth>,
    pub(crate) stores: Vec<store::Row>,
}

/// How many sign-ins a second clients, provider and server do together.
#[derive(Debug, Serialize)]
pub(crate) struct SignIns {
    pub(crate) title: String,
    pub(crate) per_second: f64,
}

/// One rate as a share of another.
#[derive(Debug, Serialize)]
pub(crate) struct Flat {
    pub(crate) title: String,
    pub(crate) share: Spread,
}

impl Flat {
    /// Returns the rate of one contender as a share of another's, round by round.
    pub(crate) fn of(title: &str, rows: &[Row], of: &str, to: &str) -> Result<Self> {
        let row = rows.iter().find(|row| row.key == of);
        let share = row.and_then(|row| row.ratios.get(to));
        Ok(Self {
            title: title.to_owned(),
            share: *share.with_context(|| format!("{of} and {to} were measured"))?,
        })
    }
}

/// A promise about one figure.
struct Target {
    text: &'static str,
    found: Option<f64>,
    holds: fn(f64) -> bool,
    digits: usize,
}

impl Report {
    fn ratio(&self, clients: Clients, of: &str, to: &str) -> Option<f64> {
        let row = self.rows(clients).find(|row| row.key == of)?;
        Some(row.ratios.get(to)?.median)
    }

    /// Returns the rate of the outpost as a share of the fastest peer's.
    fn of_best_peer(&self, clients: Clients) -> Option<f64> {
        let peers = self.rows(clients).filter(|row| peers::is_peer(&row.key));
        let shares = peers.map(|peer| self.ratio(clients, "outpost", &peer.key));
        shares.flatten().min_by(f64::total_cmp)
    }

    /// Returns what was measured with these clients.
    fn rows(&self, clients: Clients) -> impl Iterator<Item = &Row> {
        let all = self.throughput.iter();
        all.filter(move |row| row.clients == clients)
    }

    fn flat(&self, title: &str) -> Option<f64> {
        let found = self
            .flatness
            .iter()
            .find(|flat| flat.title.starts_with(title));
        Some(found?.share.median)
    }

    #[allow(clippy::cast_precision_loss)]
    fn targets(&self) -> Vec<Target> {
        let loaded = |key: &str| {
            let found = self.resident.iter().find(|resident| resident.key == key)?;
            Some(found.server?.loaded_bytes as f64)
        };
        let of_peers = self.resident.iter().filter(|row| peers::is_peer(&row.key));
        let least_of_peers = of_peers
            .filter_map(|row| loaded(&row.key))
            .min_by(f64::total_cmp);
        let in_flight = |key: &str| {
            let found = self.memory.iter().find(|row| row.key == key)?;
            Some(found.more_than_first)
        };
        let quotient = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        let target = |text, found, holds, digits| Target {
            text,
            found,
            holds,
            digits,
        };
        let one = Clients::new(16, 1);
        let in_turn = Clients::new(16, 200);
        vec![
            target(
                "plugin, 200 sessions in turn: at least 0.93 of Traefik's `headers`",
                self.ratio(in_turn, "plugin", "headers"),
                |found| found >= 0.93,
                2,
            ),
            target(
                "plugin, one session: at least 0.96 of Traefik's `headers`",
                self.ratio(one, "plugin", "headers"),
                |found| found >= 0.96,
                2,
            ),
            target(
                "plugin, 2,000 sessions in turn: at least 0.90 of Traefik's `headers`",
                self.ratio(Clients::new(16, 2_000), "plugin", "headers"),
                |found| found >= 0.9,
                2,
            ),
            target(
                "plugin in `route` mode, one session: at least 0.93 of Traefik's `headers`",
                self.ratio(one, "route", "headers"),
                |found| found >= 0.93,
                2,
            ),
            target(
                "plugin, 200 sessions: at least 2.1 × forwardAuth to a static nginx",
                self.ratio(in_turn, "plugin", "static"),
                |found| found >= 2.1,
                2,
            ),
            target(
                "plugin: at most 75 KiB more for each request in flight than without",
                in_flight("plugin"),
                |found| found <= 75.0,
                0,
            ),
            target(
                "plugin.wasm: at most 141 KB, so that there is room for rules to come",
                Some(self.plugin_bytes as f64 / 1e3),
                |found| found <= 141.0,
                0,
            ),
            target(
                "outpost, 16 connections: at least 0.95 of forwardAuth to a static nginx",
                self.ratio(in_turn, "outpost", "static"),
                |found| found >= 0.95,
                2,
            ),
            target(
                "outpost, 16 connections: faster than the best peer",
                self.of_best_peer(in_turn),
                |found| found > 1.0,
                2,
            ),
            target(
                "outpost, 256 connections: faster than the best peer",
                self.of_best_peer(Clients::new(256, 200)),
                |found| found > 1.0,
                2,
            ),
            target(
                "outpost: less memory after load than the peer with the least",
                quotient(loaded("outpost"), least_of_peers),
                |found| found < 1.0,
                2,
            ),
            target(
                "outpost: flat from 1 to 1,000 applications",
                self.flat("outpost: 1 application"),
                |found| found >= 0.97,
                2,
            ),
            target(
                "plugin: flat from 1 to 100 public patterns",
                self.flat("plugin: 1 public pattern"),
                |found| found >= 0.97,
                2,
            ),
            target(
                "plugin: less than 10 % slower with 200 groups than with 1, compared with `headers`",
                quotient(
                    self.flat("plugin, as a share of `headers`, 200"),
                    self.flat("plugin, as a share of `headers`, 1 "),
                ),
                |found| found > 0.9,
                2,
            ),
        ]
    }

    /// Returns the tables of the stores.
    pub(crate) fn stores_markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{}; {}.", self.machine, self.versions.join(", "));
        let _ = store::write(&self.stores, &mut out);
        out
    }

    /// Returns the tables of everything else.
    pub(crate) fn markdown(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_markdown(&mut out);
        out
    }

    fn write_markdown(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "{}; {}. {} rounds of {} s each, one contender after the other in every round; medians, \
             with the quartiles in brackets.\n",
            self.machine,
            self.versions.join(", "),
            self.rounds,
            self.seconds
        )?;
        writeln!(out, "| target | found | |\n| --- | --: | --- |")?;
        for target in self.targets() {
            let Some(found) = target.found else { continue };
            let verdict = if (target.holds)(found) {
                "holds"
            } else {
                "**missed**"
            };
            writeln!(
                out,
                "| {} | {found:.*} | {verdict} |",
                target.text, target.digits
            )?;
        }
        let rows = self.throughput.iter();
        let mut clients: Vec<_> = rows.map(|row| row.clients).collect();
        clients.dedup();
        for clients in clients {
            self.write_throughput(out, clients)?;
        }
        if !self.missing.is_empty() {
            writeln!(out, "\n{}", self.missing)?;
        }
        if !self.sign_ins.is_empty() {
            writeln!(out, "\n| sign-ins a second | |\n| --- | --: |")?;
            for sign_ins in &self.sign_ins {
                writeln!(out, "| {} | {:.0} |", sign_ins.title, sign_ins.per_second)?;
            }
        }
        self.write_memory(out)?;
        if !self.flatness.is_empty() {
            writeln!(out, "\n| rate, as a share | |\n| --- | --: |")?;
            for flat in &self.flatness {
                writeln!(out, "| {} | {} |", flat.title, flat.share)?;
            }
        }
        if !self.verdicts.is_empty() {
            writeln!(
                out,
                "\n| verdict in the built plugin | host calls | instructions |\n| --- | --: | --: |"
            )?;
            for verdict in &self.verdicts {
                let calls = verdict.total_host_calls();
                writeln!(
                    out,
                    "| {} | {calls} | {} |",
                    verdict.case, verdict.instructions
                )?;
            }
        }
        if !self.shared.is_empty() {
            writeln!(
                out,
                "\n| users of one guest, with 5 groups | instructions, in turn | page by page | pages \
                 of memory |\n| --: | --: | --: | --: |"
            )?;
        }
        for shared in &self.shared {
            writeln!(
                out,
                "| {} | {} | {} | {} |",
                shared.users,
                shared.in_turn,
                shared.page_by_page,
                shared.memory.div_ceil(65_536)
            )?;
        }
        if !self.changes.is_empty() {
            writeln!(
                out,
                "\n| Traefik's memory, in MiB | seconds | before | after ¼ | ½ | ¾ | all | and a rest |\n\
                 | --- | --: | --: | --: | --: | --: | --: | --: |"
            )?;
            for growth in &self.changes {
                write!(out, "| {} | {:.0} |", growth.title, growth.seconds)?;
                for (_, held) in &growth.held {
                    write!(out, " {held:.0} |")?;
                }
                writeln!(out, " {:.0} |", growth.after_rest)?;
            }
        }
        Ok(())
    }

    fn write_throughput(&self, out: &mut String, clients: Clients) -> std::fmt::Result {
        let Clients {
            connections,
            sessions,
        } = clients;
        let turns = if sessions == 1 {
            "one session".to_owned()
        } else {
            format!("{sessions} sessions in turn")
        };
        writeln!(
            out,
            "\n| {connections} connections, {turns} | requests/s | of `headers` | × static forwardAuth | \
             p50 ms | p99 ms | CPU s per 1,000: Traefik | auth server |\n\
             | --- | --: | --: | --: | --: | --: | --: | --: |"
        )?;
        for row in self.rows(clients) {
            let ratio = |to: &str| {
                row.ratios
                    .get(to)
                    .map_or_else(String::new, Spread::to_string)
            };
            let auth = row.auth_cpu.map(|cpu| format!("{:.3}", cpu.median));
            writeln!(
                out,
                "| {} | {:.0} | {} | {} | {:.2} | {:.2} | {:.3} | {} |",
                row.title,
                row.rate.median,
                ratio("headers"),
                ratio("static"),
                row.p50.median,
                row.p99.median,
                row.proxy_cpu.median,
                auth.unwrap_or_default()
            )?;
        }
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)]
    fn write_memory(&self, out: &mut String) -> std::fmt::Result {
        if !self.memory.is_empty() {
            writeln!(
                out,
                "\n| Traefik's memory and start | KiB per request in flight | more than without | \
                 idle MiB | first answer ms |\n| --- | --: | --: | --: | --: |"
            )?;
        }
        for row in &self.memory {
            writeln!(
                out,
                "| {} | {:.0} | {:.0} | {:.0} | {:.0} |",
                row.title, row.per_request, row.more_than_first, row.idle.median, row.first_answer
            )?;
        }
        if !self.resident.is_empty() {
            writeln!(
                out,
                "\n| resident memory, MiB | Traefik after load | auth server idle | after load |\n\
                 | --- | --: | --: | --: |"
            )?;
        }
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        for row in &self.resident {
            write!(out, "| {} | {:.0} |", row.title, mebibytes(row.proxy_bytes))?;
            match row.server {
                Some(server) => writeln!(
                    out,
                    " {:.1} | {:.1} |",
                    mebibytes(server.idle_bytes),
                    mebibytes(server.loaded_bytes)
                )?,
                None => writeln!(out, " | |")?,
            }
        }
        Ok(())
    }
}

/// Returns the page with the tables after this mark replaced.
///
/// # Errors
///
/// When the page has no place for them.
pub(crate) fn put_into_page(page: &str, begin: &str, tables: &str) -> Result<String> {
    let (before, rest) = page
        .split_once(begin)
        .context("the page has no begin mark")?;
    let (_, after) = rest.split_once(END).context("the page has no end mark")?;
    Ok(format!("{before}{begin}\n{tables}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_replace_those_of_the_page() {
        let page = format!("# Title\n{BEGIN}old\n{END}after\n{BEGIN_STORES}{END}");
        let once = put_into_page(&page, BEGIN, "new\n").expect("marks");
        let expected = format!("# Title\n{BEGIN}\nnew\n\n{END}after\n{BEGIN_STORES}{END}");
        assert_eq!(once, expected);
        assert_eq!(put_into_page(&once, BEGIN, "new\n").expect("marks"), once);

        let both = put_into_page(&once, BEGIN_STORES, "stores\n").expect("marks");
        assert!(both.starts_with(&format!("# Title\n{BEGIN}\nnew\n")));
        assert!(both.ends_with(&format!("{BEGIN_STORES}\nstores\n\n{END}")));
    }
}
