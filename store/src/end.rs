//! What is to end, and what has to be revoked for it.

use gatepost_session::{NumericDate, SessionId};

use super::{Selection, SessionRecord};
use crate::revocation::Revocation;

/// An order to end sessions.
///
/// A store revokes first and drops afterwards, in one transaction where it has one: a session that
/// is gone has been revoked for as long as a cookie of it could be believed, so an ending that was
/// broken off is finished by asking for it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Which sessions.
    pub which: Selection,
    /// When it was asked for.
    pub asked: NumericDate,
    /// Whether that was while the store was away, so that sessions which began since stay.
    pub late: bool,
    /// For how long a cookie that was made when it was asked for may be believed, in seconds.
    pub window: u64,
    /// The same of whatever else was made by then, the access tokens of programs included.
    pub believed: u64,
    /// Until when a cookie of the one session may be believed although the store does not know the
    /// session: it may have been pushed out, or the store have lost it.
    pub unknown_until: Option<NumericDate>,
}

/// A session that a store has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub id: SessionId,
    /// When the last of its windows ends.
    pub window_ends: NumericDate,
}

impl Ended {
    /// What keeps the cookies of its windows from being believed after `now`, if any are.
    pub(super) fn revocation(&self, now: NumericDate) -> Option<Revocation> {
        (now < self.window_ends).then(|| Revocation::Session {
            id: self.id.to_string(),
            until: self.window_ends,
        })
    }
}

/// What came of an [`Ending`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The sessions that it ended.
    pub ended: Vec<Ended>,
    /// What was revoked for it.
    pub revocations: Vec<Revocation>,
}

impl Ending {
    /// Whether a session that is selected is meant.
    pub(super) fn means(&self, record: &SessionRecord) -> bool {
        // A session that began after another ending in the very second bears the next one.
        !self.late || record.created <= self.asked.plus_seconds(1)
    }

    /// What has to be revoked when these sessions end.
    ///
    /// A person's sessions, or everyone's, are revoked as of the moment also where the store does
    /// not know them, and one session whose cookie somebody has.
    pub fn revocations(&self, ended: &[Ended]) -> Vec<Revocation> {
        let last_window = ended
            .iter()
            .map(|ended| ended.window_ends)
            .fold(self.asked.plus_seconds(self.believed), NumericDate::max);
        // Those whose sessions are named. Whatever was made by now is refused for its time where a
        // person's sessions end, or everyone's. But a cookie that was made in this very second,
        // after another ending in it, bears the next one.
        let (named_from, more) = match &self.which {
            Selection::Session(id) => {
                let unknown = self.unknown_until.filter(|_| ended.is_empty());
                let more = unknown.map(|until| Revocation::Session {
                    id: id.to_string(),
                    until,
                });
                (self.asked, more)
            }
            Selection::ProviderSession { .. } => (self.asked, None),
            Selection::Subject { issuer, subject } => (
                self.asked.plus_seconds(self.window),
                Some(Revocation::Subject {
                    issuer: issuer.clone(),
                    subject: subject.clone(),
                    at: self.asked,
                    until: last_window,
                }),
            ),
            Selection::Everyone => (
                self.asked.plus_seconds(self.window),
                Some(Revocation::Everyone {
                    at: self.asked,
                    until: last_window,
                }),
            ),
        };
        let named = ended
            .iter()
            .filter_map(|ended| ended.revocation(named_from));
        more.into_iter().chain(named).collect()
    }
}
