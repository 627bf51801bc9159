//! Sessions in one file, in an embedded database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gatepost_session::{KeyRing, NumericDate, Purpose, SessionId};
use redb::{
    Database, MultimapTableDefinition, ReadableDatabase as _, ReadableMultimapTable as _,
    ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction,
};

use self::file::File;
use self::row::Row;
use super::recent::Recent;
use super::sealed::{self, Times};
use super::{
    Ended, Ending, OpenStoreError, Outcome, RenewalLock, Selection, SessionRecord, SessionStore,
    Start, StoreUnavailable,
};
use crate::revocation::Revocation;
use gatepost_base::SealingKeys;

mod file;
mod row;

/// By id: a [`Row`] each.
const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// By owner: the ids of the sessions.
const OWNERS: MultimapTableDefinition<'_, &str, &str> = MultimapTableDefinition::new("owners");
/// What is revoked, as JSON, and until when that matters.
const REVOKED: TableDefinition<'_, &str, u64> = TableDefinition::new("revoked");
/// What may be used once, and until when it is remembered.
const USED: TableDefinition<'_, &str, u64> = TableDefinition::new("used");
/// The format of the tables, and the revision of [`REVOKED`].
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

const FORMAT_KEY: &str = "format";
const REVISION_KEY: &str = "revision";
/// When the file was last seen to take a change.
const WRITABLE_KEY: &str = "writable";

/// The format of the tables. A row says the version of the session in it itself.
const FORMAT: u64 = 1;

/// Sessions in one file: they outlive a restart, also one that was not meant. One process has the
/// file to itself.
pub struct EmbeddedStore(Arc<Inner>);

struct Inner {
    file: File,
    keys: ArcSwap<SealingKeys>,
    recent: Recent,
    capacity: u64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl EmbeddedStore {
    /// Opens the file, or makes it with the folders that it is in.
    ///
    /// # Errors
    ///
    /// [`OpenStoreError`].
    pub fn open(
        path: &Path,
        capacity: usize,
        ring: &KeyRing,
        start: Start,
    ) -> Result<Self, OpenStoreError> {
        Ok(Self(Arc::new(Inner {
            file: File::open(path, start)?,
            keys: ArcSwap::from_pointee(SealingKeys::new(ring, Purpose::Store)),
            recent: Recent::default(),
            capacity: u64::try_from(capacity.max(1)).unwrap_or(u64::MAX),
        })))
    }

    /// Runs an operation where waiting for the disk holds nobody up.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        let inner = Arc::clone(&self.0);
        let run = move || {
            // What was held may stand in a file that was set aside.
            let reopened = || inner.recent.forget_all();
            inner.file.run(reopened, |database| work(&inner, database))
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(done) => done.map_err(StoreUnavailable),
            Err(error) => Err(StoreUnavailable(error.into())),
        }
    }
}

impl Inner {
    fn row_of(&self, record: &SessionRecord) -> Result<Vec<u8>, Failure> {
        let sealed = sealed::seal(record, &self.keys.load()).ok_or("no randomness")?;
        let owners = sealed::owners(record);
        let row = Row {
            times: Times::of(record),
            owners: owners.iter().map(String::as_str).collect(),
            sealed: &sealed,
        };
        row.to_bytes().ok_or_else(|| "too many owners".into())
    }

    fn open(&self, id: &str, row: &[u8]) -> Option<Arc<SessionRecord>> {
        let id = SessionId::parse(id)?;
        let row = Row::parse(row)?;
        sealed::open(&id, row.sealed, row.times, &self.keys.load()).map(Arc::new)
    }

    fn find(&self, database: &Database, id: &str) -> Result<Option<Arc<SessionRecord>>, Failure> {
        let generation = self.recent.generation();
        let sessions = database.begin_read()?.open_table(SESSIONS)?;
        let row = sessions.get(id)?;
        let found = row.and_then(|row| self.open(id, row.value()));
        if let Some(session) = &found {
            self.recent.keep(generation, session);
        }
        Ok(found)
    }

    fn insert(&self, database: &Database, record: &SessionRecord) -> Result<(), Failure> {
        let row = self.row_of(record)?;
        let write = database.begin_write()?;
        let mut changed = {
            let sessions = write.open_table(SESSIONS)?;
            if sessions.len()? < self.capacity {
                Vec::new()
            } else {
                self.idlest(&sessions)?
            }
        };
        if !changed.is_empty() {
            tracing::warn!(
                capacity = self.capacity,
                "session store full: ended the idlest"
            );
            end(&write, &changed, |ended| {
                let revocation = |ended: &Ended| ended.revocation(record.last_seen);
                ended.iter().filter_map(revocation).collect()
            })?;
        }
        write
            .open_table(SESSIONS)?
            .insert(record.id.as_str(), row.as_slice())?;
        let mut owners = write.open_multimap_table(OWNERS)?;
        for owner in sealed::owners(record) {
            owners.insert(owner.as_str(), record.id.as_str())?;
        }
        drop(owners);
        changed.push(record.id.to_string());
        self.commit(write, &changed)
    }

    /// Writes to the file, and makes sure that nobody is shown what stood there before.
    fn commit(&self, write: WriteTransaction, changed: &[impl AsRef<str>]) -> Result<(), Failure> {
        let written = write.commit();
        // Also where it failed: what the file says then is better read again.
        self.recent.forget(changed.iter().map(AsRef::as_ref));
        Ok(written?)
    }

    /// A tenth of the sessions, so that a full file is not searched at every sign-in.
    fn idlest(
        &self,
        sessions: &impl redb::ReadableTable<&'static str, &'static [u8]>,
    ) -> Result<Vec<String>, Failure> {
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

    /// Changes what is kept of a session; false when nothing is.
    fn change(
        &self,
        database: &Database,
        id: &str,
        change: impl FnOnce(Row<'_>) -> Option<Vec<u8>>,
    ) -> Result<bool, Failure> {
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

    fn end(&self, database: &Database, ending: &Ending) -> Result<Outcome, Failure> {
        let write = database.begin_write()?;
        let mut ids: Vec<String> = match (&ending.which, sealed::owner_of(&ending.which)) {
            (Selection::Session(id), _) => vec![id.to_string()],
            (_, Some(owner)) => write
                .open_multimap_table(OWNERS)?
                .get(owner.as_str())?
                .map(|id| Ok(id?.value().to_owned()))
                .collect::<Result<_, Failure>>()?,
            (_, None) => write
                .open_table(SESSIONS)?
                .iter()?
                .map(|entry| Ok(entry?.0.value().to_owned()))
                .collect::<Result<_, Failure>>()?,
        };
        {
            let sessions = write.open_table(SESSIONS)?;
            let mut meant = Vec::with_capacity(ids.len());
            for id in ids {
                // What cannot be unsealed is nobody's session any more.
                let spared = sessions
                    .get(id.as_str())?
                    .and_then(|row| self.open(&id, row.value()))
                    .is_some_and(|record| !ending.means(&record));
                if !spared {
                    meant.push(id);
                }
            }
            ids = meant;
        }
        let outcome = end(&write, &ids, |ended| ending.revocations(ended))?;
        self.commit(write, &ids)?;
        Ok(outcome)
    }

    fn list(&self, database: &Database, limit: usize) -> Result<Vec<Arc<SessionRecord>>, Failure> {
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

    fn sweep(&self, database: &Database, now: NumericDate, idle: u64) -> Result<u64, Failure> {
        let write = database.begin_write()?;
        let mut over = Vec::new();
        for entry in write.open_table(SESSIONS)?.iter()? {
            let (id, row) = entry?;
            let lives = Row::parse(row.value()).is_some_and(|row| {
                let idle_ends = row.times.last_seen.plus_seconds(idle);
                now < row.times.ends.min(idle_ends)
            });
            if !lives {
                over.push(id.value().to_owned());
            }
        }
        end(&write, &over, |ended| {
            let revocation = |ended: &Ended| ended.revocation(now);
            ended.iter().filter_map(revocation).collect()
        })?;
        for table in [REVOKED, USED] {
            write
                .open_table(table)?
                .retain(|_, until| now.as_seconds() < until)?;
        }
        let left = write.open_table(SESSIONS)?.len()?;
        self.commit(write, &over)?;
        Ok(left)
    }

    fn revocations(
        &self,
        database: &Database,
        now: NumericDate,
    ) -> Result<Vec<Revocation>, Failure> {
        let revoked = database.begin_read()?.open_table(REVOKED)?;
        let mut live = Vec::new();
        for entry in revoked.iter()? {
            let (text, until) = entry?;
            if now.as_seconds() < until.value() {
                live.push(serde_json::from_str(text.value())?);
            }
        }
        Ok(live)
    }

    fn was_used(&self, database: &Database, what: &str, now: NumericDate) -> Result<bool, Failure> {
        let used = database.begin_read()?.open_table(USED)?;
        let expires = used.get(what)?;
        Ok(expires.is_some_and(|expires| expires.value() > now.as_seconds()))
    }

    fn use_once(
        &self,
        database: &Database,
        what: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, Failure> {
        let write = database.begin_write()?;
        let fresh = {
            let mut used = write.open_table(USED)?;
            let before = used.insert(what, expires.as_seconds())?;
            before.is_none_or(|expired| expired.value() <= now.as_seconds())
        };
        write.commit()?;
        Ok(fresh)
    }
}

/// Ends sessions in one transaction: what `revocations` says of them is revoked.
fn end(
    write: &WriteTransaction,
    ids: &[String],
    revocations: impl FnOnce(&[Ended]) -> Vec<Revocation>,
) -> Result<Outcome, Failure> {
    let mut ended = Vec::new();
    for id in ids {
        let window_ends = take(write, id)?;
        ended.extend(
            SessionId::parse(id)
                .zip(window_ends)
                .map(|(id, window_ends)| Ended { id, window_ends }),
        );
    }
    let revocations = revocations(&ended);
    revoke(write, &revocations)?;
    Ok(Outcome { ended, revocations })
}

/// Takes a session out, with the names that it is found by, and says when its window ends.
fn take(write: &WriteTransaction, id: &str) -> Result<Option<NumericDate>, Failure> {
    let mut sessions = write.open_table(SESSIONS)?;
    let Some(row) = sessions.remove(id)? else {
        return Ok(None);
    };
    let Some(row) = Row::parse(row.value()) else {
        return Ok(None);
    };
    let mut owners = write.open_multimap_table(OWNERS)?;
    for owner in row.owners {
        owners.remove(owner, id)?;
    }
    Ok(Some(row.times.window_ends))
}

fn revoke(write: &WriteTransaction, revocations: &[Revocation]) -> Result<(), Failure> {
    if revocations.is_empty() {
        return Ok(());
    }
    let mut revoked = write.open_table(REVOKED)?;
    for revocation in revocations {
        let text = serde_json::to_string(revocation)?;
        revoked.insert(text.as_str(), revocation.until().as_seconds())?;
    }
    let mut meta = write.open_table(META)?;
    let revision = meta.get(REVISION_KEY)?.map_or(0, |number| number.value());
    meta.insert(REVISION_KEY, revision.wrapping_add(1))?;
    Ok(())
}

#[async_trait::async_trait]
impl SessionStore for EmbeddedStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        self.run(move |inner, database| inner.insert(database, &record))
            .await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        if let Some(session) = self.0.recent.find(id) {
            return Ok(Some(session));
        }
        let id = id.to_string();
        self.run(move |inner, database| inner.find(database, &id))
            .await
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let id = id.to_string();
        self.run(move |inner, database| {
            inner.change(database, &id, |mut row| {
                row.times.last_seen = row.times.last_seen.max(now);
                row.times.window_ends = row.times.window_ends.max(window_ends);
                row.to_bytes()
            })
        })
        .await
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        self.run(move |inner, database| {
            let sealed = sealed::seal(&record, &inner.keys.load()).ok_or("no randomness")?;
            inner.change(database, record.id.as_str(), |row| {
                let times = Times {
                    last_seen: row.times.last_seen.max(record.last_seen),
                    window_ends: row.times.window_ends.max(record.window_ends),
                    ends: record.ends,
                };
                // Neither the person nor the session at the provider changes by a renewal.
                let row = Row {
                    times,
                    owners: row.owners,
                    sealed: &sealed,
                };
                row.to_bytes()
            })
        })
        .await
    }

    async fn end(&self, ending: &Ending) -> Result<Outcome, StoreUnavailable> {
        let ending = ending.clone();
        self.run(move |inner, database| inner.end(database, &ending))
            .await
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        self.run(move |inner, database| inner.list(database, limit))
            .await
    }

    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable> {
        let left = self
            .run(move |inner, database| inner.sweep(database, now, idle))
            .await?;
        Ok(usize::try_from(left).unwrap_or(usize::MAX))
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        let revocations = revocations.to_vec();
        self.run(move |_, database| {
            let write = database.begin_write()?;
            revoke(&write, &revocations)?;
            Ok(write.commit()?)
        })
        .await
    }

    async fn revocations_revision(&self) -> Result<u64, StoreUnavailable> {
        self.run(|_, database| {
            let meta = database.begin_read()?.open_table(META)?;
            Ok(meta.get(REVISION_KEY)?.map_or(0, |number| number.value()))
        })
        .await
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        self.run(move |inner, database| inner.revocations(database, now))
            .await
    }

    async fn was_used(&self, what: &str, now: NumericDate) -> Result<bool, StoreUnavailable> {
        let what = what.to_owned();
        self.run(move |inner, database| inner.was_used(database, &what, now))
            .await
    }

    async fn use_once(
        &self,
        what: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let what = what.to_owned();
        self.run(move |inner, database| inner.use_once(database, &what, now, expires))
            .await
    }

    async fn check(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        self.run(move |_, database| {
            let write = database.begin_write()?;
            write
                .open_table(META)?
                .insert(WRITABLE_KEY, now.as_seconds())?;
            Ok(write.commit()?)
        })
        .await
    }

    async fn lock(&self, _lock: &RenewalLock) -> Result<bool, StoreUnavailable> {
        // There is no other process.
        Ok(true)
    }

    async fn unlock(&self, _lock: &RenewalLock) -> Result<(), StoreUnavailable> {
        Ok(())
    }

    fn use_keys(&self, ring: &KeyRing) {
        self.0
            .keys
            .store(Arc::new(SealingKeys::new(ring, Purpose::Store)));
        // What can no longer be unsealed is no longer kept.
        self.0.recent.forget_all();
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore")
            .field("capacity", &self.0.capacity)
            .finish_non_exhaustive()
    }
}
