//! The session store of Gatepost's outpost: the sessions of signed-in users, what was revoked, and
//! the values that serve once.
//!
//! [`open`] opens a store of one of three kinds: [`MemoryStore`] in this process,
//! [`EmbeddedStore`] in a file that one process has to itself, and [`RedisStore`], which replicas
//! share. Each seals its sessions with keys that it derives from a key ring, so neither a copied
//! file nor a dump of Redis reveals who was signed in. [`InstrumentedStore`] reports the operations
//! of another store, for metrics and traces.
//!
//! A session that ends before its time leaves the store, but a proxy accepts its cookie to the end
//! of its window. So each store keeps a log of [`Revocation`]s for all replicas, and [`Revocations`]
//! holds what one replica knows of it, in memory and in the file that plugins read.
//!
//! This crate knows neither HTTP nor OpenID Connect, and nothing of the outpost's configuration,
//! metrics or log format.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gatepost_base::{Clock, Identity, Secret};
//! use gatepost_session::{KeyRing, SessionId};
//! use gatepost_store::{SessionRecord, Start, StoreSettings};
//!
//! let clock = Clock::system();
//! let ring = KeyRing::from_entries(["a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE="])?;
//! let settings = StoreSettings::Memory { max_sessions: 1_000 };
//! let start = Start { clock: clock.clone(), lifetime: 24 * 3_600 };
//! let store = gatepost_store::open(&settings, &ring, start)?;
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
//!     confirmed: now,
//!     last_seen: now,
//!     window_ends: now.plus_seconds(900),
//!     ends: now.plus_seconds(24 * 3_600),
//! };
//! store.insert(session).await?;
//! assert!(store.find(&id).await?.is_some());
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_session::{KeyRing, NumericDate, SessionId};

use gatepost_base::{Clock, Identity, Secret};

mod embedded;
mod end;
mod instrumented;
mod memory;
mod recent;
mod redis;
mod revocation;
mod sealed;
mod settings;

pub use embedded::EmbeddedStore;
pub use end::{Ended, Ending, Outcome};
pub use instrumented::{InstrumentedStore, Observer, Operation};
pub use memory::MemoryStore;
pub use redis::{InvalidRedisTls, InvalidRedisUrl, RedisStore, RedisTls, RedisUrl};
pub use revocation::{Revocation, Revocations};
pub use settings::StoreSettings;

/// How long a process that was killed may take to let go of its file.
const FREE_WITHIN: Duration = Duration::from_secs(5);

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its key.
    pub id: SessionId,
    /// The application it is for.
    pub audience: String,
    /// Who is signed in.
    pub identity: Identity,
    /// The session's id at the provider, if it names one.
    pub provider_session: Option<String>,
    /// For renewing at the provider.
    pub refresh_token: Option<Secret>,
    /// For signing out at the provider.
    pub id_token: Secret,
    /// When the person signed in.
    pub created: NumericDate,
    /// When the provider last said that the person is who they are.
    pub confirmed: NumericDate,
    /// When the outpost last heard of the session.
    pub last_seen: NumericDate,
    /// When the last of its cookies' windows ends: until then it has to be revoked, and not just
    /// forgotten, to end.
    pub window_ends: NumericDate,
    /// When it ends whatever happens.
    pub ends: NumericDate,
}

impl SessionRecord {
    /// Returns when the session ends if it is not used again. `idle` is the time without use after
    /// which a session ends, in seconds.
    pub fn ends_if_idle(&self, idle: u64) -> NumericDate {
        self.ends.min(self.last_seen.plus_seconds(idle))
    }
}

/// Which sessions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// One.
    Session(SessionId),
    /// Those of a person at a provider.
    Subject {
        /// The provider.
        issuer: String,
        /// The person's id there.
        subject: String,
    },
    /// Those that belong to one session at the provider.
    ProviderSession {
        /// The provider.
        issuer: String,
        /// The session's id there.
        session: String,
    },
    /// All there are.
    Everyone,
}

/// The store cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("the session store is unavailable: {0}")]
pub struct StoreUnavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl StoreUnavailable {
    /// The same for another who waited for the store.
    pub fn shared(self: Arc<Self>) -> Self {
        Self(self.0.to_string().into())
    }
}

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// Another process has the file open.
    #[error(
        "store.path: {0} is in use by another process: one outpost has a file to itself; replicas \
         share a store of `kind: redis`"
    )]
    InUse(String),
    /// The file was written by a later version.
    #[error("store.path: {path} has format {found}, and this version reads up to {known}")]
    TooNew {
        /// The file.
        path: String,
        /// Its format.
        found: u64,
        /// The latest format that can be read.
        known: u64,
    },
    /// The file cannot be opened or read.
    #[error("store.path: {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The client of Redis cannot be set up.
    #[error("store.url: {0}")]
    Redis(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The right of one process to renew one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalLock {
    /// The session.
    pub id: SessionId,
    /// The process, by a name that no other has.
    pub holder: Arc<str>,
}

impl RenewalLock {
    /// How long it lasts unless it is asked for again: for so long a process that died while it
    /// renewed keeps others from it.
    pub const LEASE: Duration = Duration::from_secs(6);
}

/// Where sessions are kept.
///
/// Implementations drop what has ended on their own, and are bounded.
#[async_trait::async_trait]
pub trait SessionStore: Send + Sync + fmt::Debug {
    /// Keeps a new session. Where there is no room, those unused for longest are ended.
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable>;

    /// The session of that id, as it was last kept, ended or not.
    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable>;

    /// Notes that the session is in use at `now`, with a cookie whose window ends at
    /// `window_ends`. Neither time is ever put back. False when there is no such session any more:
    /// then there must be no such cookie.
    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<bool, StoreUnavailable>;

    /// Keeps what the provider said of a session anew. A session that was ended meanwhile stays
    /// so, and then the answer is false.
    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable>;

    /// Ends sessions: revokes what has to be, and drops them. Asking again after an error finishes
    /// what was begun.
    async fn end(&self, ending: &Ending) -> Result<Outcome, StoreUnavailable>;

    /// Some `limit` sessions, in no order.
    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable>;

    /// Drops what has ended at `now` and returns how many sessions are left. `idle` is the time
    /// without use after which a session ends, in seconds.
    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable>;

    /// Notes what is revoked, for every replica to know.
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable>;

    /// A number that changes whenever something is revoked.
    async fn revocations_revision(&self) -> Result<u64, StoreUnavailable>;

    /// All that is revoked and may still be in force at `now`.
    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable>;

    /// Whether something that may be used once was noted, and has not expired at `now`.
    async fn was_used(&self, what: &str, now: NumericDate) -> Result<bool, StoreUnavailable>;

    /// Notes something that may be used once, until it expires; false when it was noted before.
    async fn use_once(
        &self,
        what: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable>;

    /// Whether the store takes what is written, which at `now` is something that matters to nobody.
    async fn check(&self, now: NumericDate) -> Result<(), StoreUnavailable>;

    /// Asks for the sole right to renew a session for [`RenewalLock::LEASE`] from now; false while
    /// another process has it. Who has it already keeps it for longer.
    async fn lock(&self, lock: &RenewalLock) -> Result<bool, StoreUnavailable>;

    /// Gives that right back.
    async fn unlock(&self, lock: &RenewalLock) -> Result<(), StoreUnavailable>;

    /// What an operator should change of how the store is set up, as far as it can be seen.
    async fn advice(&self) -> Result<Option<String>, StoreUnavailable> {
        Ok(None)
    }

    /// Whether the store has answered lately, as far as it is known: who can do without it need not
    /// wait for one that has not.
    fn answers(&self) -> bool {
        true
    }

    /// Seals with the keys of this ring from now on.
    fn use_keys(&self, ring: &KeyRing) {
        let _ = ring;
    }
}

/// What a store goes by that begins without what was in it before.
#[derive(Clone, Debug)]
pub struct Start {
    /// Tells the time.
    pub clock: Clock,
    /// How long a session may last, in seconds, and so a window of one.
    pub lifetime: u64,
}

impl Start {
    /// What has to be revoked when all sessions have been lost that began by `now`: which of them
    /// were ended has been lost with them.
    fn lost_before(&self, now: NumericDate) -> Revocation {
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
/// [`OpenStoreError`]. A Redis that cannot be reached is no error: it may come back.
pub fn open(
    settings: &StoreSettings,
    ring: &KeyRing,
    start: Start,
) -> Result<Arc<dyn SessionStore>, OpenStoreError> {
    Ok(match settings {
        StoreSettings::Memory { max_sessions } => {
            let lost = start.lost_before(start.clock.now());
            Arc::new(MemoryStore::new(*max_sessions).having_lost(lost))
        }
        StoreSettings::Embedded { path, max_sessions } => {
            Arc::new(open_when_free(path, *max_sessions, ring, &start)?)
        }
        StoreSettings::Redis {
            url,
            tls,
            prefix,
            max_sessions,
        } => Arc::new(RedisStore::new(url, tls, prefix, *max_sessions, ring)?),
    })
}

/// Opens a file that a process which was just killed may not have let go of yet.
fn open_when_free(
    path: &Path,
    max_sessions: usize,
    ring: &KeyRing,
    start: &Start,
) -> Result<EmbeddedStore, OpenStoreError> {
    let begun = Instant::now();
    loop {
        match EmbeddedStore::open(path, max_sessions, ring, start.clone()) {
            Err(OpenStoreError::InUse(_)) if begun.elapsed() < FREE_WITHIN => {
                std::thread::sleep(FREE_WITHIN / 50);
            }
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests;
