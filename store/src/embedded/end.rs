//! Ending sessions in the file: on request, in a sweep, and to make room in a full store.
//!
//! One transaction writes at a time, so a long one would stop every sign-in and renewal. A search
//! through all sessions therefore only reads, which nothing waits for, and the sessions that it
//! finds end some at a time, in transactions of a few milliseconds, with a pause in which others
//! write.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use gatepost_session::NumericDate;
use redb::{
    Database, ReadableDatabase as _, ReadableMultimapTable as _, ReadableTable as _,
    ReadableTableMetadata as _, TableDefinition, WriteTransaction,
};

use super::pace::Pace;
use super::row::Row;
use super::sessions::Sessions;
use super::tables::BoxError;
use super::tables::{self, OWNERS, REVOKED, SESSIONS, USED};
use crate::end::revocations_at;
use crate::finished::Unfinished;
use crate::revocation_log::parse_entry;
use crate::sealed;
use crate::{EndOutcome, EndRequest, Revocation, SessionSelector};

/// The pause between two batches. The database gives its lock to any waiter, and without a pause
/// the next batch often takes it before a sign-in that has waited.
const PAUSE: Duration = Duration::from_millis(1);

impl Sessions {
    /// Ends the sessions to which a request applies: those of a user in one transaction, and all
    /// sessions in batches.
    pub(super) fn end(
        &self,
        database: &Database,
        request: &EndRequest,
    ) -> Result<EndOutcome, BoxError> {
        match (&request.selector, sealed::index_key_of(&request.selector)) {
            (SessionSelector::Id(id), _) => {
                let write = database.begin_write()?;
                self.end_in(write, request, vec![id.expose().to_owned()])
            }
            (_, Some(index_key)) => {
                let write = database.begin_write()?;
                let ids = write
                    .open_multimap_table(OWNERS)?
                    .get(index_key.as_str())?
                    .map(|id| Ok(id?.value().to_owned()))
                    .collect::<Result<_, BoxError>>()?;
                self.end_in(write, request, ids)
            }
            (_, None) => self.end_all(database, request),
        }
    }

    fn end_all(&self, database: &Database, request: &EndRequest) -> Result<EndOutcome, BoxError> {
        let ids = database
            .begin_read()?
            .open_table(SESSIONS)?
            .iter()?
            .map(|entry| Ok(entry?.0.value().to_owned()))
            .collect::<Result<Vec<String>, BoxError>>()?;
        let (mut ended, mut revocations) = (Vec::new(), BTreeSet::new());
        let mut end = |write, batch: &[String]| {
            let outcome = self.end_in(write, request, batch.to_vec())?;
            ended.extend(outcome.ended);
            revocations.extend(outcome.revocations);
            Ok(())
        };
        // Also without any session, one transaction adds the revocation of everything.
        if ids.is_empty() {
            end(database.begin_write()?, &[])?;
        }
        in_batches(database, &ids, end)?;
        Ok(EndOutcome {
            ended,
            revocations: revocations.into_iter().collect(),
        })
    }

    /// Ends those of the selected sessions to which a request applies, and commits.
    fn end_in(
        &self,
        write: WriteTransaction,
        request: &EndRequest,
        selected: Vec<String>,
    ) -> Result<EndOutcome, BoxError> {
        let ids = self.applicable(&write, request, selected)?;
        let outcome = tables::end(&write, &ids, |ended| request.revocations(ended))?;
        self.commit(write, &ids)?;
        Ok(outcome)
    }

    /// Removes everything that is over at `now`, and returns how many sessions remain.
    pub(super) fn sweep(
        &self,
        database: &Database,
        now: NumericDate,
        idle: u64,
    ) -> Result<u64, BoxError> {
        // A failure of one part does not keep the other from its work.
        let finished = self.finish(database, now);
        let idle = self.end_idle(database, now, idle);
        finished?;
        remove_expired(database, now)?;
        idle?;
        Ok(database.begin_read()?.open_table(SESSIONS)?.len()?)
    }

    /// Ends the sessions that are revoked in the log.
    fn finish(&self, database: &Database, now: NumericDate) -> Result<(), BoxError> {
        let read = database.begin_read()?;
        let mut log = Vec::new();
        for entry in read.open_table(REVOKED)?.iter()? {
            log.extend(parse_entry(entry?.0.value()));
        }
        let Unfinished { ids, others } = self.finished.unfinished(&log, now);
        let sessions = read.open_table(SESSIONS)?;
        let owners = read.open_multimap_table(OWNERS)?;
        let mut over = BTreeSet::new();
        for id in ids {
            if sessions.get(id)?.is_some() {
                over.insert(id.to_owned());
            }
        }
        let mut of_all = Vec::new();
        for revocation in others {
            let Some(index_key) = revocation.index_key() else {
                of_all.push(revocation);
                continue;
            };
            for id in owners.get(index_key.as_str())? {
                let id = id?;
                let row = sessions.get(id.value())?;
                if row.is_some_and(|row| self.is_revoked(id.value(), row.value(), &[revocation])) {
                    over.insert(id.value().to_owned());
                }
            }
        }
        if !of_all.is_empty() {
            for entry in sessions.iter()? {
                let (id, row) = entry?;
                if self.is_revoked(id.value(), row.value(), &of_all) {
                    over.insert(id.value().to_owned());
                }
            }
        }
        drop((sessions, owners, read));
        let over: Vec<String> = over.into_iter().collect();
        self.end_batches(database, &over, now)?;
        self.finished.note(log);
        Ok(())
    }

    /// Returns whether one of these revocations applies to a session.
    fn is_revoked(&self, id: &str, row: &[u8], revocations: &[&Revocation]) -> bool {
        let record = self.open(id, row);
        record.is_some_and(|record| revocations.iter().any(|r| r.applies_to(&record)))
    }

    /// Ends the sessions whose time is over, or that were not used for `idle` seconds.
    fn end_idle(&self, database: &Database, now: NumericDate, idle: u64) -> Result<(), BoxError> {
        let is_over =
            |row: &[u8]| Row::parse(row).is_none_or(|row| row.times.ends_if_idle(idle) <= now);
        let read = database.begin_read()?;
        let mut over = Vec::new();
        for entry in read.open_table(SESSIONS)?.iter()? {
            let (id, row) = entry?;
            if is_over(row.value()) {
                over.push(id.value().to_owned());
            }
        }
        drop(read);
        in_batches(database, &over, |write, batch| {
            let ids = filter(&write, batch, is_over)?;
            tables::end(&write, &ids, |ended| revocations_at(ended, now))?;
            self.commit(write, &ids)
        })
    }

    /// Ends the sessions of a full store that were unused for longest: a tenth, so that the store is
    /// not searched at every sign-in. Does nothing if the store has room by now.
    pub(super) fn make_room(&self, database: &Database, now: NumericDate) -> Result<(), BoxError> {
        if !self.is_full(database)? {
            return Ok(());
        }
        crate::capacity::warn_full(self.capacity);
        let read = database.begin_read()?;
        let mut by_use = Vec::new();
        for entry in read.open_table(SESSIONS)?.iter()? {
            let (id, row) = entry?;
            let last_seen = Row::parse(row.value()).map(|row| row.times.last_seen);
            by_use.push((last_seen, id.value().to_owned()));
        }
        drop(read);
        by_use.sort_unstable();
        by_use.truncate(usize::try_from((self.capacity / 10).max(1))?);
        let ids: Vec<String> = by_use.into_iter().map(|(_, id)| id).collect();
        self.end_batches(database, &ids, now)
    }

    /// Ends sessions, some at a time, so that others can write in between.
    fn end_batches(
        &self,
        database: &Database,
        ids: &[String],
        now: NumericDate,
    ) -> Result<(), BoxError> {
        in_batches(database, ids, |write, batch| {
            tables::end(&write, batch, |ended| revocations_at(ended, now))?;
            self.commit(write, batch)
        })
    }

    pub(super) fn is_full(&self, database: &Database) -> Result<bool, BoxError> {
        let sessions = database.begin_read()?.open_table(SESSIONS)?;
        Ok(sessions.len()? >= self.capacity)
    }

    /// Returns those of the selected sessions to which a request applies.
    fn applicable(
        &self,
        write: &WriteTransaction,
        request: &EndRequest,
        selected: Vec<String>,
    ) -> Result<Vec<String>, BoxError> {
        if request.applies_to_all() {
            return Ok(selected);
        }
        let sessions = write.open_table(SESSIONS)?;
        let mut applicable = Vec::with_capacity(selected.len());
        for id in selected {
            let record = sessions
                .get(id.as_str())?
                .and_then(|row| self.open(&id, row.value()));
            // A session that cannot be unsealed is of no use to its user, so it ends as well.
            if record.is_none_or(|record| request.applies_to(&record)) {
                applicable.push(id);
            }
        }
        Ok(applicable)
    }
}

/// Returns those of these sessions whose row still satisfies a condition: some may have been used
/// since they were found.
fn filter(
    write: &WriteTransaction,
    ids: &[String],
    condition: impl Fn(&[u8]) -> bool,
) -> Result<Vec<String>, BoxError> {
    let sessions = write.open_table(SESSIONS)?;
    let mut filtered = Vec::with_capacity(ids.len());
    for id in ids {
        let row = sessions.get(id.as_str())?;
        if row.is_some_and(|row| condition(row.value())) {
            filtered.push(id.clone());
        }
    }
    Ok(filtered)
}

/// Runs `work` on some of these entries at a time, each time in a transaction of its own, which
/// `work` commits.
fn in_batches<T>(
    database: &Database,
    entries: &[T],
    mut work: impl FnMut(WriteTransaction, &[T]) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let mut pace = Pace::default();
    let mut remaining = entries;
    while !remaining.is_empty() {
        let batch = pace.take(&mut remaining);
        let write = database.begin_write()?;
        // From here on others wait.
        let begun = Instant::now();
        work(write, batch)?;
        pace.note(begun.elapsed());
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Removes revocations and single-use values that have expired at `now`.
fn remove_expired(database: &Database, now: NumericDate) -> Result<(), BoxError> {
    for table in [REVOKED, USED] {
        let has_expired = |expires: u64| expires <= now.as_seconds();
        let expired = expired(database, table, has_expired)?;
        in_batches(database, &expired, |write, batch| {
            {
                let mut entries = write.open_table(table)?;
                for key in batch {
                    // A value may have been used again since.
                    let expires = entries.get(key.as_str())?.map(|expires| expires.value());
                    if expires.is_some_and(has_expired) {
                        entries.remove(key.as_str())?;
                    }
                }
            }
            Ok(write.commit()?)
        })?;
    }
    Ok(())
}

/// Returns the keys of a table whose expiry satisfies a condition.
fn expired(
    database: &Database,
    table: TableDefinition<'_, &str, u64>,
    has_expired: impl Fn(u64) -> bool,
) -> Result<Vec<String>, BoxError> {
    let entries = database.begin_read()?.open_table(table)?;
    let mut expired = Vec::new();
    for entry in entries.iter()? {
        let (key, expires) = entry?;
        if has_expired(expires.value()) {
            expired.push(key.value().to_owned());
        }
    }
    Ok(expired)
}
