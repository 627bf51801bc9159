//! A store that reports each operation to an observer, for metrics and traces.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_session::{KeyRing, NumericDate, SessionId};
use tracing::{Instrument as _, Span};

use super::{Ending, Outcome, RenewalLock, SessionRecord, SessionStore, StoreUnavailable};
use crate::revocation::Revocation;

/// An operation of a store, as an [`Observer`] sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation(&'static str);

impl Operation {
    /// Every operation. [`SessionStore::revocations_revision`] is none: it runs twice a second and
    /// would hide what the others take.
    pub const ALL: [Self; 14] = [
        Self("insert"),
        Self("find"),
        Self("touch"),
        Self("update"),
        Self("end"),
        Self("list"),
        Self("sweep"),
        Self("revoke"),
        Self("revocations"),
        Self("was_used"),
        Self("use_once"),
        Self("check"),
        Self("lock"),
        Self("unlock"),
    ];

    /// Returns the operation's name, in snake case.
    pub fn name(self) -> &'static str {
        self.0
    }
}

/// Receives what an [`InstrumentedStore`] measures.
pub trait Observer: Send + Sync + fmt::Debug {
    /// Returns the span in which the operation runs.
    fn span(&self, operation: Operation) -> Span;

    /// Notes that the operation of `span` ended after `elapsed`, and whether it succeeded.
    fn completed(&self, operation: Operation, span: &Span, elapsed: Duration, succeeded: bool);

    /// Notes how many sessions the store holds after a sweep.
    fn session_count(&self, sessions: usize);
}

/// Passes every operation to another store and reports it to an [`Observer`].
#[derive(Debug)]
pub struct InstrumentedStore {
    store: Arc<dyn SessionStore>,
    observer: Box<dyn Observer>,
}

impl InstrumentedStore {
    /// Reports the operations of `store` to `observer`.
    pub fn new(store: Arc<dyn SessionStore>, observer: impl Observer + 'static) -> Self {
        Self {
            store,
            observer: Box::new(observer),
        }
    }

    async fn observe<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreUnavailable>>,
    ) -> Result<T, StoreUnavailable> {
        let operation = Operation(operation);
        let span = self.observer.span(operation);
        let begun = Instant::now();
        let done = work.instrument(span.clone()).await;
        self.observer
            .completed(operation, &span, begun.elapsed(), done.is_ok());
        done
    }
}

#[async_trait::async_trait]
impl SessionStore for InstrumentedStore {
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

    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable> {
        let left = self.observe("sweep", self.store.sweep(now, idle)).await?;
        self.observer.session_count(left);
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
