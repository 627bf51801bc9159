//! Ending sessions, and letting everyone know.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use gatepost_session::NumericDate;
use tokio::sync::Notify;

use crate::config::SessionTimes;
use crate::outpost::Clock;
use crate::revocation::{Revocation, Revocations};
use crate::store::{Selection, SessionStore, StoreUnavailable};

/// How often other replicas' revocations are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The shortest time between two writings of the file: many sessions that end at once are one
/// change of it.
const WRITE_EVERY: Duration = Duration::from_millis(200);

/// Ends sessions before their time.
#[derive(Debug)]
pub struct Endings {
    store: Arc<dyn SessionStore>,
    clock: Clock,
    revocations: Revocations,
    /// What the store could not be told, being away.
    untold: Mutex<Vec<Revocation>>,
    changed: Notify,
}

impl Endings {
    /// Ends the sessions of this store.
    pub fn new(store: Arc<dyn SessionStore>, clock: Clock) -> Self {
        Self {
            store,
            clock,
            revocations: Revocations::default(),
            untold: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// What has been ended and may still be believed in.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Ends sessions, and says how many there were.
    ///
    /// A person's sessions, or everyone's, are ended as of now also where the store does not know
    /// them: what was signed before is refused.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`]; then this replica refuses what it could find, and the others learn of
    /// it when the store is back.
    pub async fn end(
        &self,
        which: &Selection,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let now = self.clock.now();
        let removed = self.store.remove(which).await?;
        // The windows of today's length at least: what the store does not know may have one. A
        // program's token may be good for longer.
        let believed = times.window.max(times.token_age);
        let last_window = removed
            .iter()
            .map(|record| record.window_ends)
            .fold(now.plus_seconds(believed), NumericDate::max);
        let revocations: Vec<Revocation> = match which {
            Selection::Session(_) | Selection::ProviderSession { .. } => removed
                .iter()
                .filter(|record| now < record.window_ends)
                .map(|record| Revocation::Session {
                    id: record.id.to_string(),
                    until: record.window_ends,
                })
                .collect(),
            Selection::Subject { issuer, subject } => vec![Revocation::Subject {
                issuer: issuer.clone(),
                subject: subject.clone(),
                at: now,
                until: last_window,
            }],
            Selection::Everyone => vec![Revocation::Everyone {
                at: now,
                until: last_window,
            }],
        };
        if !revocations.is_empty() {
            self.revocations.add(revocations.iter().cloned());
            self.changed.notify_one();
            self.tell(revocations).await?;
        }
        Ok(removed.len())
    }

    /// Lets every replica know. What the store cannot be told now it is told by [`Self::catch_up`].
    async fn tell(&self, revocations: Vec<Revocation>) -> Result<(), StoreUnavailable> {
        let told = self.store.revoke(&revocations).await;
        if told.is_err() {
            self.untold().extend(revocations);
        }
        told
    }

    fn untold(&self) -> MutexGuard<'_, Vec<Revocation>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows what other replicas end, and keeps the file up to date. Runs until this is dropped.
    /// `file` says where the file is at the moment, if anywhere.
    pub async fn follow(endings: Weak<Self>, file: impl Fn() -> Option<PathBuf>) {
        let mut seen = None;
        let mut reachable = true;
        let mut writable = true;
        loop {
            let Some(endings) = endings.upgrade() else {
                return;
            };
            let caught_up = endings.catch_up(&mut seen).await;
            if let Err(error) = &caught_up
                && reachable
            {
                tracing::warn!(%error, "cannot learn what other replicas have ended");
            }
            reachable = caught_up.is_ok();
            if let Some(path) = file() {
                let written = endings.revocations.write_changes(&path);
                if let Err(error) = &written
                    && writable
                {
                    let path = path.display();
                    tracing::error!(
                        %path, %error,
                        "cannot write `revokedFile`: plugins let ended sessions run on to the end \
                         of their windows"
                    );
                }
                writable = written.is_ok();
            }
            tokio::time::sleep(WRITE_EVERY).await;
            // What is noted while nobody waits is not lost.
            let _ = tokio::time::timeout(LOOK_EVERY, endings.changed.notified()).await;
        }
    }

    /// Takes in what other replicas have ended since it was last looked at, and tells them what
    /// they could not be told.
    async fn catch_up(&self, seen: &mut Option<u64>) -> Result<(), StoreUnavailable> {
        let now = self.clock.now();
        self.revocations.forget_expired(now);
        let mut untold = std::mem::take(&mut *self.untold());
        untold.retain(|revocation| now < revocation.until());
        if !untold.is_empty() {
            self.tell(untold).await?;
        }
        let revision = self.store.revocations_revision().await?;
        if *seen != Some(revision) {
            self.revocations.add(self.store.revocations(now).await?);
            *seen = Some(revision);
        }
        Ok(())
    }
}
