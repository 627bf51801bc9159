//! What was found out: the record in `record.json`, and the documentation's table that is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::layout;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::scenarios::{self, Scenario};

/// What the last complete run of each provider found.
const RECORD: &str = "e2e/tests/providers/record.json";

/// The page with the table, and the text around it.
const PAGE: &str = "docs/providers/README.md";
const BEGIN: &str = "<!-- written by the tests of e2e/tests/providers: begin -->\n";
const END: &str = "<!-- written by the tests of e2e/tests/providers: end -->\n";

/// What writes record and page, instead of comparing with them.
const UPDATE: &str = "GATEPOST_UPDATE_DOCS";

/// The columns of the table, each with the scenarios that have to hold for a yes.
const COLUMNS: [(&str, &[&str]); 7] = [
    ("sign-in", &["sign_in"]),
    ("groups", &["groups"]),
    ("renewal by refresh token", &["refresh_tokens_in_ten_tabs"]),
    ("renewal by `prompt=none`", &["prompt_none"]),
    ("sign-out at the provider", &["sign_out"]),
    ("back-channel logout", &["back_channel_logout"]),
    ("restart, new keys", &["restart", "signing_key_change"]),
];

/// What a scenario found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cell {
    /// It works.
    #[serde(rename = "yes")]
    Yes,
    /// The provider has nothing of the kind.
    #[serde(rename = "–")]
    Absent,
    /// It does not work.
    #[serde(rename = "no")]
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

/// What one provider's scenarios found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    title: String,
    scenarios: BTreeMap<String, Cell>,
}

impl Row {
    /// Returns the cell of a column: what the first of its scenarios found that does not hold.
    fn cell(&self, scenarios: &[&str]) -> &'static str {
        let found = |scenario: &&str| self.scenarios.get(*scenario);
        let mut cells = scenarios.iter().map(found);
        let odd = cells.find(|cell| *cell != Some(&Cell::Yes));
        odd.map_or("yes", |cell| cell.map_or("not tried", |cell| cell.text()))
    }
}

/// The rows by the providers' names.
type Rows = BTreeMap<String, Row>;

/// What all scenarios of this run found.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    rows: Mutex<Rows>,
    skipped: Mutex<BTreeMap<&'static str, String>>,
    /// The providers of which a build ran that the record is not about.
    unrecorded: Mutex<BTreeSet<&'static str>>,
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
        let row = rows.entry(provider.to_owned()).or_insert_with(|| Row {
            title: title.to_owned(),
            scenarios: BTreeMap::new(),
        });
        row.scenarios.insert(scenario.name.to_owned(), cell);
    }

    /// Remembers why a provider's scenarios did not run.
    pub(crate) fn skipped(&self, provider: &'static str, reason: &str) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.insert(provider, reason.to_owned());
    }

    /// Remembers that the record has nothing to do with what a provider's scenarios find.
    pub(crate) fn unrecorded(&self, provider: &'static str) {
        let mut unrecorded = self
            .unrecorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        unrecorded.insert(provider);
    }

    /// Writes the findings, says what was skipped and compares with the record, or writes that and
    /// the page.
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
        let findings = json!({ "providers": *rows, "skipped": *skipped });
        fs::write(
            folder.join("providers.json"),
            serde_json::to_string_pretty(&findings)?,
        )?;
        let unrecorded = self
            .unrecorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        compare_with_record(&rows, &unrecorded)
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares each row of this run with the record's. A row of which not every scenario ran is left
/// out: a filter chose among them.
fn compare_with_record(rows: &Rows, unrecorded: &BTreeSet<&str>) -> Result<()> {
    let before = record()?;
    let mut record = before.clone();
    for (name, row) in rows {
        let expected: BTreeSet<&str> = scenarios::of(name).iter().map(|own| own.name).collect();
        let ran: BTreeSet<&str> = row.scenarios.keys().map(String::as_str).collect();
        if ran == expected && !unrecorded.contains(name.as_str()) {
            record.insert(name.clone(), row.clone());
        }
    }
    if record == before {
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&record)? + "\n";
    if env::var_os(UPDATE).is_none() {
        bail!("{RECORD} does not say what the tests found; {UPDATE}=1 writes:\n{text}");
    }
    fs::write(layout::root().join(RECORD), text)?;
    let (page, table) = (Page::read()?, table(&record));
    page.write(&table)
}

fn record() -> Result<Rows> {
    let text = fs::read_to_string(layout::root().join(RECORD)).context(RECORD)?;
    serde_json::from_str(&text).context(RECORD)
}

/// Fails unless the page shows the record's table.
pub(crate) fn compare_page_with_record() -> Result<()> {
    let (page, table) = (Page::read()?, table(&record()?));
    if page.shown == table {
        return Ok(());
    }
    if env::var_os(UPDATE).is_some() {
        return page.write(&table);
    }
    bail!("{PAGE} does not show what {RECORD} says; {UPDATE}=1 writes:\n{table}")
}

/// The page with the table, in three parts.
struct Page {
    before: String,
    shown: String,
    after: String,
}

impl Page {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(layout::root().join(PAGE)).context(PAGE)?;
        let begin = || format!("{PAGE}: {BEGIN}");
        let (before, rest) = text.split_once(BEGIN).with_context(begin)?;
        let end = || format!("{PAGE}: {END}");
        let (shown, after) = rest.split_once(END).with_context(end)?;
        Ok(Self {
            before: before.to_owned(),
            shown: shown.to_owned(),
            after: after.to_owned(),
        })
    }

    fn write(&self, table: &str) -> Result<()> {
        let Self { before, after, .. } = self;
        let text = [before.as_str(), BEGIN, table, END, after].concat();
        Ok(fs::write(layout::root().join(PAGE), text)?)
    }
}

fn table(record: &Rows) -> String {
    let mut table = "| provider |".to_owned();
    for (title, _) in COLUMNS {
        let _ = write!(table, " {title} |");
    }
    table.push_str("\n| --- |");
    table.push_str(&" --- |".repeat(COLUMNS.len()));
    table.push('\n');
    for row in record.values() {
        let _ = write!(table, "| {} |", row.title);
        for (_, scenarios) in COLUMNS {
            let _ = write!(table, " {} |", row.cell(scenarios));
        }
        table.push('\n');
    }
    table
}
