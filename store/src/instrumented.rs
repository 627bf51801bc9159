//! A store that reports each operation to an observer, for metrics and traces.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_base::Device;
use gatepost_session::{KeyRing, NumericDate, SessionId};
use tracing::{Instrument as _, Span};

use crate::{
    ApiKeyId, ApiKeyRecord, ApiKeyStore, ApiKeyUsage, EndOutcome, EndRequest, RenewalLock,
    Revocation, RevocationLog, SessionRecord, SessionStore, Store, StoreUnavailable, StoredApiKey,
    UsedOnce,
};

/// An operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`SessionStore::insert`].
    Insert,
    /// [`SessionStore::find`].
    Find,
    /// [`SessionStore::touch`].
    Touch,
    /// [`SessionStore::update`].
    Update,
    /// [`SessionStore::write_device`].
    WriteDevice,
    /// [`SessionStore::end`].
    End,
    /// [`SessionStore::list`].
    List,
    /// [`Store::sweep`].
    Sweep,
    /// [`RevocationLog::revoke`].
    Revoke,
    /// [`RevocationLog::revocations`].
    Revocations,
    /// [`UsedOnce::was_used`].
    WasUsed,
    /// [`UsedOnce::use_once`].
    UseOnce,
    /// [`Store::check_writable`].
    Check,
    /// [`SessionStore::lock_renewal`].
    Lock,
    /// [`SessionStore::unlock_renewal`].
    Unlock,
    /// [`ApiKeyStore::insert_api_key`].
    InsertApiKey,
    /// [`ApiKeyStore::find_api_key`].
    FindApiKey,
    /// [`ApiKeyStore::note_api_key_usage`].
    NoteApiKeyUsage,
    /// [`ApiKeyStore::remove_api_key`].
    RemoveApiKey,
    /// [`ApiKeyStore::api_keys`].
    ListApiKeys,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 20] = [
        Self::Insert,
        Self::Find,
        Self::Touch,
        Self::Update,
        Self::WriteDevice,
        Self::End,
        Self::List,
        Self::Sweep,
        Self::Revoke,
        Self::Revocations,
        Self::WasUsed,
        Self::UseOnce,
        Self::Check,
        Self::Lock,
        Self::Unlock,
        Self::InsertApiKey,
        Self::FindApiKey,
        Self::NoteApiKeyUsage,
        Self::RemoveApiKey,
        Self::ListApiKeys,
    ];

    /// Returns the operation's name, as a label in metrics and traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Find => "find",
            Self::Touch => "touch",
            Self::Update => "update",
            Self::WriteDevice => "write_device",
            Self::End => "end",
            Self::List => "list",
            Self::Sweep => "sweep",
            Self::Revoke => "revoke",
            Self::Revocations => "revocations",
            Self::WasUsed => "was_used",
            Self::UseOnce => "use_once",
            Self::Check => "check",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::InsertApiKey => "insert_api_key",
            Self::FindApiKey => "find_api_key",
            Self::NoteApiKeyUsage => "note_api_key_usage",
            Self::RemoveApiKey => "remove_api_key",
            Self::ListApiKeys => "list_api_keys",
        }
    }
}

/// Receives what an [`InstrumentedStore`] measures.
pub trait Observer: Send + Sync + fmt::Debug {
    /// Returns the span in which the operation runs.
    fn span(&self, operation: Operation) -> Span;

    /// Records that the operation of `span` completed after `elapsed`, and whether it succeeded.
    fn completed(&self, operation: Operation, span: &Span, elapsed: Duration, succeeded: bool);

    /// Records how many sessions the store holds after a sweep.
    fn session_count(&self, sessions: usize);
}

/// Passes every operation to another store and reports it to an [`Observer`].
#[derive(Debug)]
pub struct InstrumentedStore {
    store: Arc<dyn Store>,
    observer: Box<dyn Observer>,
}

impl InstrumentedStore {
    /// Reports the operations of `store` to `observer`.
    pub fn new(store: Arc<dyn Store>, observer: impl Observer + 'static) -> Self {
        Self {
            store,
            observer: Box::new(observer),
        }
    }

    async fn observe<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, StoreUnavailable>>,
    ) -> Result<T, StoreUnavailable> {
        let span = self.observer.span(operation);
        let begun = Instant::now();
        let result = work.instrument(span.clone()).await;
        self.observer
            .completed(operation, &span, begun.elapsed(), result.is_ok());
        result
    }
}

#[async_trait::async_trait]
impl SessionStore for InstrumentedStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        self.observe(Operation::Insert, self.store.insert(record))
            .await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        self.observe(Operation::Find, self.store.find(id)).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let touch = self.store.touch(id, now, window_ends);
        self.observe(Operation::Touch, touch).await
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        self.observe(Operation::Update, self.store.update(record))
            .await
    }

    async fn write_device(
        &self,
        id: &SessionId,
        device: &Device,
    ) -> Result<bool, StoreUnavailable> {
        let write = self.store.write_device(id, device);
        self.observe(Operation::WriteDevice, write).await
    }

    async fn end(&self, request: &EndRequest) -> Result<EndOutcome, StoreUnavailable> {
        self.observe(Operation::End, self.store.end(request)).await
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        self.observe(Operation::List, self.store.list(limit)).await
    }

    async fn lock_renewal(&self, lock: &RenewalLock) -> Result<bool, StoreUnavailable> {
        self.observe(Operation::Lock, self.store.lock_renewal(lock))
            .await
    }

    async fn unlock_renewal(&self, lock: &RenewalLock) -> Result<(), StoreUnavailable> {
        self.observe(Operation::Unlock, self.store.unlock_renewal(lock))
            .await
    }
}

#[async_trait::async_trait]
impl RevocationLog for InstrumentedStore {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        self.observe(Operation::Revoke, self.store.revoke(revocations))
            .await
    }

    async fn revocation_revision(&self) -> Result<u64, StoreUnavailable> {
        // Replicas ask this twice a second, which would hide how long the other operations take.
        self.store.revocation_revision().await
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        self.observe(Operation::Revocations, self.store.revocations(now))
            .await
    }
}

#[async_trait::async_trait]
impl UsedOnce for InstrumentedStore {
    async fn was_used(&self, value: &str, now: NumericDate) -> Result<bool, StoreUnavailable> {
        self.observe(Operation::WasUsed, self.store.was_used(value, now))
            .await
    }

    async fn use_once(
        &self,
        value: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let use_once = self.store.use_once(value, now, expires);
        self.observe(Operation::UseOnce, use_once).await
    }

    async fn use_once_to_end(
        &self,
        value: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let use_once = self.store.use_once_to_end(value, now, expires);
        self.observe(Operation::UseOnce, use_once).await
    }
}

#[async_trait::async_trait]
impl ApiKeyStore for InstrumentedStore {
    async fn insert_api_key(&self, record: ApiKeyRecord) -> Result<(), StoreUnavailable> {
        let insert = self.store.insert_api_key(record);
        self.observe(Operation::InsertApiKey, insert).await
    }

    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<StoredApiKey>, StoreUnavailable> {
        let find = self.store.find_api_key(id);
        self.observe(Operation::FindApiKey, find).await
    }

    async fn note_api_key_usage(
        &self,
        used: &mut HashMap<ApiKeyId, ApiKeyUsage>,
    ) -> Result<(), StoreUnavailable> {
        let note = self.store.note_api_key_usage(used);
        self.observe(Operation::NoteApiKeyUsage, note).await
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreUnavailable> {
        let remove = self.store.remove_api_key(id);
        self.observe(Operation::RemoveApiKey, remove).await
    }

    async fn api_keys(&self, limit: usize) -> Result<Vec<StoredApiKey>, StoreUnavailable> {
        let list = self.store.api_keys(limit);
        self.observe(Operation::ListApiKeys, list).await
    }
}

#[async_trait::async_trait]
impl Store for InstrumentedStore {
    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable> {
        let sweep = self.store.sweep(now, idle);
        let remaining = self.observe(Operation::Sweep, sweep).await?;
        self.observer.session_count(remaining);
        Ok(remaining)
    }

    async fn check_writable(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        self.observe(Operation::Check, self.store.check_writable(now))
            .await
    }

    async fn advice(&self) -> Result<Option<String>, StoreUnavailable> {
        self.store.advice().await
    }

    fn is_available(&self) -> bool {
        self.store.is_available()
    }

    fn use_keys(&self, ring: &KeyRing) {
        self.store.use_keys(ring);
    }
}
