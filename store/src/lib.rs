//! The session store of Gatepost's outpost: the sessions of signed-in users, revocations, and
//! values that may be used once, and the API keys of machine clients.
//!
//! [`open()`] opens a [`Store`] of one of three kinds: [`MemoryStore`] in this process,
//! [`EmbeddedStore`] in a file that one process has to itself, and [`RedisStore`], which replicas
//! share. The latter two seal each session with keys from a key ring, so neither a copied file nor
//! a dump of Redis reveals who was signed in. [`InstrumentedStore`] reports the operations of
//! another store, for metrics and traces.
//!
//! A session that ends early leaves the store, but a proxy accepts its cookie to the end of the
//! cookie's window. So each store has a [log](RevocationLog) of [`Revocation`]s for all replicas. A
//! [`RevocationList`] holds the part of the log that one replica knows, in memory and in the file
//! that plugins read.
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
//! // A program parses a key of its own, with `KeyRing::parse`.
//! let ring = KeyRing::parse_published("a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=")?;
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
//!     access_token: None,
//!     id_token: Secret::new("eyJ…".into()),
//!     device: None,
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

mod api_key;
mod cache;
mod capacity;
mod embedded;
mod end;
mod error;
mod finished;
mod instrumented;
mod memory;
mod open;
mod record;
mod recovery;
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

pub use api_key::{ApiKeyId, ApiKeyRecord, ApiKeyStore, ApiKeyUsage, StoredApiKey};
pub use embedded::EmbeddedStore;
pub use end::{EndOutcome, EndRequest, EndedSession};
pub use error::{OpenStoreError, StoreUnavailable};
pub use instrumented::{InstrumentedStore, Observer, Operation};
pub use memory::MemoryStore;
pub use open::open;
pub use record::{AccessToken, SessionRecord, SessionSelector};
pub use recovery::Recovery;
pub use redis::{InvalidRedisTls, InvalidRedisUrl, RedisStore, RedisTls, RedisUrl};
pub use revocation_list::RevocationList;
pub use revocation_log::{Revocation, RevocationLog};
pub use session_store::{RenewalLock, SessionStore};
pub use settings::{StoreKind, StoreSettings};
pub use store::Store;
pub use used_once::UsedOnce;
