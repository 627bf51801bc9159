//! A cache of unsealed sessions in front of a file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatepost_session::SessionId;

use crate::SessionRecord;

/// The most sessions in the cache. One page of an application causes dozens of requests with one
/// session, so a few sessions receive most requests.
const MAX_SESSIONS: usize = 1_024;

/// Sessions that need not be read and unsealed again for each request. It serves a store that has
/// its file to itself.
///
/// A writer [invalidates](Self::invalidate) a session after each change. A reader that read the
/// session before the change and inserts it afterwards has an older [`Generation`], so the cache
/// rejects it.
#[derive(Debug, Default)]
pub(crate) struct SessionCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    generation: u64,
    sessions: HashMap<SessionId, Arc<SessionRecord>>,
}

/// A time between two changes of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generation(u64);

impl SessionCache {
    /// Returns the session, if it is in the cache.
    pub(crate) fn get(&self, id: &SessionId) -> Option<Arc<SessionRecord>> {
        self.entries().sessions.get(id).cloned()
    }

    /// Returns the generation, which a reader takes before it reads a session to
    /// [insert](Self::insert).
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.entries().generation)
    }

    /// Inserts a session, unless the file changed since it was read.
    pub(crate) fn insert(&self, read_at: Generation, session: &Arc<SessionRecord>) {
        let mut entries = self.entries();
        if entries.generation != read_at.0 {
            return;
        }
        if entries.sessions.len() >= MAX_SESSIONS {
            entries.sessions.clear();
        }
        entries
            .sessions
            .insert(session.id.clone(), Arc::clone(session));
    }

    /// Removes sessions whose rows changed.
    pub(crate) fn invalidate<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        let mut entries = self.entries();
        entries.generation = entries.generation.wrapping_add(1);
        for id in ids {
            if let Some(id) = SessionId::parse(id) {
                entries.sessions.remove(&id);
            }
        }
    }

    /// Removes every session.
    pub(crate) fn clear(&self) {
        let mut entries = self.entries();
        entries.generation = entries.generation.wrapping_add(1);
        entries.sessions.clear();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Each operation leaves the map consistent, so a panic elsewhere does not affect it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::record;

    #[test]
    fn a_session_that_was_read_before_a_change_is_not_inserted_after_it() {
        let cache = SessionCache::default();
        let session = Arc::new(record(1, "alice", 10));
        let before = cache.generation();
        cache.insert(before, &session);
        assert!(cache.get(&session.id).is_some());
        cache.invalidate([session.id.expose()]);
        assert!(cache.get(&session.id).is_none());
        cache.insert(before, &session);
        assert!(cache.get(&session.id).is_none());
        cache.insert(cache.generation(), &session);
        assert!(cache.get(&session.id).is_some());
    }
}
