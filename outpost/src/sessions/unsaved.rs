//! Renewed sessions that the store could not save.
//!
//! A provider that issues a new refresh token revokes the old one, and some end the session when
//! the old one is used again (RFC 9700 §4.14.2). So a session that the store cannot save waits
//! here, and until it is saved this replica asks no provider with the old token. Another replica
//! may: the two share nothing but the store. What it saves is later, and is not replaced.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use gatepost_session::{NumericDate, SessionId};

use gatepost_base::Clock;
use gatepost_store::{SessionRecord, Store, StoreUnavailable};

/// How often to try.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The renewed sessions that the store has not saved yet.
#[derive(Debug, Default)]
pub(super) struct UnsavedSessions(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    sessions: HashMap<SessionId, Unsaved>,
    /// In the order in which they are tried. A task tries while there are any.
    order: VecDeque<SessionId>,
}

/// One of them, and when it ends in any case.
#[derive(Debug)]
struct Unsaved {
    slot: Slot,
    ends: NumericDate,
}

/// `None` when it is saved. One task at a time tries.
type Slot = Arc<tokio::sync::Mutex<Option<SessionRecord>>>;

impl Waiting {
    /// Forgets the sessions that are over.
    fn forget_ended(&mut self, now: NumericDate) {
        self.sessions.retain(|_, unsaved| now < unsaved.ends);
    }

    /// Returns the next session to try, if any is left.
    fn next(&mut self) -> Option<SessionId> {
        while let Some(id) = self.order.front() {
            if self.sessions.contains_key(id) {
                return Some(id.clone());
            }
            self.order.pop_front();
        }
        None
    }
}

impl UnsavedSessions {
    /// Saves a session as soon as the store takes it, for as long as it may last.
    pub(super) fn save_later(
        self: &Arc<Self>,
        renewed: SessionRecord,
        store: Arc<dyn Store>,
        clock: Clock,
    ) {
        tracing::warn!("a renewed session cannot be saved now: it will be when the store is back");
        let (id, ends) = (renewed.id.clone(), renewed.ends);
        let slot: Slot = Arc::new(tokio::sync::Mutex::new(Some(renewed)));
        let mut waiting = self.waiting();
        let is_tried = !waiting.order.is_empty();
        let unsaved = Unsaved { slot, ends };
        if waiting.sessions.insert(id.clone(), unsaved).is_none() {
            waiting.order.push_back(id);
        }
        if !is_tried {
            tokio::spawn(Self::save_all(Arc::downgrade(self), store, clock));
        }
    }

    /// Tries again and again to save the sessions, until none is left.
    async fn save_all(unsaved: Weak<Self>, store: Arc<dyn Store>, clock: Clock) {
        loop {
            tokio::time::sleep(TRY_EVERY).await;
            let Some(unsaved) = unsaved.upgrade() else {
                return;
            };
            unsaved.waiting().forget_ended(clock.now());
            loop {
                let next = unsaved.waiting().next();
                let Some(id) = next else {
                    return;
                };
                if unsaved.settle(&id, &*store).await.is_err() {
                    // Tried last the next time, so that one that always fails does not block the others.
                    unsaved.waiting().order.rotate_left(1);
                    break;
                }
            }
        }
    }

    /// Saves the changes of a session that the store could not save before, if there are any.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`], and then the provider must not be asked with the tokens in the store.
    pub(super) async fn settle(
        &self,
        id: &SessionId,
        store: &dyn Store,
    ) -> Result<(), StoreUnavailable> {
        let slot = {
            let waiting = self.waiting();
            waiting.sessions.get(id).map(|own| Arc::clone(&own.slot))
        };
        let Some(slot) = slot else {
            return Ok(());
        };
        let mut renewed = slot.lock().await;
        if let Some(record) = renewed.as_ref() {
            // A session that has ended meanwhile needs nothing more.
            store.update(record.clone()).await?;
            *renewed = None;
        }
        let sessions = &mut self.waiting().sessions;
        let is_same = |own: &Unsaved| Arc::ptr_eq(&own.slot, &slot);
        if sessions.get(id).is_some_and(is_same) {
            sessions.remove(id);
        }
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
