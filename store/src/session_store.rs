//! Storing sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gatepost_base::Device;
use gatepost_session::{NumericDate, SessionId};

use crate::{EndOutcome, EndRequest, SessionRecord, StoreUnavailable};

/// Stores sessions.
///
/// An implementation holds a bounded number of sessions.
#[async_trait::async_trait]
pub trait SessionStore: Send + Sync + fmt::Debug {
    /// Adds a session. A full store first ends the sessions that were unused for longest.
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable>;

    /// Returns the session with this id as it was last written, even if its time is over.
    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable>;

    /// Records that the session is in use at `now`, with a cookie whose window ends at
    /// `window_ends`. Neither time ever moves back.
    ///
    /// Returns the session as it is then. Returns `None` when the store has no such session any more;
    /// then no such cookie may be issued.
    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable>;

    /// Replaces the provider's data of a session, unless what is stored was validated later: a
    /// replica that could not reach the store saves late. A session that is bound to a device stays
    /// so. Returns false, and changes nothing, when the session has ended meanwhile.
    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable>;

    /// Writes the device of a session, as [`Device::written_over`] says. Returns false, and changes
    /// nothing, when the session has ended or has another device.
    async fn write_device(&self, id: &SessionId, device: &Device)
    -> Result<bool, StoreUnavailable>;

    /// Ends sessions: adds the revocations that are needed to the log, and removes the sessions. A
    /// caller that repeats the request after an error completes the request.
    async fn end(&self, request: &EndRequest) -> Result<EndOutcome, StoreUnavailable>;

    /// Returns at most `limit` sessions, in no particular order.
    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable>;

    /// Acquires or extends the right to renew a session, for [`RenewalLock::LEASE`] from now.
    /// Returns false while another process holds it.
    async fn lock_renewal(&self, lock: &RenewalLock) -> Result<bool, StoreUnavailable>;

    /// Releases that right.
    async fn unlock_renewal(&self, lock: &RenewalLock) -> Result<(), StoreUnavailable>;
}

/// The right of one process to renew one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalLock {
    /// The session.
    pub id: SessionId,
    /// A name of the process that no other process has.
    pub holder: Arc<str>,
}

impl RenewalLock {
    /// Time after which a lock expires that its holder does not extend, so that a process that
    /// crashed during a renewal does not prevent others from it for longer.
    pub const LEASE: Duration = Duration::from_secs(6);
}
