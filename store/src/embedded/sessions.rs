//! Operations on the sessions in the file.

use std::sync::Arc;

use arc_swap::ArcSwap;
use gatepost_base::SealingKeys;
use gatepost_session::{NumericDate, SessionId};
use redb::{
    Database, ReadableDatabase as _, ReadableMultimapTable as _, ReadableTable as _,
    ReadableTableMetadata as _, WriteTransaction,
};

use super::BoxError;
use super::row::Row;
use super::tables::{self, OWNERS, REVOKED, SESSIONS, USED};
use crate::cache::SessionCache;
use crate::end::revocations_at;
use crate::sealed::{self, Times};
use crate::{EndOutcome, EndRequest, SessionRecord, SessionSelector};

/// The sessions of a database, which each operation gets as an argument: the file may be opened
/// again in between.
pub(super) struct Sessions {
    pub(super) keys: ArcSwap<SealingKeys>,
    pub(super) cache: SessionCache,
    pub(super) capacity: u64,
}

impl Sessions {
    pub(super) fn insert(
        &self,
        database: &Database,
        record: &SessionRecord,
    ) -> Result<(), BoxError> {
        let row = self.row_of(record)?;
        let write = database.begin_write()?;
        let mut changed = {
            let sessions = write.open_table(SESSIONS)?;
            if sessions.len()? < self.capacity {
                Vec::new()
            } else {
                self.least_recently_used(&sessions)?
            }
        };
        if !changed.is_empty() {
            crate::warn_full(self.capacity);
            tables::end(&write, &changed, |ended| {
                revocations_at(ended, record.last_seen)
            })?;
        }
        write
            .open_table(SESSIONS)?
            .insert(record.id.as_str(), row.as_slice())?;
        let mut owners = write.open_multimap_table(OWNERS)?;
        for key in sealed::index_keys(record) {
            owners.insert(key.as_str(), record.id.as_str())?;
        }
        drop(owners);
        changed.push(record.id.to_string());
        self.commit(write, &changed)
    }

    pub(super) fn find(
        &self,
        database: &Database,
        id: &str,
    ) -> Result<Option<Arc<SessionRecord>>, BoxError> {
        let generation = self.cache.generation();
        let sessions = database.begin_read()?.open_table(SESSIONS)?;
        let row = sessions.get(id)?;
        let found = row.and_then(|row| self.open(id, row.value()));
        if let Some(session) = &found {
            self.cache.insert(generation, session);
        }
        Ok(found)
    }

    pub(super) fn touch(
        &self,
        database: &Database,
        id: &str,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<bool, BoxError> {
        self.change(database, id, |mut row| {
            row.times.last_seen = row.times.last_seen.max(now);
            row.times.window_ends = row.times.window_ends.max(window_ends);
            row.to_bytes()
        })
    }

    pub(super) fn update(
        &self,
        database: &Database,
        record: &SessionRecord,
    ) -> Result<bool, BoxError> {
        let sealed = sealed::seal(record, &self.keys.load()).ok_or("no randomness")?;
        self.change(database, record.id.as_str(), |row| {
            let times = Times {
                last_seen: row.times.last_seen.max(record.last_seen),
                window_ends: row.times.window_ends.max(record.window_ends),
                ends: record.ends,
            };
            // A renewal changes neither the user nor the session at the provider.
            let row = Row {
                times,
                index_keys: row.index_keys,
                sealed: &sealed,
            };
            row.to_bytes()
        })
    }

    pub(super) fn end(
        &self,
        database: &Database,
        request: &EndRequest,
    ) -> Result<EndOutcome, BoxError> {
        let write = database.begin_write()?;
        let selected = select(&write, &request.selector)?;
        let ids = self.applicable(&write, request, selected)?;
        let outcome = tables::end(&write, &ids, |ended| request.revocations(ended))?;
        self.commit(write, &ids)?;
        Ok(outcome)
    }

    pub(super) fn list(
        &self,
        database: &Database,
        limit: usize,
    ) -> Result<Vec<Arc<SessionRecord>>, BoxError> {
        let sessions = database.begin_read()?.open_table(SESSIONS)?;
        let mut listed = Vec::new();
        for entry in sessions.iter()? {
            if listed.len() == limit {
                break;
            }
            let (id, row) = entry?;
            listed.extend(self.open(id.value(), row.value()));
        }
        Ok(listed)
    }

    pub(super) fn sweep(
        &self,
        database: &Database,
        now: NumericDate,
        idle: u64,
    ) -> Result<u64, BoxError> {
        let write = database.begin_write()?;
        let mut over = Vec::new();
        for entry in write.open_table(SESSIONS)?.iter()? {
            let (id, row) = entry?;
            if Row::parse(row.value()).is_none_or(|row| row.times.ends_if_idle(idle) <= now) {
                over.push(id.value().to_owned());
            }
        }
        tables::end(&write, &over, |ended| revocations_at(ended, now))?;
        for table in [REVOKED, USED] {
            write
                .open_table(table)?
                .retain(|_, expires| now.as_seconds() < expires)?;
        }
        let remaining = write.open_table(SESSIONS)?.len()?;
        self.commit(write, &over)?;
        Ok(remaining)
    }

    fn row_of(&self, record: &SessionRecord) -> Result<Vec<u8>, BoxError> {
        let sealed = sealed::seal(record, &self.keys.load()).ok_or("no randomness")?;
        let index_keys = sealed::index_keys(record);
        let row = Row {
            times: Times::of(record),
            index_keys: index_keys.iter().map(String::as_str).collect(),
            sealed: &sealed,
        };
        row.to_bytes().ok_or_else(|| "too many index keys".into())
    }

    fn open(&self, id: &str, row: &[u8]) -> Option<Arc<SessionRecord>> {
        let id = SessionId::parse(id)?;
        let row = Row::parse(row)?;
        sealed::open(&id, row.sealed, row.times, &self.keys.load()).map(Arc::new)
    }

    /// Commits a transaction, and invalidates the cached copies of the sessions that it changed.
    fn commit(&self, write: WriteTransaction, changed: &[impl AsRef<str>]) -> Result<(), BoxError> {
        let committed = write.commit();
        // Also after a failure: the next reader finds out what the file contains.
        self.cache.invalidate(changed.iter().map(AsRef::as_ref));
        Ok(committed?)
    }

    /// Returns a tenth of the sessions, so that a full file is not searched at every sign-in.
    fn least_recently_used(
        &self,
        sessions: &impl redb::ReadableTable<&'static str, &'static [u8]>,
    ) -> Result<Vec<String>, BoxError> {
        let mut by_use = Vec::new();
        for entry in sessions.iter()? {
            let (id, row) = entry?;
            let last_seen = Row::parse(row.value()).map(|row| row.times.last_seen);
            by_use.push((last_seen, id.value().to_owned()));
        }
        by_use.sort_unstable();
        let count = usize::try_from((self.capacity / 10).max(1))?;
        Ok(by_use.into_iter().take(count).map(|(_, id)| id).collect())
    }

    /// Changes the row of a session. Returns false when there is none.
    fn change(
        &self,
        database: &Database,
        id: &str,
        change: impl FnOnce(Row<'_>) -> Option<Vec<u8>>,
    ) -> Result<bool, BoxError> {
        let write = database.begin_write()?;
        let changed = {
            let mut sessions = write.open_table(SESSIONS)?;
            let changed = match sessions.get(id)? {
                Some(row) => Row::parse(row.value()).and_then(change),
                None => None,
            };
            if let Some(row) = &changed {
                sessions.insert(id, row.as_slice())?;
            }
            changed.is_some()
        };
        self.commit(write, &[id])?;
        Ok(changed)
    }

    /// Returns those of the selected sessions to which a request applies.
    fn applicable(
        &self,
        write: &WriteTransaction,
        request: &EndRequest,
        selected: Vec<String>,
    ) -> Result<Vec<String>, BoxError> {
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

/// Returns the ids of the sessions that a selector matches.
fn select(write: &WriteTransaction, selector: &SessionSelector) -> Result<Vec<String>, BoxError> {
    match (selector, sealed::index_key_of(selector)) {
        (SessionSelector::Id(id), _) => Ok(vec![id.to_string()]),
        (_, Some(key)) => write
            .open_multimap_table(OWNERS)?
            .get(key.as_str())?
            .map(|id| Ok(id?.value().to_owned()))
            .collect(),
        (_, None) => write
            .open_table(SESSIONS)?
            .iter()?
            .map(|entry| Ok(entry?.0.value().to_owned()))
            .collect(),
    }
}
