//! The log of revocations, which all replicas read.

use std::fmt;

use gatepost_session::NumericDate;
use serde::{Deserialize, Serialize};

use crate::StoreUnavailable;

/// Seconds for which a revocation remains after the last cookie has expired: the clock of a proxy
/// may be late.
pub(crate) const CLOCK_SKEW_SECONDS: u64 = 60;

/// A log of revocations that all replicas share.
#[async_trait::async_trait]
pub trait RevocationLog: Send + Sync + fmt::Debug {
    /// Adds revocations.
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable>;

    /// Returns a number that changes with every addition.
    async fn revocation_revision(&self) -> Result<u64, StoreUnavailable>;

    /// Returns the revocations that have not expired at `now`.
    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable>;
}

/// Something that was revoked before it expired.
///
/// A store writes it as JSON, so the names of its variants and fields there do not change.
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
    /// Every session that began up to a time, because the store lost them. Access tokens of machine
    /// clients are in no store and remain valid.
    Lost {
        /// The time.
        at: NumericDate,
        /// When the window of the last session from before that time ends.
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
            | Self::All { until, .. }
            | Self::Lost { until, .. } => until.plus_seconds(CLOCK_SKEW_SECONDS),
        }
    }
}
