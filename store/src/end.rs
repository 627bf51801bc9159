//! Ending sessions before their time, and the revocations that this needs.

use gatepost_session::{NumericDate, SessionId};

use crate::{Revocation, SessionRecord, SessionSelector};

/// A request to end sessions.
///
/// A store revokes first and removes afterwards, in one transaction where it has transactions. So a
/// session that is gone has been revoked for as long as a proxy could accept one of its cookies. A
/// request that failed halfway is completed by repeating it, and by the next
/// [sweep](crate::Store::sweep).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndRequest {
    /// The sessions to end.
    pub selector: SessionSelector,
    /// When the request was made.
    pub requested_at: NumericDate,
    /// Whether the store could not be reached then. Sessions that began since the request are
    /// spared.
    pub delayed: bool,
    /// How long a cookie that was issued at `requested_at` may be accepted, in seconds.
    pub window: u64,
    /// How long any credential that was issued at `requested_at` may be accepted, including access
    /// tokens of machine clients, in seconds.
    pub credential_lifetime: u64,
    /// How long a sign-in that began before `requested_at` may take, in seconds: the code that it brings
    /// back may be of what the request ends.
    pub sign_in: u64,
    /// When the last cookie expires of the one session that `selector` names, if there may be a
    /// cookie although the store does not know the session: a full store may have removed it, or
    /// the store may have lost its data.
    pub unknown_until: Option<NumericDate>,
}

/// A session that a store ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSession {
    /// The session's id.
    pub id: SessionId,
    /// When the window of the session's last cookie ends.
    pub window_ends: NumericDate,
}

impl EndedSession {
    /// Returns the revocation that the session's cookies need after `now`, if a proxy may still
    /// accept any.
    pub(crate) fn revocation(&self, now: NumericDate) -> Option<Revocation> {
        (now < self.window_ends).then(|| Revocation::Session {
            id: self.id.expose().to_owned(),
            until: self.window_ends,
        })
    }
}

impl From<&SessionRecord> for EndedSession {
    fn from(record: &SessionRecord) -> Self {
        Self {
            id: record.id.clone(),
            window_ends: record.window_ends,
        }
    }
}

/// Returns the revocations of sessions that a store ends at `now` without a request.
pub(crate) fn revocations_at(ended: &[EndedSession], now: NumericDate) -> Vec<Revocation> {
    let revocation = |ended: &EndedSession| ended.revocation(now);
    ended.iter().filter_map(revocation).collect()
}

/// The outcome of an [`EndRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndOutcome {
    /// The sessions that were ended.
    pub ended: Vec<EndedSession>,
    /// The revocations that were added to the log.
    pub revocations: Vec<Revocation>,
}

impl EndRequest {
    /// Returns whether the request ends every session, so that none has to be read for it.
    pub(crate) fn applies_to_all(&self) -> bool {
        !self.delayed && self.selector == SessionSelector::All
    }

    /// Returns whether the request ends a session. The index may find more than the selector
    /// matches.
    pub(crate) fn applies_to(&self, record: &SessionRecord) -> bool {
        // A session that began after an earlier request of the same second is dated one second
        // later.
        let is_earlier = !self.delayed || record.created <= self.requested_at.plus_seconds(1);
        is_earlier && self.selector.matches(record)
    }

    /// Returns the revocations that are needed when these sessions end.
    ///
    /// Some are needed even if the store knows no session: everything that a user had, or that all
    /// users had, is revoked as of the request, and so is a single session that has a cookie.
    pub fn revocations(&self, ended: &[EndedSession]) -> Vec<Revocation> {
        let latest = |lifetime: u64| self.expiry(lifetime.max(self.sign_in));
        let last_expiry = ended
            .iter()
            .map(|ended| ended.window_ends)
            .fold(latest(self.credential_lifetime), NumericDate::max);
        // A revocation by subject refuses every credential up to the request, so only sessions with
        // a later cookie are named besides it: a cookie that was issued in the very second of an
        // earlier request is dated one second later.
        let (named_from, general) = match &self.selector {
            SessionSelector::Id(id) => {
                let unknown = self.unknown_until.filter(|_| ended.is_empty());
                let session = unknown.map(|until| Revocation::Session {
                    id: id.expose().to_owned(),
                    until,
                });
                (self.requested_at, session)
            }
            SessionSelector::ProviderSession { issuer, session } => (
                self.requested_at,
                Some(Revocation::ProviderSession {
                    issuer: issuer.clone(),
                    session: session.clone(),
                    at: self.requested_at,
                    until: latest(self.window),
                }),
            ),
            SessionSelector::SubjectWithoutProviderSession { issuer, subject } => (
                self.requested_at,
                Some(Revocation::SubjectWithoutProviderSession {
                    issuer: issuer.clone(),
                    subject: subject.clone(),
                    at: self.requested_at,
                    until: latest(self.window),
                }),
            ),
            SessionSelector::Subject { issuer, subject } => (
                self.expiry(self.window),
                Some(Revocation::Subject {
                    issuer: issuer.clone(),
                    subject: subject.clone(),
                    at: self.requested_at,
                    until: last_expiry,
                }),
            ),
            SessionSelector::All => (
                self.expiry(self.window),
                Some(Revocation::All {
                    at: self.requested_at,
                    until: last_expiry,
                }),
            ),
        };
        let named = ended
            .iter()
            .filter_map(|ended| ended.revocation(named_from));
        general.into_iter().chain(named).collect()
    }

    /// Returns when something that was issued with the request expires.
    fn expiry(&self, lifetime: u64) -> NumericDate {
        self.requested_at.plus_seconds(lifetime)
    }
}
