//! A store in one file, in an embedded database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gatepost_base::{Device, SealingKeys};
use gatepost_session::{KeyRing, NumericDate, Purpose, SessionId};
use redb::{Database, ReadableDatabase as _, ReadableTable as _};
use tokio::sync::{Mutex, Semaphore};

use self::file::File;
use self::sessions::Sessions;
use self::tables::{BoxError, META, REVISION_KEY, REVOKED, USED, WRITABLE_KEY};
use crate::cache::SessionCache;
use crate::finished::Finished;
use crate::revocation_log::parse_entry;
use crate::{
    EndOutcome, EndRequest, OpenStoreError, Recovery, RenewalLock, Revocation, RevocationLog,
    SessionRecord, SessionSelector, SessionStore, Store, StoreUnavailable, UsedOnce,
};

mod api_keys;
mod end;
mod file;
mod pace;
mod row;
mod sessions;
mod tables;

/// Operations that read at the same time. More wait without a thread, which would take memory.
const READERS: usize = 8;

/// Operations that are to write: one does, and the next one waits with a thread that is ready. The
/// database lets only one write at a time.
const WRITERS: usize = 2;

/// A store in one file, which one process has to itself. Its sessions survive a restart and a
/// crash.
pub struct EmbeddedStore(Arc<Inner>);

struct Inner {
    file: File,
    sessions: Sessions,
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    /// Held while a full store makes room.
    making_room: Arc<Mutex<()>>,
}

impl EmbeddedStore {
    /// Opens the file, or makes it together with its folders. The store holds at most `capacity`
    /// sessions, and pages of the file in `cache_bytes` of memory. `recovery` applies when the file
    /// is missing, empty or damaged.
    ///
    /// # Errors
    ///
    /// [`OpenStoreError`].
    pub fn open(
        path: &Path,
        capacity: usize,
        cache_bytes: usize,
        ring: &KeyRing,
        recovery: Recovery,
    ) -> Result<Self, OpenStoreError> {
        Ok(Self(Arc::new(Inner {
            file: File::open(path, cache_bytes, recovery)?,
            sessions: Sessions {
                keys: ArcSwap::from_pointee(SealingKeys::new(ring, Purpose::Store)),
                cache: SessionCache::default(),
                capacity: u64::try_from(capacity.max(1)).unwrap_or(u64::MAX),
                finished: Finished::default(),
            },
            readers: Arc::new(Semaphore::new(READERS)),
            writers: Arc::new(Semaphore::new(WRITERS)),
            making_room: Arc::default(),
        })))
    }

    /// Inserts sessions in one transaction, which takes far less time than one for each.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`].
    pub async fn insert_all(&self, records: Vec<SessionRecord>) -> Result<(), StoreUnavailable> {
        let Some(now) = records.iter().map(|record| record.last_seen).max() else {
            return Ok(());
        };
        self.make_room(now).await?;
        self.write(move |sessions, database| sessions.insert(database, &records))
            .await
    }

    /// Makes room in a full store, in many transactions, between which others write. One sign-in
    /// does so, and others that find the store full wait for it.
    async fn make_room(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        if !self.read(Sessions::is_full).await? {
            return Ok(());
        }
        let making_room = Arc::clone(&self.0.making_room).lock_owned().await;
        self.run(move |sessions, database| {
            let _making_room = making_room;
            sessions.make_room(database, now)
        })
        .await
    }

    /// Runs an operation that only reads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Sessions, &Database) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        self.run_after(&self.0.readers, work).await
    }

    /// Runs an operation that writes in one short transaction.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Sessions, &Database) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        self.run_after(&self.0.writers, work).await
    }

    /// Runs an operation once few enough others run. They take turns in the order in which they came.
    async fn run_after<T: Send + 'static>(
        &self,
        others: &Arc<Semaphore>,
        work: impl FnOnce(&Sessions, &Database) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        let turn = Arc::clone(others).acquire_owned().await;
        let turn = turn.map_err(StoreUnavailable::new)?;
        self.run(move |sessions, database| {
            // The operation goes on where nothing waits for its end any more, and so does its turn.
            let _turn = turn;
            work(sessions, database)
        })
        .await
    }

    /// Runs an operation on a thread that may wait for the disk.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Sessions, &Database) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        let inner = Arc::clone(&self.0);
        let run = move || {
            let sessions = &inner.sessions;
            // A cached session may be in a file that was set aside.
            let on_reopen = || sessions.cache.clear();
            inner
                .file
                .run(on_reopen, |database| work(sessions, database))
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result.map_err(StoreUnavailable::new),
            // After a panic, at which the hook of `contained` ends the process.
            Err(error) => Err(StoreUnavailable::new(error)),
        }
    }
}

#[async_trait::async_trait]
impl SessionStore for EmbeddedStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        self.insert_all(vec![record]).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        if let Some(session) = self.0.sessions.cache.get(id) {
            return Ok(Some(session));
        }
        let id = id.expose().to_owned();
        self.read(move |sessions, database| sessions.find(database, &id))
            .await
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let id = id.expose().to_owned();
        self.write(move |sessions, database| sessions.touch(database, &id, now, window_ends))
            .await
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        self.write(move |sessions, database| sessions.update(database, &record))
            .await
    }

    async fn write_device(
        &self,
        id: &SessionId,
        device: &Device,
    ) -> Result<bool, StoreUnavailable> {
        let (id, device) = (id.clone(), device.clone());
        self.write(move |sessions, database| sessions.write_device(database, &id, &device))
            .await
    }

    async fn end(&self, request: &EndRequest) -> Result<EndOutcome, StoreUnavailable> {
        let request = request.clone();
        let ends_all = matches!(request.selector, SessionSelector::All);
        let work = move |sessions: &Sessions, database: &Database| sessions.end(database, &request);
        if ends_all {
            // In many transactions, between which others write.
            self.run(work).await
        } else {
            self.write(work).await
        }
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        self.read(move |sessions, database| sessions.list(database, limit))
            .await
    }

    async fn lock_renewal(&self, _lock: &RenewalLock) -> Result<bool, StoreUnavailable> {
        // No other process uses this store.
        Ok(true)
    }

    async fn unlock_renewal(&self, _lock: &RenewalLock) -> Result<(), StoreUnavailable> {
        Ok(())
    }
}

#[async_trait::async_trait]
impl RevocationLog for EmbeddedStore {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        let revocations = revocations.to_vec();
        self.write(move |_, database| {
            let write = database.begin_write()?;
            tables::revoke(&write, &revocations)?;
            Ok(write.commit()?)
        })
        .await
    }

    async fn revocation_revision(&self) -> Result<u64, StoreUnavailable> {
        self.read(|_, database| {
            let meta = database.begin_read()?.open_table(META)?;
            Ok(meta.get(REVISION_KEY)?.map_or(0, |number| number.value()))
        })
        .await
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        self.read(move |_, database| {
            let revoked = database.begin_read()?.open_table(REVOKED)?;
            let mut live = Vec::new();
            for entry in revoked.iter()? {
                let (text, expires) = entry?;
                if now.as_seconds() < expires.value() {
                    live.extend(parse_entry(text.value()));
                }
            }
            Ok(live)
        })
        .await
    }
}

#[async_trait::async_trait]
impl UsedOnce for EmbeddedStore {
    async fn was_used(&self, value: &str, now: NumericDate) -> Result<bool, StoreUnavailable> {
        let value = value.to_owned();
        self.read(move |_, database| {
            let used = database.begin_read()?.open_table(USED)?;
            let expires = used.get(value.as_str())?;
            Ok(expires.is_some_and(|expires| now.as_seconds() < expires.value()))
        })
        .await
    }

    async fn use_once(
        &self,
        value: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let value = value.to_owned();
        self.write(move |_, database| {
            let write = database.begin_write()?;
            let is_first = {
                let mut used = write.open_table(USED)?;
                let previous = used.insert(value.as_str(), expires.as_seconds())?;
                previous.is_none_or(|expired| expired.value() <= now.as_seconds())
            };
            write.commit()?;
            Ok(is_first)
        })
        .await
    }
}

#[async_trait::async_trait]
impl Store for EmbeddedStore {
    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable> {
        let work = move |sessions: &Sessions, database: &Database| {
            let remaining = sessions.sweep(database, now, idle);
            sessions.sweep_api_keys(database, now)?;
            remaining
        };
        let remaining = self.run(work).await?;
        Ok(usize::try_from(remaining).unwrap_or(usize::MAX))
    }

    async fn check_writable(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        self.write(move |_, database| {
            let write = database.begin_write()?;
            write
                .open_table(META)?
                .insert(WRITABLE_KEY, now.as_seconds())?;
            Ok(write.commit()?)
        })
        .await
    }

    fn use_keys(&self, ring: &KeyRing) {
        let keys = SealingKeys::new(ring, Purpose::Store);
        self.0.sessions.keys.store(Arc::new(keys));
        // The cache may have sessions that the new keys do not open.
        self.0.sessions.cache.clear();
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore")
            .field("capacity", &self.0.sessions.capacity)
            .finish_non_exhaustive()
    }
}
