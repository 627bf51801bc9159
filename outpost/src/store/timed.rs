//! A store whose operations are seen: timed, and spans of the requests that they are for.

use std::sync::Arc;
use std::time::Instant;

use gatepost_session::{KeyRing, NumericDate, SessionId};
use tracing::Instrument as _;

use super::{Ending, Outcome, RenewalLock, SessionRecord, SessionStore, StoreUnavailable};
use crate::revocation::Revocation;
use crate::session_times::SessionTimes;
use crate::telemetry::metrics::{Timings, sessions_are};
use crate::telemetry::traces;

/// What is timed.
const OPERATIONS: [&str; 14] = [
    "insert",
    "find",
    "touch",
    "update",
    "end",
    "list",
    "sweep",
    "revoke",
    "revocations",
    "was_used",
    "use_once",
    "check",
    "lock",
    "unlock",
];

/// Passes everything on to another store, and notes how long it took.
#[derive(Debug)]
pub struct TimedStore {
    store: Arc<dyn SessionStore>,
    timings: Timings,
}

impl TimedStore {
    /// Times the operations of this store.
    pub fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            store,
            timings: Timings::of_store(OPERATIONS),
        }
    }

    async fn observe<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreUnavailable>>,
    ) -> Result<T, StoreUnavailable> {
        let span = traces::store_operation(operation);
        let begun = Instant::now();
        let done = work.instrument(span.clone()).await;
        self.timings.note(operation, begun.elapsed());
        if done.is_err() {
            traces::failed(&span);
        }
        done
    }
}

#[async_trait::async_trait]
impl SessionStore for TimedStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        self.observe("insert", self.store.insert(record)).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        self.observe("find", self.store.find(id)).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        self.observe("touch", self.store.touch(id, now, window_ends))
            .await
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        self.observe("update", self.store.update(record)).await
    }

    async fn end(&self, ending: &Ending) -> Result<Outcome, StoreUnavailable> {
        self.observe("end", self.store.end(ending)).await
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        self.observe("list", self.store.list(limit)).await
    }

    async fn sweep(
        &self,
        now: NumericDate,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let left = self.observe("sweep", self.store.sweep(now, times)).await?;
        sessions_are(left);
        Ok(left)
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        self.observe("revoke", self.store.revoke(revocations)).await
    }

    async fn revocations_revision(&self) -> Result<u64, StoreUnavailable> {
        // Asked all the time, so it would hide what the others take.
        self.store.revocations_revision().await
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        self.observe("revocations", self.store.revocations(now))
            .await
    }

    async fn was_used(&self, what: &str, now: NumericDate) -> Result<bool, StoreUnavailable> {
        self.observe("was_used", self.store.was_used(what, now))
            .await
    }

    async fn use_once(
        &self,
        what: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        self.observe("use_once", self.store.use_once(what, now, expires))
            .await
    }

    async fn check(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        self.observe("check", self.store.check(now)).await
    }

    async fn lock(&self, lock: &RenewalLock) -> Result<bool, StoreUnavailable> {
        self.observe("lock", self.store.lock(lock)).await
    }

    async fn unlock(&self, lock: &RenewalLock) -> Result<(), StoreUnavailable> {
        self.observe("unlock", self.store.unlock(lock)).await
    }

    async fn advice(&self) -> Result<Option<String>, StoreUnavailable> {
        self.store.advice().await
    }

    fn answers(&self) -> bool {
        self.store.answers()
    }

    fn use_keys(&self, ring: &KeyRing) {
        self.store.use_keys(ring);
    }
}
