//! The session store: what the outpost remembers of those who are signed in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gatepost_session::{NumericDate, SessionId};
use zeroize::Zeroizing;

use crate::config::SessionTimes;

mod memory;
mod timed;

pub use memory::MemoryStore;
pub use timed::TimedStore;

/// A token of the provider that must not be shown. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes charge of a secret.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Who somebody is, as a provider said and the outpost verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// The person's stable id there.
    pub subject: String,
    /// The name the person signs in with.
    pub preferred_username: Option<String>,
    /// The full name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether the provider has verified the address.
    pub email_verified: Option<bool>,
    /// All groups.
    pub groups: Vec<String>,
    /// How the person was authenticated: the context class.
    pub acr: Option<String>,
    /// How the person was authenticated: the methods.
    pub amr: Vec<String>,
    /// When the person last authenticated.
    pub auth_time: Option<NumericDate>,
    /// The claims beyond these that header rules name, each as one text.
    pub extra: BTreeMap<String, String>,
}

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
    /// When the outpost last heard of the session.
    pub last_seen: NumericDate,
    /// When it ends whatever happens.
    pub ends: NumericDate,
}

impl SessionRecord {
    /// When the session ends if nothing more is heard of it.
    pub fn ends_if_idle(&self, times: &SessionTimes) -> NumericDate {
        self.ends.min(self.last_seen.plus_seconds(times.idle))
    }
}

/// The store cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("the session store is unavailable")]
pub struct StoreUnavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where sessions are kept.
///
/// Implementations drop what has ended on their own, and are bounded.
#[async_trait::async_trait]
pub trait SessionStore: Send + Sync + fmt::Debug {
    /// Keeps a new session.
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable>;

    /// The session of that id, as it was last kept, ended or not.
    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable>;

    /// Notes that the session is in use.
    async fn touch(&self, id: &SessionId, now: NumericDate) -> Result<(), StoreUnavailable>;

    /// Ends a session and hands out what was kept of it.
    async fn remove(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable>;

    /// Drops what has ended at `now` and says how many are left.
    async fn sweep(
        &self,
        now: NumericDate,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable>;
}
