//! The session store of Gatepost's outpost: the sessions of signed-in users, revocations, and
//! values that may be used once.
//!
//! [`open`] opens a [`Store`] of one of three kinds: [`MemoryStore`] in this process,
//! [`EmbeddedStore`] in a file that one process has to itself, and [`RedisStore`], which replicas
//! share. The latter two seal each session with keys from a key ring, so neither a copied file nor
//! a dump of Redis reveals who was signed in. [`InstrumentedStore`] reports the operations of
//! another store, for metrics and traces.
//!
//! A session that ends early leaves the store, but a proxy accepts its cookie to the end of the
//! cookie's window. So each store has a [log](RevocationLog) of [`Revocation`]s for all replicas.
//! A [`RevocationList`] holds what one replica knows of the log, in memory and in the file that
//! plugins read.
//!
//! This crate knows neither HTTP nor OpenID Connect, and nothing of the outpost's configuration
//! file, metrics or log format.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gatepost_base::{Clock, Identity, Secret};
//! use gatepost_session::{KeyRing, SessionId};
//! use gatepost_store::{Recovery, SessionRecord, StoreSettings};
//!
//! let clock = Clock::system();
//! let ring = KeyRing::from_entries(["a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE="])?;
//! let settings = StoreSettings::Memory { max_sessions: 1_000 };
//! let recovery = Recovery { clock: clock.clone(), lifetime: 24 * 3_600 };
//! let store = gatepost_store::open(&settings, &ring, recovery)?;
//!
//! let (id, now) = (SessionId::from_random([7; 24]), clock.now());
//! let session = SessionRecord {
//!     id: id.clone(),
//!     audience: "wiki".into(),
//!     identity: Identity { subject: "alice".into(), ..Identity::default() },
//!     provider_session: None,
//!     refresh_token: None,
//!     id_token: Secret::new("eyJ…".into()),
//!     created: now,
//!     last_validated: now,
//!     last_seen: now,
//!     window_ends: now.plus_seconds(900),
//!     ends: now.plus_seconds(24 * 3_600),
//! };
//! store.insert(session).await?;
//! assert!(store.find(&id).await?.is_some());
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_base::Clock;
use gatepost_session::{KeyRing, NumericDate};

mod cache;
mod embedded;
mod end;
mod error;
mod instrumented;
mod memory;
mod record;
mod redis;
mod revocation_list;
mod revocation_log;
mod sealed;
mod session_store;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod used_once;

pub use embedded::EmbeddedStore;
pub use end::{EndOutcome, EndRequest, EndedSession};
pub use error::{OpenStoreError, StoreUnavailable};
pub use instrumented::{InstrumentedStore, Observer, Operation};
pub use memory::MemoryStore;
pub use record::{SessionRecord, SessionSelector};
pub use redis::{InvalidRedisTls, InvalidRedisUrl, RedisStore, RedisTls, RedisUrl};
pub use revocation_list::RevocationList;
pub use revocation_log::{Revocation, RevocationLog};
pub use session_store::{RenewalLock, SessionStore};
pub use settings::StoreSettings;
pub use store::Store;
pub use used_once::UsedOnce;

/// The longest time that a killed process needs to release its file.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a store needs in order to revoke the sessions that it has lost: a restart empties a
/// [`MemoryStore`], and a damaged file an [`EmbeddedStore`].
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The clock.
    pub clock: Clock,
    /// The longest that a session, and so the window of a cookie, may last, in seconds.
    pub lifetime: u64,
}

impl Recovery {
    /// Returns the revocation of all sessions that began up to `now`: which of them had been ended
    /// is lost as well.
    fn revocation(&self, now: NumericDate) -> Revocation {
        Revocation::Lost {
            at: now,
            until: now.plus_seconds(self.lifetime),
        }
    }
}

/// Opens the store of these settings.
///
/// # Errors
///
/// [`OpenStoreError`]. An unreachable Redis is not an error, because it may come back.
pub fn open(
    settings: &StoreSettings,
    ring: &KeyRing,
    recovery: Recovery,
) -> Result<Arc<dyn Store>, OpenStoreError> {
    Ok(match settings {
        StoreSettings::Memory { max_sessions } => {
            let lost = recovery.revocation(recovery.clock.now());
            Arc::new(MemoryStore::new(*max_sessions).with_revocation(lost))
        }
        StoreSettings::Embedded {
            path,
            cache_bytes,
            max_sessions,
        } => Arc::new(open_when_released(|| {
            EmbeddedStore::open(path, *max_sessions, *cache_bytes, ring, recovery.clone())
        })?),
        StoreSettings::Redis {
            url,
            tls,
            prefix,
            max_sessions,
        } => Arc::new(RedisStore::new(url, tls, prefix, *max_sessions, ring)),
    })
}

/// Opens a file, and waits for a process that was just killed to release it.
fn open_when_released(
    open: impl Fn() -> Result<EmbeddedStore, OpenStoreError>,
) -> Result<EmbeddedStore, OpenStoreError> {
    let begun = Instant::now();
    loop {
        match open() {
            Err(OpenStoreError::InUse(_)) if begun.elapsed() < RELEASE_TIMEOUT => {
                std::thread::sleep(RELEASE_TIMEOUT / 50);
            }
            opened => return opened,
        }
    }
}

/// Logs that a full store ends sessions.
fn warn_full(capacity: impl tracing::Value) {
    tracing::warn!(
        capacity,
        "the session store is full: ended the sessions that were unused for longest"
    );
}
