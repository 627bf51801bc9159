//! The counts, and the events that must not happen.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// A count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Seconds,
    Sessions,
    SignIns,
    Requests,
    InWindow,
    Pages,
    RenewedBeside,
    Renewals,
    Ended,
    NotAnswered,
    Impostors,
    SignOuts,
    SignOutsInDoubt,
    AfterSignOut,
    Refreshed,
    Reloads,
    Rotations,
    OutpostKilled,
    OutpostPaused,
    ProviderRestarted,
    ProviderPaused,
    RedisRestarted,
    RedisPaused,
    ClockJumps,
    HalfEnded,
    Overtaken,
    DeadLocks,
    AskedInVain,
    DisksFull,
    Damaged,
    RollCall,
}

impl Count {
    const ALL: [Self; 31] = [
        Self::Seconds,
        Self::Sessions,
        Self::SignIns,
        Self::Requests,
        Self::InWindow,
        Self::Pages,
        Self::RenewedBeside,
        Self::Renewals,
        Self::Ended,
        Self::NotAnswered,
        Self::Impostors,
        Self::SignOuts,
        Self::SignOutsInDoubt,
        Self::AfterSignOut,
        Self::Refreshed,
        Self::Reloads,
        Self::Rotations,
        Self::OutpostKilled,
        Self::OutpostPaused,
        Self::ProviderRestarted,
        Self::ProviderPaused,
        Self::RedisRestarted,
        Self::RedisPaused,
        Self::ClockJumps,
        Self::HalfEnded,
        Self::Overtaken,
        Self::DeadLocks,
        Self::AskedInVain,
        Self::DisksFull,
        Self::Damaged,
        Self::RollCall,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Seconds => "seconds of traffic with faults",
            Self::Sessions => "sessions in the store",
            Self::SignIns => "sign-ins at the provider",
            Self::Requests => "requests",
            Self::InWindow => "… within a window, let through as the right user",
            Self::Pages => "… page loads whose renewal was due, let through at once",
            Self::RenewedBeside => "… and renewed beside the page",
            Self::Renewals => "… page loads in the last quarter of a window, renewed",
            Self::Ended => "… page loads after the window, renewed from the store",
            Self::NotAnswered => "… page loads that had to be tried again while a part was away",
            Self::Impostors => "… without a session, or with one that does not hold, refused",
            Self::SignOuts => "sign-outs",
            Self::SignOutsInDoubt => "… and those whose answer was lost, asked for again",
            Self::AfterSignOut => "… requests with a session that was signed out, refused",
            Self::Refreshed => "page loads of those who signed in, some asked of the provider",
            Self::Reloads => "configuration reloads of Traefik",
            Self::Rotations => "keys put in front, and as many retired",
            Self::OutpostKilled => "outpost killed (SIGKILL) and started again",
            Self::OutpostPaused => "outpost paused",
            Self::ProviderRestarted => "provider killed and started again",
            Self::ProviderPaused => "provider paused",
            Self::RedisRestarted => "Redis killed and started again",
            Self::RedisPaused => "Redis paused",
            Self::ClockJumps => "jumps of the outpost's clock by five minutes",
            Self::HalfEnded => "sign-outs of sessions that the store had dropped by half",
            Self::Overtaken => "renewals that waited for the provider while the session ended",
            Self::DeadLocks => "renewals whose lock a dead replica had",
            Self::AskedInVain => "questions of a proxy, in a window, while Redis did not answer",
            Self::DisksFull => "disks full, and with room again",
            Self::Damaged => "cookies in a window of a file that was damaged, refused",
            Self::RollCall => "sessions that were there in the end",
        }
    }
}

/// An event that must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    AnotherIdentity,
    LetThrough,
    WindowRefused,
    NotRenewedBeside,
    SessionLost,
    HeldUp,
    Died,
}

impl Violation {
    const ALL: [Self; 7] = [
        Self::AnotherIdentity,
        Self::LetThrough,
        Self::WindowRefused,
        Self::NotRenewedBeside,
        Self::SessionLost,
        Self::HeldUp,
        Self::Died,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::AnotherIdentity => "**requests with another's identity**",
            Self::LetThrough => "**requests without a session let through**",
            Self::WindowRefused => "**windows in force that were refused**",
            Self::NotRenewedBeside => "**pages due for a renewal without a way to it**",
            Self::SessionLost => "**sessions lost**",
            Self::HeldUp => "**requests in a window that waited for a part that was away**",
            Self::Died => "**programs that ended by themselves**",
        }
    }
}

/// How many violations are described.
const MAX_DESCRIBED: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Figures {
    counts: [AtomicU64; Count::ALL.len()],
    violations: [AtomicU64; Violation::ALL.len()],
    descriptions: Mutex<Vec<String>>,
    /// When the provider was last restarted.
    provider: Mutex<Option<Instant>>,
}

impl Figures {
    pub(super) fn add(&self, count: Count, number: u64) {
        if let Some(counter) = self.counts.get(count as usize) {
            counter.fetch_add(number, Ordering::Relaxed);
        }
    }

    pub(super) fn count(&self, count: Count) {
        self.add(count, 1);
    }

    pub(super) fn lasted(&self, time: Duration) {
        self.add(Count::Seconds, time.as_secs());
    }

    pub(super) fn violation(&self, violation: Violation, what: String) {
        if let Some(counter) = self.violations.get(violation as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let mut descriptions = self
            .descriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if descriptions.len() < MAX_DESCRIBED {
            descriptions.push(format!("{violation:?}: {what}"));
        }
    }

    /// Notes that the provider restarts, and has forgotten all users.
    pub(super) fn provider_starts(&self) {
        *self.provider.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Returns whether the provider has been restarted after that.
    pub(super) fn provider_started_after(&self, then: Instant) -> bool {
        let started = self.provider.lock().unwrap_or_else(PoisonError::into_inner);
        started.is_some_and(|started| started > then)
    }

    /// Returns how often Traefik was made to load its configuration.
    pub(super) fn reloads(&self) -> u64 {
        let counter = self.counts.get(Count::Reloads as usize);
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Notes how many requests without an identity the app saw.
    pub(super) fn seen_by_app(&self, anonymous: u64) {
        if anonymous > 0 {
            let what = format!("the app saw {anonymous} requests without one identity");
            self.violation(Violation::LetThrough, what);
        }
    }

    pub(super) fn violations(&self) -> Vec<String> {
        let descriptions = self
            .descriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        descriptions.clone()
    }

    fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = Count::ALL.iter().zip(&self.counts);
        let violations = Violation::ALL.iter().zip(&self.violations);
        counts
            .map(move |(count, counter)| (count.title(), load(counter)))
            .chain(violations.map(move |(one, counter)| (one.title(), load(counter))))
    }
}

/// Returns all figures in one table, in Markdown.
pub(super) fn table(reports: &[(&'static str, Arc<Figures>)]) -> String {
    let mut table = String::from("| |");
    for (store, _) in reports {
        let _ = write!(table, " {store} |");
    }
    table.push_str("\n| --- |");
    table.push_str(&" ---: |".repeat(reports.len()));
    let columns: Vec<Vec<(&str, u64)>> = reports
        .iter()
        .map(|(_, figures)| figures.rows().collect())
        .collect();
    let titles = columns.first().into_iter().flatten();
    for (row, (title, _)) in titles.enumerate() {
        let _ = write!(table, "\n| {title} |");
        for column in &columns {
            let number = column.get(row).map_or(0, |(_, number)| *number);
            let _ = write!(table, " {} |", grouped(number));
        }
    }
    table.push('\n');
    table
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns all figures by store.
pub(super) fn json(reports: &[(&'static str, Arc<Figures>)]) -> Value {
    let mut stores = Map::new();
    for (store, figures) in reports {
        let rows = figures.rows();
        let rows: Map<String, Value> = rows
            .map(|(title, number)| {
                (
                    title.trim_matches(['*', '…', ' ']).to_owned(),
                    json!(number),
                )
            })
            .collect();
        stores.insert(
            (*store).to_owned(),
            json!({ "figures": rows, "violations": figures.violations() }),
        );
    }
    Value::Object(stores)
}
