//! A store in this process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatepost_base::Device;
use gatepost_session::{KeyRing, NumericDate, SessionId};

use crate::end::revocations_at;
use crate::finished::{Finished, Unfinished};
use crate::{
    ApiKeyId, ApiKeyRecord, ApiKeyStore, ApiKeyUsage, EndOutcome, EndRequest, EndedSession,
    RenewalLock, Revocation, RevocationLog, SessionRecord, SessionSelector, SessionStore, Store,
    StoreUnavailable, StoredApiKey, UsedOnce,
};

/// A store in this process: a restart ends all sessions, and replicas do not share them.
#[derive(Debug)]
pub struct MemoryStore {
    content: Mutex<Content>,
    finished: Finished,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Content {
    sessions: HashMap<SessionId, Arc<SessionRecord>>,
    revocations: BTreeSet<Revocation>,
    revision: u64,
    /// When each single-use value expires.
    used: BTreeMap<String, NumericDate>,
    api_keys: BTreeMap<ApiKeyId, ApiKeyRecord>,
}

impl MemoryStore {
    /// Makes a store of at most `capacity` sessions.
    pub fn new(capacity: usize) -> Self {
        Self {
            content: Mutex::default(),
            finished: Finished::default(),
            capacity: capacity.max(1),
        }
    }

    /// Adds the revocation of the sessions that an earlier process lost.
    #[must_use]
    pub fn with_revocation(self, lost: Revocation) -> Self {
        self.content().revoke(&[lost]);
        self
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Each operation leaves the maps consistent, so a panic elsewhere does not affect them.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn revoke(&mut self, revocations: &[Revocation]) {
        for revocation in revocations {
            if self.revocations.insert(revocation.clone()) {
                self.revision += 1;
            }
        }
    }

    /// Ends the sessions that are revoked in the log.
    fn finish(&mut self, finished: &Finished, now: NumericDate) {
        let log: Vec<Revocation> = self.revocations.iter().cloned().collect();
        let Unfinished { ids, others } = finished.unfinished(&log, now);
        let ids = ids.into_iter().filter_map(SessionId::parse);
        let mut over: Vec<Arc<SessionRecord>> =
            ids.filter_map(|id| self.sessions.remove(&id)).collect();
        if !others.is_empty() {
            let is_over = |record: &SessionRecord| others.iter().any(|r| r.applies_to(record));
            let general = self.sessions.extract_if(|_, record| is_over(record));
            over.extend(general.map(|(_, record)| record));
        }
        let ended = over.iter().map(|record| EndedSession::from(&**record));
        let revocations = revocations_at(&ended.collect::<Vec<_>>(), now);
        self.revoke(&revocations);
        finished.note(log);
    }

    /// Ends the `count` sessions that were unused for longest.
    fn end_least_recently_used(&mut self, count: usize, now: NumericDate) {
        let mut by_use: Vec<(NumericDate, SessionId)> = self
            .sessions
            .values()
            .map(|session| (session.last_seen, session.id.clone()))
            .collect();
        by_use.sort_unstable();
        for (_, id) in by_use.into_iter().take(count) {
            let removed = self.sessions.remove(&id);
            let ended = removed.map(|record| EndedSession::from(&*record));
            let revocation = ended.and_then(|ended| ended.revocation(now));
            self.revoke(revocation.as_slice());
        }
    }
}

#[async_trait::async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        let mut content = self.content();
        let count = content.sessions.len();
        if count >= self.capacity {
            // A tenth together, so that a full store is not searched at every sign-in.
            let surplus = (self.capacity / 10).max(1) + count - self.capacity;
            content.end_least_recently_used(surplus, record.last_seen);
            crate::capacity::warn_full(self.capacity);
        }
        content.sessions.insert(record.id.clone(), Arc::new(record));
        Ok(())
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        Ok(self.content().sessions.get(id).cloned())
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let mut content = self.content();
        Ok(content.sessions.get_mut(id).map(|stored| {
            let record = Arc::make_mut(stored);
            record.last_seen = record.last_seen.max(now);
            record.window_ends = record.window_ends.max(window_ends);
            Arc::clone(stored)
        }))
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        Ok(match self.content().sessions.get_mut(&record.id) {
            Some(stored) if stored.last_validated > record.last_validated => true,
            Some(stored) => {
                *stored = Arc::new(SessionRecord {
                    last_seen: stored.last_seen.max(record.last_seen),
                    window_ends: stored.window_ends.max(record.window_ends),
                    ..record.with_device_of(stored)
                });
                true
            }
            None => false,
        })
    }

    async fn write_device(
        &self,
        id: &SessionId,
        device: &Device,
    ) -> Result<bool, StoreUnavailable> {
        let mut content = self.content();
        let Some(stored) = content.sessions.get_mut(id) else {
            return Ok(false);
        };
        let written = device.clone().written_over(stored.device.as_ref());
        let is_written = written.is_some();
        if is_written {
            Arc::make_mut(stored).device = written;
        }
        Ok(is_written)
    }

    async fn end(&self, request: &EndRequest) -> Result<EndOutcome, StoreUnavailable> {
        let mut content = self.content();
        let removed: Vec<Arc<SessionRecord>> = match &request.selector {
            SessionSelector::Id(id) => content.sessions.remove(id).into_iter().collect(),
            selector => content
                .sessions
                .extract_if(|_, record| selector.matches(record) && request.applies_to(record))
                .map(|(_, record)| record)
                .collect(),
        };
        let ended: Vec<EndedSession> = removed
            .iter()
            .map(|record| EndedSession::from(&**record))
            .collect();
        let revocations = request.revocations(&ended);
        content.revoke(&revocations);
        Ok(EndOutcome { ended, revocations })
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        let content = self.content();
        Ok(content.sessions.values().take(limit).cloned().collect())
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
impl RevocationLog for MemoryStore {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        self.content().revoke(revocations);
        Ok(())
    }

    async fn revocation_revision(&self) -> Result<u64, StoreUnavailable> {
        Ok(self.content().revision)
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        let content = self.content();
        let live = content.revocations.iter().filter(|r| now < r.expires());
        Ok(live.cloned().collect())
    }
}

#[async_trait::async_trait]
impl UsedOnce for MemoryStore {
    async fn was_used(&self, value: &str, now: NumericDate) -> Result<bool, StoreUnavailable> {
        let content = self.content();
        Ok(content
            .used
            .get(value)
            .is_some_and(|expires| now < *expires))
    }

    async fn use_once(
        &self,
        value: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let previous = self.content().used.insert(value.to_owned(), expires);
        Ok(previous.is_none_or(|expired| expired <= now))
    }
}

#[async_trait::async_trait]
impl ApiKeyStore for MemoryStore {
    async fn insert_api_key(&self, record: ApiKeyRecord) -> Result<(), StoreUnavailable> {
        self.content().api_keys.insert(record.id.clone(), record);
        Ok(())
    }

    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<StoredApiKey>, StoreUnavailable> {
        let record = self.content().api_keys.get(id).cloned();
        Ok(record.map(StoredApiKey::from))
    }

    async fn note_api_key_usage(
        &self,
        used: &mut HashMap<ApiKeyId, ApiKeyUsage>,
    ) -> Result<(), StoreUnavailable> {
        let mut content = self.content();
        for (id, usage) in used.drain() {
            if let Some(record) = content.api_keys.get_mut(&id) {
                record.usage = record.usage.and(usage);
            }
        }
        Ok(())
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreUnavailable> {
        Ok(self.content().api_keys.remove(id).is_some())
    }

    async fn api_keys(&self, limit: usize) -> Result<Vec<StoredApiKey>, StoreUnavailable> {
        let mut all: Vec<ApiKeyRecord> = self.content().api_keys.values().cloned().collect();
        all.sort_by_key(|record| record.ends);
        Ok(all
            .into_iter()
            .take(limit)
            .map(StoredApiKey::from)
            .collect())
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable> {
        let mut content = self.content();
        content.finish(&self.finished, now);
        content
            .sessions
            .retain(|_, record| now < record.ends_if_idle(idle));
        content
            .revocations
            .retain(|revocation| now < revocation.expires());
        content.used.retain(|_, expires| now < *expires);
        content.api_keys.retain(|_, record| now < record.ends);
        Ok(content.sessions.len())
    }

    async fn check_writable(&self, _now: NumericDate) -> Result<(), StoreUnavailable> {
        Ok(())
    }

    fn use_keys(&self, _ring: &KeyRing) {
        // Nothing leaves the process, so nothing is sealed.
    }
}
