//! Sessions in this process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatepost_session::{NumericDate, SessionId};

use super::sealed::is_in;
use super::{
    Ended, Ending, Outcome, RenewalLock, Selection, SessionRecord, SessionStore, StoreUnavailable,
};
use crate::revocation::Revocation;

/// Sessions in this process: a restart ends them all, and replicas do not share them.
#[derive(Debug)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Kept {
    sessions: HashMap<SessionId, Arc<SessionRecord>>,
    revocations: BTreeSet<Revocation>,
    revision: u64,
    used: BTreeMap<String, NumericDate>,
}

impl MemoryStore {
    /// A store that keeps at most `capacity` sessions.
    pub fn new(capacity: usize) -> Self {
        Self {
            kept: Mutex::default(),
            capacity: capacity.max(1),
        }
    }

    /// Revokes what a process before this one may have kept.
    #[must_use]
    pub fn having_lost(self, lost: Revocation) -> Self {
        self.kept().revoke(&[lost]);
        self
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every operation leaves the maps whole, so a panic elsewhere does not matter to them.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn revoke(&mut self, revocations: &[Revocation]) {
        if !revocations.is_empty() {
            self.revocations.extend(revocations.iter().cloned());
            self.revision += 1;
        }
    }
}

fn ended(record: &SessionRecord) -> Ended {
    Ended {
        id: record.id.clone(),
        window_ends: record.window_ends,
    }
}

#[async_trait::async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        let kept = &mut *self.kept();
        let count = kept.sessions.len();
        if count >= self.capacity {
            // A tenth at once, so that a full store is not searched at every sign-in.
            let mut by_use: Vec<(NumericDate, SessionId)> = kept
                .sessions
                .values()
                .map(|kept| (kept.last_seen, kept.id.clone()))
                .collect();
            by_use.sort_unstable();
            let surplus = (self.capacity / 10).max(1) + count - self.capacity;
            for (_, id) in by_use.into_iter().take(surplus) {
                let pushed_out = kept.sessions.remove(&id).map(|record| ended(&record));
                let revocation = pushed_out.and_then(|ended| ended.revocation(record.last_seen));
                kept.revoke(revocation.as_slice());
            }
            tracing::warn!(
                capacity = self.capacity,
                "session store full: ended the idlest"
            );
        }
        kept.sessions.insert(record.id.clone(), Arc::new(record));
        Ok(())
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        Ok(self.kept().sessions.get(id).cloned())
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let kept = &mut *self.kept();
        let record = kept.sessions.get_mut(id).map(Arc::make_mut);
        Ok(record.is_some_and(|record| {
            record.last_seen = record.last_seen.max(now);
            record.window_ends = record.window_ends.max(window_ends);
            true
        }))
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        Ok(match self.kept().sessions.get_mut(&record.id) {
            Some(kept) => {
                *kept = Arc::new(SessionRecord {
                    last_seen: kept.last_seen.max(record.last_seen),
                    window_ends: kept.window_ends.max(record.window_ends),
                    ..record
                });
                true
            }
            None => false,
        })
    }

    async fn end(&self, ending: &Ending) -> Result<Outcome, StoreUnavailable> {
        let kept = &mut *self.kept();
        let removed: Vec<Arc<SessionRecord>> = match &ending.which {
            Selection::Session(id) => kept.sessions.remove(id).into_iter().collect(),
            which => kept
                .sessions
                .extract_if(|_, record| is_in(record, which) && ending.means(record))
                .map(|(_, record)| record)
                .collect(),
        };
        let ended: Vec<Ended> = removed.iter().map(|record| ended(record)).collect();
        let revocations = ending.revocations(&ended);
        kept.revoke(&revocations);
        Ok(Outcome { ended, revocations })
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        Ok(self.kept().sessions.values().take(limit).cloned().collect())
    }

    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable> {
        let kept = &mut *self.kept();
        kept.sessions
            .retain(|_, record| now < record.ends_if_idle(idle));
        kept.revocations
            .retain(|revocation| now < revocation.until());
        kept.used.retain(|_, expires| now < *expires);
        Ok(kept.sessions.len())
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        self.kept().revoke(revocations);
        Ok(())
    }

    async fn revocations_revision(&self) -> Result<u64, StoreUnavailable> {
        Ok(self.kept().revision)
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        let kept = self.kept();
        let live = kept.revocations.iter().filter(|r| now < r.until());
        Ok(live.cloned().collect())
    }

    async fn was_used(&self, what: &str, now: NumericDate) -> Result<bool, StoreUnavailable> {
        let kept = self.kept();
        Ok(kept.used.get(what).is_some_and(|expires| *expires > now))
    }

    async fn use_once(
        &self,
        what: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let used = &mut self.kept().used;
        let before = used.insert(what.to_owned(), expires);
        Ok(before.is_none_or(|expired| expired <= now))
    }

    async fn check(&self, _now: NumericDate) -> Result<(), StoreUnavailable> {
        Ok(())
    }

    async fn lock(&self, _lock: &RenewalLock) -> Result<bool, StoreUnavailable> {
        // There is no other process.
        Ok(true)
    }

    async fn unlock(&self, _lock: &RenewalLock) -> Result<(), StoreUnavailable> {
        Ok(())
    }
}
