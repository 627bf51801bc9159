//! Operations on the sessions in the file.

use std::sync::Arc;

use arc_swap::ArcSwap;
use gatepost_base::{Device, SealingKeys};
use gatepost_session::{NumericDate, SessionId};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::row::Row;
use super::tables::BoxError;
use super::tables::{OWNERS, SESSIONS};
use crate::SessionRecord;
use crate::cache::SessionCache;
use crate::finished::Finished;
use crate::sealed::{self, Times};

/// The sessions of a database, which each operation gets as an argument: the file may be opened
/// again in between.
pub(super) struct Sessions {
    pub(super) keys: ArcSwap<SealingKeys>,
    pub(super) cache: SessionCache,
    pub(super) capacity: u64,
    pub(super) finished: Finished,
}

impl Sessions {
    /// Inserts sessions in one transaction.
    pub(super) fn insert(
        &self,
        database: &Database,
        records: &[SessionRecord],
    ) -> Result<(), BoxError> {
        let write = database.begin_write()?;
        {
            let mut sessions = write.open_table(SESSIONS)?;
            let mut owners = write.open_multimap_table(OWNERS)?;
            for record in records {
                let row = self.row_of(record)?;
                sessions.insert(record.id.expose(), row.as_slice())?;
                for key in sealed::index_keys(record) {
                    owners.insert(key.as_str(), record.id.expose())?;
                }
            }
        }
        let ids: Vec<&str> = records.iter().map(|record| record.id.expose()).collect();
        self.commit(write, &ids)
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
    ) -> Result<Option<Arc<SessionRecord>>, BoxError> {
        let mut touched = None;
        self.change(database, id, |mut row| {
            row.times.last_seen = row.times.last_seen.max(now);
            row.times.window_ends = row.times.window_ends.max(window_ends);
            let row = row.to_bytes();
            touched = row.as_deref().and_then(|row| self.open(id, row));
            Ok(row)
        })?;
        Ok(touched)
    }

    pub(super) fn update(
        &self,
        database: &Database,
        record: &SessionRecord,
    ) -> Result<bool, BoxError> {
        let keys = self.keys.load();
        self.change(database, record.id.expose(), |row| {
            let stored = sealed::open(&record.id, row.sealed, row.times, &keys);
            let sealed = match stored {
                Some(stored) if stored.last_validated > record.last_validated => {
                    return Ok(row.to_bytes());
                }
                Some(stored) => self.seal(&record.clone().with_device_of(&stored))?,
                None => self.seal(record)?,
            };
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
            Ok(row.to_bytes())
        })
    }

    pub(super) fn write_device(
        &self,
        database: &Database,
        id: &SessionId,
        device: &Device,
    ) -> Result<bool, BoxError> {
        let keys = self.keys.load();
        self.change(database, id.expose(), |row| {
            let Some(mut record) = sealed::open(id, row.sealed, row.times, &keys) else {
                return Ok(None);
            };
            let Some(device) = device.clone().written_over(record.device.as_ref()) else {
                return Ok(None);
            };
            record.device = Some(device);
            let row = Row {
                sealed: &self.seal(&record)?,
                ..row
            };
            Ok(row.to_bytes())
        })
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

    fn row_of(&self, record: &SessionRecord) -> Result<Vec<u8>, BoxError> {
        let sealed = self.seal(record)?;
        let index_keys = sealed::index_keys(record);
        let row = Row {
            times: Times::of(record),
            index_keys: index_keys.iter().map(String::as_str).collect(),
            sealed: &sealed,
        };
        row.to_bytes().ok_or_else(|| "too many index keys".into())
    }

    fn seal(&self, record: &SessionRecord) -> Result<Vec<u8>, BoxError> {
        let sealed = sealed::seal(record, &self.keys.load());
        sealed.ok_or_else(|| "no randomness".into())
    }

    pub(super) fn open(&self, id: &str, row: &[u8]) -> Option<Arc<SessionRecord>> {
        let id = SessionId::parse(id)?;
        let row = Row::parse(row)?;
        sealed::open(&id, row.sealed, row.times, &self.keys.load()).map(Arc::new)
    }

    /// Commits a transaction, and invalidates the cached copies of the sessions that it changed.
    pub(super) fn commit(
        &self,
        write: WriteTransaction,
        changed: &[impl AsRef<str>],
    ) -> Result<(), BoxError> {
        let committed = write.commit();
        // Also after a failure: the next reader finds out what the file contains.
        self.cache.invalidate(changed.iter().map(AsRef::as_ref));
        Ok(committed?)
    }

    /// Changes the row of a session. Returns false if the session is missing.
    fn change(
        &self,
        database: &Database,
        id: &str,
        change: impl FnOnce(Row<'_>) -> Result<Option<Vec<u8>>, BoxError>,
    ) -> Result<bool, BoxError> {
        let write = database.begin_write()?;
        let changed = {
            let mut sessions = write.open_table(SESSIONS)?;
            let changed = match sessions.get(id)? {
                Some(row) => Row::parse(row.value()).map(change).transpose()?.flatten(),
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
}
