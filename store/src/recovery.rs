//! What a store needs in order to revoke the sessions that it has lost.

use gatepost_base::Clock;

use crate::revocation_log::Revocation;

/// What a store needs in order to revoke the sessions that it has lost: a restart empties a
/// [`MemoryStore`](crate::MemoryStore), a file that is missing or damaged an
/// [`EmbeddedStore`](crate::EmbeddedStore), and a command or a restart a
/// [`RedisStore`](crate::RedisStore). A store that was never there looks the same.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The clock.
    pub clock: Clock,
    /// The longest that a session, and so the window of a cookie, may last, in seconds.
    pub lifetime: u64,
}

impl Recovery {
    /// Returns the revocation of all sessions that began up to now: which of them had been ended
    /// is lost as well.
    pub(crate) fn revocation(&self) -> Revocation {
        let now = self.clock.now();
        Revocation::Lost {
            at: now,
            until: now.plus_seconds(self.lifetime),
        }
    }
}
