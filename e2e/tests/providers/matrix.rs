//! The findings, as JSON and as the documentation's table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::layout;
use serde_json::{Value, json};

use crate::scenarios::Scenario;

/// The page with the table, and the text around it.
const PAGE: &str = "docs/providers/README.md";
const BEGIN: &str = "<!-- written by the tests of e2e/tests/providers: begin -->\n";
const END: &str = "<!-- written by the tests of e2e/tests/providers: end -->\n";

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    SignIn,
    Groups,
    RefreshToken,
    PromptNone,
    SignOut,
    BackChannel,
}

impl Column {
    const ALL: [Self; 6] = [
        Self::SignIn,
        Self::Groups,
        Self::RefreshToken,
        Self::PromptNone,
        Self::SignOut,
        Self::BackChannel,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Groups => "groups",
            Self::RefreshToken => "renewal by refresh token",
            Self::PromptNone => "renewal by `prompt=none`",
            Self::SignOut => "sign-out at the provider",
            Self::BackChannel => "back-channel logout",
        }
    }
}

/// What a scenario found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// It works.
    Yes,
    /// The provider has nothing of the kind.
    Absent,
    /// It does not work.
    No,
}

impl Cell {
    fn text(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Absent => "–",
            Self::No => "no",
        }
    }
}

/// The findings of one provider's scenarios.
#[derive(Debug, Default)]
struct Row {
    title: &'static str,
    cells: BTreeMap<Column, Cell>,
    scenarios: BTreeMap<&'static str, Cell>,
}

/// What all scenarios of this run found.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    rows: Mutex<BTreeMap<&'static str, Row>>,
    skipped: Mutex<BTreeMap<&'static str, String>>,
}

impl Matrix {
    /// Remembers what a scenario found.
    pub(crate) fn found(
        &self,
        provider: &'static str,
        title: &'static str,
        scenario: &Scenario,
        cell: Cell,
    ) {
        let mut rows = self.rows();
        let row = rows.entry(provider).or_default();
        row.title = title;
        row.scenarios.insert(scenario.name, cell);
        if let Some(column) = scenario.column {
            row.cells.insert(column, cell);
        }
    }

    /// Remembers why a provider's scenarios did not run.
    pub(crate) fn skipped(&self, provider: &'static str, reason: &str) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.insert(provider, reason.to_owned());
    }

    /// Writes the findings, reports the skipped scenarios, and compares the findings with the
    /// documentation, or updates it.
    pub(crate) fn conclude(&self) -> Result<()> {
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        for (provider, reason) in &*skipped {
            eprintln!("skipped: {provider}, because {reason}");
        }
        let rows = self.rows();
        if rows.is_empty() {
            return Ok(());
        }
        let folder = layout::artefacts_dir();
        fs::create_dir_all(&folder)?;
        let findings = serde_json::to_string_pretty(&findings(&rows, &skipped))?;
        fs::write(folder.join("providers.json"), findings)?;
        compare_with_docs(&rows)
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<&'static str, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn findings(rows: &BTreeMap<&'static str, Row>, skipped: &BTreeMap<&'static str, String>) -> Value {
    let found = |row: &Row| -> Value {
        let scenarios = row.scenarios.iter();
        let scenarios: BTreeMap<_, _> =
            scenarios.map(|(name, cell)| (*name, cell.text())).collect();
        json!({ "title": row.title, "scenarios": scenarios })
    };
    let found: BTreeMap<_, _> = rows.iter().map(|(name, row)| (*name, found(row))).collect();
    json!({ "providers": found, "skipped": skipped })
}

/// Compares each row of this run with the page's. A row of which not every scenario ran is left
/// out: a filter chose among them.
fn compare_with_docs(rows: &BTreeMap<&'static str, Row>) -> Result<()> {
    let path = layout::root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("read {PAGE}"))?;
    let (before, rest) = page
        .split_once(BEGIN)
        .with_context(|| format!("{PAGE}: {BEGIN}"))?;
    let (shown, after) = rest
        .split_once(END)
        .with_context(|| format!("{PAGE}: {END}"))?;
    let complete = |row: &&Row| {
        Column::ALL
            .iter()
            .all(|column| row.cells.contains_key(column))
    };
    let mut lines: BTreeMap<String, String> = shown
        .lines()
        .skip(2)
        .filter_map(|line| Some((name(line)?, line.to_owned())))
        .collect();
    for row in rows.values().filter(complete) {
        let line = line(row);
        if let Some(name) = name(&line) {
            lines.insert(name, line);
        }
    }
    let table = table(lines.values().map(String::as_str));
    if table == shown {
        return Ok(());
    }
    if env::var_os("GATEPOST_UPDATE_DOCS").is_none() {
        bail!("{PAGE} does not say what the tests found; GATEPOST_UPDATE_DOCS=1 writes:\n{table}");
    }
    Ok(fs::write(
        path,
        [before, BEGIN, &table, END, after].concat(),
    )?)
}

/// The provider that a line is about.
fn name(line: &str) -> Option<String> {
    let cell = line.split('|').nth(1)?.trim();
    let name = cell.rsplit_once(' ').map_or(cell, |(name, _version)| name);
    Some(name.to_owned())
}

fn line(row: &Row) -> String {
    let mut line = format!("| {} |", row.title);
    for column in Column::ALL {
        let cell = row.cells.get(&column).map_or("", |cell| cell.text());
        let _ = write!(line, " {cell} |");
    }
    line
}

fn table<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let mut table = "| provider |".to_owned();
    for column in Column::ALL {
        let _ = write!(table, " {} |", column.title());
    }
    table.push_str("\n| --- |");
    table.push_str(&" --- |".repeat(Column::ALL.len()));
    table.push('\n');
    for line in lines {
        table.push_str(line);
        table.push('\n');
    }
    table
}
