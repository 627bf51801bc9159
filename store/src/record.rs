//! A session, and which sessions are meant.

use gatepost_base::{Device, Identity, Secret};
use gatepost_session::{NumericDate, SessionId};

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The session's id, which its cookies contain.
    pub id: SessionId,
    /// The application that the session is for.
    pub audience: String,
    /// The signed-in user.
    pub identity: Identity,
    /// The session's id at the provider (`sid`), if the provider gave one.
    pub provider_session: Option<String>,
    /// The token with which the session is renewed at the provider.
    pub refresh_token: Option<Secret>,
    /// The access token, where the application gets it.
    pub access_token: Option<AccessToken>,
    /// The ID token, which the provider expects at the sign-out.
    pub id_token: Secret,
    /// The key by which the browser proves that it is on the device where the user signed in, if it
    /// has registered one.
    pub device: Option<Device>,
    /// When the user signed in.
    pub created: NumericDate,
    /// When the provider last confirmed the user's identity.
    pub last_validated: NumericDate,
    /// When the outpost last saw the session in use.
    pub last_seen: NumericDate,
    /// When the window of the session's last cookie ends. A session that ends before has to be
    /// revoked, not only removed.
    pub window_ends: NumericDate,
    /// When the session ends in any case.
    pub ends: NumericDate,
}

/// An access token of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The token.
    pub token: Secret,
    /// When it ends, as far as the provider has said it.
    pub ends: Option<NumericDate>,
}

impl AccessToken {
    /// Returns what stands in the place of a token that the provider did not issue at `now`: one that
    /// has ended.
    pub fn absent(now: NumericDate) -> Self {
        Self {
            token: Secret::new(String::new()),
            ends: Some(now),
        }
    }
}

impl SessionRecord {
    /// Returns whether the session is bound to a device, so that it is renewed with a proof and in
    /// no other way.
    pub fn is_bound(&self) -> bool {
        self.device.as_ref().is_some_and(|device| device.bound)
    }

    /// Returns this session, whose device is written over that of `stored`: a session that was read
    /// before it was bound must not unbind it.
    #[must_use]
    pub(crate) fn with_device_of(self, stored: &Self) -> Self {
        let stored = stored.device.as_ref();
        let written = self.device.and_then(|device| device.written_over(stored));
        Self {
            device: written.or_else(|| stored.cloned()),
            ..self
        }
    }

    /// Returns when the session ends if it is not used again. `idle` is the time without use after
    /// which a session ends, in seconds.
    pub fn ends_if_idle(&self, idle: u64) -> NumericDate {
        self.ends.min(self.last_seen.plus_seconds(idle))
    }
}

/// A set of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionSelector {
    /// The session with this id.
    Id(SessionId),
    /// All sessions of a user of a provider.
    Subject {
        /// The provider.
        issuer: String,
        /// The user's id at the provider (`sub`).
        subject: String,
    },
    /// All sessions that belong to one session at a provider.
    ProviderSession {
        /// The provider.
        issuer: String,
        /// The session's id at the provider (`sid`).
        session: String,
    },
    /// The sessions of a user at a provider whose session id at the provider is unknown.
    SubjectWithoutProviderSession {
        /// The provider.
        issuer: String,
        /// The user's id at the provider (`sub`).
        subject: String,
    },
    /// All sessions.
    All,
}

impl SessionSelector {
    /// Returns whether `record` is one of these sessions.
    pub fn matches(&self, record: &SessionRecord) -> bool {
        match self {
            Self::Id(id) => record.id == *id,
            Self::Subject { issuer, subject } => {
                record.identity.issuer == *issuer && record.identity.subject == *subject
            }
            Self::ProviderSession { issuer, session } => {
                record.identity.issuer == *issuer
                    && record.provider_session.as_deref() == Some(session)
            }
            Self::SubjectWithoutProviderSession { issuer, subject } => {
                record.identity.issuer == *issuer
                    && record.identity.subject == *subject
                    && record.provider_session.is_none()
            }
            Self::All => true,
        }
    }
}
