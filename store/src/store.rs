//! A complete store, as the outpost uses it.

use gatepost_session::{KeyRing, NumericDate};

use crate::{ApiKeyStore, RevocationLog, SessionStore, StoreUnavailable, UsedOnce};

/// A store of sessions, revocations, single-use values and API keys.
#[async_trait::async_trait]
pub trait Store: SessionStore + RevocationLog + UsedOnce + ApiKeyStore {
    /// Removes everything that is over at `now` and returns the number of sessions that remain.
    /// `idle` is the time without use after which a session ends, in seconds. Sessions that are
    /// revoked in the log and still in the store end too, since an ending may have been half done.
    /// API keys are sealed again with the first key of the ring, since they outlive the others.
    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable>;

    /// Checks that the store accepts writes, by writing a value that nothing reads.
    async fn check_writable(&self, now: NumericDate) -> Result<(), StoreUnavailable>;

    /// Returns advice to the operator about the server behind the store, if there is any.
    async fn advice(&self) -> Result<Option<String>, StoreUnavailable> {
        Ok(None)
    }

    /// Returns whether the store answered last time, without asking it. A caller that can do
    /// without the store need not wait for one that did not.
    fn is_available(&self) -> bool {
        true
    }

    /// Seals with the keys of this ring from now on.
    fn use_keys(&self, ring: &KeyRing);
}
