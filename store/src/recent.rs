//! Sessions that were read from a file a moment ago.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatepost_session::SessionId;

use super::SessionRecord;

/// The most sessions held. A page of an application is dozens of requests with one session, so a
/// few do most of it.
const MAX_SESSIONS: usize = 1_024;

/// What a store that has its file to itself need not read and unseal for every request.
///
/// Whoever changes a session [forgets](Self::forget) it afterwards. What was read before that and
/// arrives later is told by its [`Generation`] and not kept.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    generation: u64,
    sessions: HashMap<SessionId, Arc<SessionRecord>>,
}

/// A moment between two changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generation(u64);

impl Recent {
    /// The session, if it is held.
    pub(super) fn find(&self, id: &SessionId) -> Option<Arc<SessionRecord>> {
        self.held().sessions.get(id).cloned()
    }

    /// To be asked for before a session is read that is to be [kept](Self::keep).
    pub(super) fn generation(&self) -> Generation {
        Generation(self.held().generation)
    }

    /// Holds a session, unless something has changed since it was read.
    pub(super) fn keep(&self, read: Generation, session: &Arc<SessionRecord>) {
        let mut held = self.held();
        if held.generation != read.0 {
            return;
        }
        if held.sessions.len() >= MAX_SESSIONS {
            held.sessions.clear();
        }
        held.sessions
            .insert(session.id.clone(), Arc::clone(session));
    }

    /// Forgets sessions whose rows have changed.
    pub(super) fn forget<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        let mut held = self.held();
        held.generation = held.generation.wrapping_add(1);
        for id in ids {
            if let Some(id) = SessionId::parse(id) {
                held.sessions.remove(&id);
            }
        }
    }

    /// Forgets every session.
    pub(super) fn forget_all(&self) {
        let mut held = self.held();
        held.generation = held.generation.wrapping_add(1);
        held.sessions.clear();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every operation leaves the map whole, so a panic elsewhere does not matter to it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::record;

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let recent = Recent::default();
        let session = Arc::new(record(1, "alice", 10));
        let before = recent.generation();
        recent.keep(before, &session);
        assert!(recent.find(&session.id).is_some());
        recent.forget([session.id.as_str()]);
        assert!(recent.find(&session.id).is_none());
        recent.keep(before, &session);
        assert!(recent.find(&session.id).is_none());
        recent.keep(recent.generation(), &session);
        assert!(recent.find(&session.id).is_some());
    }
}
