//! A store whose operations are seen: timed, and spans of the requests that they are for.

use std::sync::Arc;

use gatepost_session::{KeyRing, NumericDate, SessionId};
use tracing::Instrument as _;

use super::{RenewalLock, Selection, SessionRecord, SessionStore, StoreUnavailable};
use crate::config::SessionTimes;
use crate::metrics::{sessions_are, time_store};
use crate::revocation::Revocation;
use crate::traces;

/// Passes everything on to another store, and notes how long it took.
#[derive(Debug)]
pub struct TimedStore(pub Arc<dyn SessionStore>);

#[async_trait::async_trait]
impl SessionStore for TimedStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        observe("insert", self.0.insert(record)).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        observe("find", self.0.find(id)).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<(), StoreUnavailable> {
        observe("touch", self.0.touch(id, now, window_ends)).await
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        observe("update", self.0.update(record)).await
    }

    async fn remove(&self, which: &Selection) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        observe("remove", self.0.remove(which)).await
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        observe("list", self.0.list(limit)).await
    }

    async fn sweep(
        &self,
        now: NumericDate,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let left = observe("sweep", self.0.sweep(now, times)).await?;
        sessions_are(left);
        Ok(left)
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        observe("revoke", self.0.revoke(revocations)).await
    }

    async fn revocations_revision(&self) -> Result<u64, StoreUnavailable> {
        // Asked all the time, so it would hide what the others take.
        self.0.revocations_revision().await
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        observe("revocations", self.0.revocations(now)).await
    }

    async fn was_used(&self, what: &str, now: NumericDate) -> Result<bool, StoreUnavailable> {
        observe("was_used", self.0.was_used(what, now)).await
    }

    async fn use_once(
        &self,
        what: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        observe("use_once", self.0.use_once(what, now, expires)).await
    }

    async fn lock(&self, id: &SessionId) -> Result<Option<RenewalLock>, StoreUnavailable> {
        observe("lock", self.0.lock(id)).await
    }

    async fn unlock(&self, lock: RenewalLock) -> Result<(), StoreUnavailable> {
        observe("unlock", self.0.unlock(lock)).await
    }

    fn use_keys(&self, ring: &KeyRing) {
        self.0.use_keys(ring);
    }
}

async fn observe<T>(
    operation: &'static str,
    work: impl Future<Output = Result<T, StoreUnavailable>>,
) -> Result<T, StoreUnavailable> {
    let span = traces::store_operation(operation);
    let done = time_store(operation, work).instrument(span.clone()).await;
    if done.is_err() {
        traces::failed(&span);
    }
    done
}
