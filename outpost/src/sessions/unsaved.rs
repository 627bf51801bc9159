//! Renewed sessions that the store could not save.
//!
//! A provider that issues a new refresh token revokes the old one, and some end the session when
//! the old one is used again (RFC 9700 §4.14.2). So a session that the store cannot save waits
//! here, and until it is saved this replica asks no provider with the old token. Another replica
//! may: the two share nothing but the store. What it saves is later, and is not replaced.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatepost_session::SessionId;

use gatepost_base::Clock;
use gatepost_store::{SessionRecord, Store, StoreUnavailable};

/// How often to try.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The renewed sessions that the store has not saved yet.
#[derive(Debug, Default)]
pub(super) struct UnsavedSessions(Mutex<HashMap<SessionId, Slot>>);

/// One of them; `None` when it is saved. One task at a time tries.
type Slot = Arc<tokio::sync::Mutex<Option<SessionRecord>>>;

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
        self.slots().insert(id.clone(), slot);
        let unsaved = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TRY_EVERY).await;
                let Some(unsaved) = unsaved.upgrade() else {
                    return;
                };
                if unsaved.settle(&id, &*store).await.is_ok() {
                    return;
                }
                if ends <= clock.now() {
                    unsaved.slots().remove(&id);
                    return;
                }
            }
        });
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
        let slot = self.slots().get(id).cloned();
        let Some(slot) = slot else {
            return Ok(());
        };
        let mut renewed = slot.lock().await;
        if let Some(record) = renewed.as_ref() {
            // A session that has ended meanwhile needs nothing more.
            store.update(record.clone()).await?;
            *renewed = None;
        }
        let mut slots = self.slots();
        if slots.get(id).is_some_and(|own| Arc::ptr_eq(own, &slot)) {
            slots.remove(id);
        }
        Ok(())
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<SessionId, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
