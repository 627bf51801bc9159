//! The log of revocations, which all replicas read.

use std::fmt;
use std::sync::Once;

use gatepost_session::{NumericDate, SessionId};
use serde::{Deserialize, Serialize};

use crate::sealed;
use crate::{SessionRecord, SessionSelector, StoreUnavailable};

/// Seconds for which a revocation remains after the last cookie has expired: the clock of a proxy
/// may be late.
pub(crate) const CLOCK_SKEW_SECONDS: u64 = 60;

/// A log of revocations that all replicas share.
#[async_trait::async_trait]
pub trait RevocationLog: Send + Sync + fmt::Debug {
    /// Adds revocations; for those that the log has, nothing changes.
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable>;

    /// Returns a number that changes with every addition.
    async fn revocation_revision(&self) -> Result<u64, StoreUnavailable>;

    /// Returns the revocations that have not expired at `now`, without those that this version
    /// cannot read.
    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable>;
}

/// Something that was revoked before it expired.
///
/// A store writes it as JSON, so the names of its variants and fields there do not change. A version
/// skips the variants of later ones: a variant that every version reads repeats what a proxy has to
/// know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum Revocation {
    /// One session.
    Session {
        /// The session's id.
        id: String,
        /// When the window of its last cookie ends.
        until: NumericDate,
    },
    /// Every credential of a user that was issued up to a time: sessions and access tokens.
    Subject {
        /// The provider.
        issuer: String,
        /// The user's id at the provider.
        subject: String,
        /// The time.
        at: NumericDate,
        /// When the last credential from before that time expires.
        until: NumericDate,
    },
    /// Every credential of all users that was issued up to a time.
    #[serde(rename = "everyone")]
    All {
        /// The time.
        at: NumericDate,
        /// When the last credential from before that time expires.
        until: NumericDate,
    },
    /// Every session that belongs to one session at a provider and began up to a time. No proxy can
    /// tell these sessions, so each that was found is named beside it.
    ProviderSession {
        /// The provider.
        issuer: String,
        /// The session's id at the provider (`sid`).
        session: String,
        /// The time.
        at: NumericDate,
        /// When the last cookie from before that time expires.
        until: NumericDate,
    },
    /// Every session of a user whose session at the provider is unknown and that began up to a time;
    /// each that was found is named beside it.
    SubjectWithoutProviderSession {
        /// The provider.
        issuer: String,
        /// The user's id at the provider.
        subject: String,
        /// The time.
        at: NumericDate,
        /// When the last cookie from before that time expires.
        until: NumericDate,
    },
    /// Every session that began up to a time, because the store lost them. Access tokens of machine
    /// clients are in no store and remain valid.
    Lost {
        /// The time.
        at: NumericDate,
        /// When the window of the last session from before that time ends.
        until: NumericDate,
    },
    /// One API key: it leaves the store too, but a store that loses its last writes has it again. No
    /// proxy has to know.
    ApiKey {
        /// The key's id.
        id: String,
        /// When the key ends.
        until: NumericDate,
    },
}

impl Revocation {
    /// Returns when the revocation can be forgotten, because everything that it revokes has
    /// expired.
    pub fn expires(&self) -> NumericDate {
        match self {
            Self::Session { until, .. }
            | Self::Subject { until, .. }
            | Self::ProviderSession { until, .. }
            | Self::SubjectWithoutProviderSession { until, .. }
            | Self::All { until, .. }
            | Self::Lost { until, .. }
            | Self::ApiKey { until, .. } => until.plus_seconds(CLOCK_SKEW_SECONDS),
        }
    }

    /// Returns the key of the index that has its sessions; `None` where it is one session, or all.
    pub(crate) fn index_key(&self) -> Option<String> {
        sealed::index_key_of(&self.selector()?)
    }

    /// Returns which sessions are revoked, of those that began up to [`Self::at`]; `None` when the
    /// id of the session is invalid, or an API key is revoked.
    pub fn selector(&self) -> Option<SessionSelector> {
        Some(match self {
            Self::Session { id, .. } => SessionSelector::Id(SessionId::parse(id)?),
            Self::Subject {
                issuer, subject, ..
            } => SessionSelector::Subject {
                issuer: issuer.clone(),
                subject: subject.clone(),
            },
            Self::ProviderSession {
                issuer, session, ..
            } => SessionSelector::ProviderSession {
                issuer: issuer.clone(),
                session: session.clone(),
            },
            Self::SubjectWithoutProviderSession {
                issuer, subject, ..
            } => SessionSelector::SubjectWithoutProviderSession {
                issuer: issuer.clone(),
                subject: subject.clone(),
            },
            Self::All { .. } | Self::Lost { .. } => SessionSelector::All,
            Self::ApiKey { .. } => return None,
        })
    }

    /// Returns the time up to which the revoked sessions began; `None` for one session or API key,
    /// which is revoked whenever it began.
    pub fn at(&self) -> Option<NumericDate> {
        match self {
            Self::Session { .. } | Self::ApiKey { .. } => None,
            Self::Subject { at, .. }
            | Self::ProviderSession { at, .. }
            | Self::SubjectWithoutProviderSession { at, .. }
            | Self::All { at, .. }
            | Self::Lost { at, .. } => Some(*at),
        }
    }

    /// Returns whether this session is revoked.
    pub(crate) fn applies_to(&self, record: &SessionRecord) -> bool {
        self.at().is_none_or(|at| record.created <= at)
            && self.selector().is_some_and(|which| which.matches(record))
    }
}

/// Returns the entry of a log with this text, if this version can read it.
///
/// One that it cannot read must not keep it from the others: it would not learn of any session that
/// other replicas end.
pub(crate) fn parse_entry(text: &str) -> Option<Revocation> {
    static UNREADABLE: Once = Once::new();
    match serde_json::from_str(text) {
        Ok(revocation) => Some(revocation),
        Err(error) => {
            UNREADABLE.call_once(|| {
                tracing::error!(
                    %error,
                    "an entry in the store's list of ended sessions is unreadable, and is skipped: \
                     a later version may have written it"
                );
            });
            None
        }
    }
}
