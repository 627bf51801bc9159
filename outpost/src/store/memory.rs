//! Sessions in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatepost_session::{NumericDate, SessionId};

use super::{SessionRecord, SessionStore, StoreUnavailable};
use crate::config::SessionTimes;

/// Sessions in this process: a restart ends them all, and replicas do not share them.
#[derive(Debug)]
pub struct MemoryStore {
    sessions: Mutex<HashMap<SessionId, Arc<SessionRecord>>>,
    capacity: usize,
}

impl MemoryStore {
    /// A store that keeps at most `capacity` sessions.
    pub fn new(capacity: usize) -> Self {
        Self {
            sessions: Mutex::default(),
            capacity: capacity.max(1),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<SessionRecord>>> {
        // Every operation leaves the map whole, so a panic elsewhere does not matter to it.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        let mut sessions = self.sessions();
        if sessions.len() >= self.capacity {
            // A tenth at once, so that a full store is not searched at every sign-in.
            let mut by_use: Vec<(NumericDate, SessionId)> = sessions
                .values()
                .map(|kept| (kept.last_seen, kept.id.clone()))
                .collect();
            by_use.sort_unstable();
            let surplus = (self.capacity / 10).max(1) + sessions.len() - self.capacity;
            for (_, id) in by_use.into_iter().take(surplus) {
                sessions.remove(&id);
            }
            tracing::warn!(
                capacity = self.capacity,
                "session store full: dropped the idlest"
            );
        }
        sessions.insert(record.id.clone(), Arc::new(record));
        Ok(())
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        Ok(self.sessions().get(id).cloned())
    }

    async fn touch(&self, id: &SessionId, now: NumericDate) -> Result<(), StoreUnavailable> {
        if let Some(record) = self.sessions().get_mut(id) {
            let last_seen = record.last_seen.max(now);
            Arc::make_mut(record).last_seen = last_seen;
        }
        Ok(())
    }

    async fn remove(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        Ok(self.sessions().remove(id))
    }

    async fn sweep(
        &self,
        now: NumericDate,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let mut sessions = self.sessions();
        sessions.retain(|_, record| now < record.ends_if_idle(times));
        Ok(sessions.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Identity, Secret};

    fn record(number: u8, last_seen: u64) -> SessionRecord {
        SessionRecord {
            id: SessionId::from_random([number; 24]),
            audience: "wiki".into(),
            identity: Identity::default(),
            provider_session: None,
            refresh_token: None,
            id_token: Secret::new("id".into()),
            created: NumericDate::from_seconds(0),
            last_seen: NumericDate::from_seconds(last_seen),
            ends: NumericDate::from_seconds(1_000),
        }
    }

    #[tokio::test]
    async fn a_full_store_drops_the_session_unused_for_longest() {
        let store = MemoryStore::new(3);
        for (number, seen) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            store.insert(record(number, seen)).await.expect("kept");
        }
        for (number, kept) in [(1, true), (2, false), (3, true), (4, true)] {
            let found = store
                .find(&SessionId::from_random([number; 24]))
                .await
                .expect("asked");
            assert_eq!(found.is_some(), kept, "{number}");
        }
    }

    #[tokio::test]
    async fn sweeping_drops_idle_and_ended_sessions() {
        let times = SessionTimes {
            window: 1,
            renew_after: 1,
            idle: 100,
            lifetime: 1_000,
        };
        let store = MemoryStore::new(10);
        store.insert(record(1, 10)).await.expect("kept");
        store.insert(record(2, 50)).await.expect("kept");
        let at = NumericDate::from_seconds;
        assert_eq!(store.sweep(at(109), &times).await.expect("swept"), 2);
        assert_eq!(store.sweep(at(110), &times).await.expect("swept"), 1);
        store
            .touch(&SessionId::from_random([2; 24]), at(149))
            .await
            .expect("touched");
        assert_eq!(store.sweep(at(248), &times).await.expect("swept"), 1);
        assert_eq!(store.sweep(at(1_000), &times).await.expect("swept"), 0);
    }

    #[test]
    fn no_debug_output_shows_a_token() {
        let mut kept = record(1, 0);
        kept.refresh_token = Some(Secret::new("refresh-me".into()));
        let debug = format!("{kept:?}");
        assert!(
            !debug.contains("refresh-me") && debug.contains("redacted"),
            "{debug}"
        );
    }
}
