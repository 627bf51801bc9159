//! Remembers recent revocations, for sign-ins that are under way meanwhile.
//!
//! A revocation looks for its sessions in the store. One that is about to be put there, while the
//! provider still exchanges its code, is not found: so each sign-in marks where it begins in the
//! order of revocations, and looks at the later ones when its session is in the store.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gatepost_session::NumericDate;

use gatepost_store::{SessionRecord, SessionSelector};

/// How long a revocation is remembered, in seconds: longer than the exchange of a code may take.
const REMEMBERED: u64 = 600;

/// The most revocations that are remembered. Beyond it, a sign-in that began before the oldest
/// remembered one is refused, since the revocations before it are not known.
const MAX_REMEMBERED: usize = 10_000;

/// The place of a sign-in in the order of revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The number of the first revocation after the exchange of its code began.
    next: u64,
    /// When the browser was sent to the provider.
    pub(super) began: NumericDate,
}

/// The recent revocations.
#[derive(Debug, Default)]
pub(super) struct RecentRevocations(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    next: u64,
    /// One more than the number of the last that was dropped for lack of room.
    forgotten: u64,
    all: VecDeque<(u64, NumericDate, SessionSelector)>,
}

impl RecentRevocations {
    /// Marks the present in the order of revocations, for a sign-in that `began` then.
    pub(super) fn mark(&self, began: NumericDate) -> Mark {
        let next = self.recent().next;
        Mark { next, began }
    }

    /// Remembers a revocation. One session that is named by its own id concerns no sign-in.
    pub(super) fn remember(&self, which: &SessionSelector, now: NumericDate) {
        if matches!(which, SessionSelector::Id(_)) {
            return;
        }
        let mut recent = self.recent();
        let is_over = |at: NumericDate| at.plus_seconds(REMEMBERED) < now;
        while recent.all.front().is_some_and(|(_, at, _)| is_over(*at)) {
            recent.all.pop_front();
        }
        if recent.all.len() >= MAX_REMEMBERED
            && let Some((number, ..)) = recent.all.pop_front()
        {
            recent.forgotten = number.saturating_add(1);
        }
        let number = recent.next;
        recent.next = number.saturating_add(1);
        recent.all.push_back((number, now, which.clone()));
    }

    /// Returns whether a revocation since `mark` concerns this session.
    pub(super) fn concern(&self, record: &SessionRecord, mark: Mark) -> bool {
        let recent = self.recent();
        let since = recent
            .all
            .iter()
            .filter(|(number, ..)| mark.next <= *number);
        mark.next < recent.forgotten || since.into_iter().any(|(.., which)| which.matches(record))
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatepost_base::{Identity, Secret};
    use gatepost_session::SessionId;

    fn record() -> SessionRecord {
        let now = NumericDate::from_seconds(1_800_000_000);
        SessionRecord {
            id: SessionId::from_random([1; 24]),
            audience: "wiki".into(),
            identity: Identity {
                issuer: "https://id.example.com".into(),
                subject: "alice".into(),
                ..Identity::default()
            },
            provider_session: Some("p1".into()),
            refresh_token: None,
            access_token: None,
            id_token: Secret::new(String::new()),
            device: None,
            created: now,
            last_validated: now,
            last_seen: now,
            window_ends: now,
            ends: now.plus_seconds(3_600),
        }
    }

    #[test]
    fn a_revocation_concerns_what_began_before_it() {
        let issuer = || "https://id.example.com".to_owned();
        let subject = |subject: &str| SessionSelector::Subject {
            issuer: issuer(),
            subject: subject.into(),
        };
        let session = |session: &str| SessionSelector::ProviderSession {
            issuer: issuer(),
            session: session.into(),
        };
        for (which, expected) in [
            (subject("alice"), true),
            (subject("bob"), false),
            (session("p1"), true),
            (session("p2"), false),
            (SessionSelector::All, true),
        ] {
            let recent = RecentRevocations::default();
            let before = recent.mark(record().created);
            recent.remember(&which, record().created);
            assert_eq!(recent.concern(&record(), before), expected, "{which:?}");
            assert!(
                !recent.concern(&record(), recent.mark(record().created)),
                "{which:?}"
            );
        }
    }

    #[test]
    fn a_sign_in_is_refused_where_a_revocation_was_dropped_for_lack_of_room() {
        let recent = RecentRevocations::default();
        let other = SessionSelector::Subject {
            issuer: "https://id.example.com".into(),
            subject: "bob".into(),
        };
        let early = recent.mark(record().created);
        for _ in 0..=MAX_REMEMBERED {
            recent.remember(&other, record().created);
        }
        assert!(recent.concern(&record(), early));
        assert!(!recent.concern(&record(), recent.mark(record().created)));

        let recent = RecentRevocations::default();
        let mark = recent.mark(record().created);
        recent.remember(&SessionSelector::All, record().created);
        recent.remember(&other, record().created.plus_seconds(REMEMBERED + 1));
        assert_eq!(recent.recent().all.len(), 1);
        assert!(!recent.concern(&record(), mark));
    }
}
