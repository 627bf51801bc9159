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
        // Those whose sessions are ended by their id. Whatever was made by now is refused for its
        // time where a person's sessions end, or everyone's. But a cookie that was made in this
        // very second, after another ending in it, bears the next one.
        let (named_from, as_of_now) = match which {
            Selection::Session(_) | Selection::ProviderSession { .. } => (now, None),
            Selection::Subject { issuer, subject } => (
                now.plus_seconds(times.window),
                Some(Revocation::Subject {
                    issuer: issuer.clone(),
                    subject: subject.clone(),
                    at: now,
                    until: last_window,
                }),
            ),
            Selection::Everyone => (
                now.plus_seconds(times.window),
                Some(Revocation::Everyone {
                    at: now,
                    until: last_window,
                }),
            ),
        };
        let named = removed
            .iter()
            .filter(|record| named_from < record.window_ends)
            .map(|record| Revocation::Session {
                id: record.id.to_string(),
                until: record.window_ends,
            });
        let revocations: Vec<Revocation> = as_of_now.into_iter().chain(named).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Identity, MemoryStore, Secret, SessionRecord};
    use gatepost_session::SessionId;

    fn record(id: &SessionId, issued: NumericDate, times: &SessionTimes) -> SessionRecord {
        SessionRecord {
            id: id.clone(),
            audience: "wiki".into(),
            identity: Identity {
                issuer: "https://id.example.com".into(),
                subject: "alice".into(),
                ..Identity::default()
            },
            provider_session: None,
            refresh_token: None,
            id_token: Secret::new(String::new()),
            created: issued,
            confirmed: issued,
            last_seen: issued,
            window_ends: issued.plus_seconds(times.window),
            ends: issued.plus_seconds(times.lifetime),
        }
    }

    /// Whoever signs in in the second in which they were signed out has a cookie of the next one.
    #[tokio::test]
    async fn two_endings_in_a_second_end_what_began_between_them() {
        let now = NumericDate::from_seconds(1_800_000_000);
        let times = SessionTimes {
            window: 900,
            renew_after: 600,
            refresh_after: 600,
            grace: 0,
            idle: 8 * 3_600,
            lifetime: 24 * 3_600,
            token_age: 0,
        };
        let subject = Selection::Subject {
            issuer: "https://id.example.com".into(),
            subject: "alice".into(),
        };
        for which in [subject, Selection::Everyone] {
            let store = Arc::new(MemoryStore::new(10));
            let endings = Endings::new(Arc::clone(&store) as _, Clock::new(move || now));
            endings.end(&which, &times).await.expect("ended");
            let (id, issued) = (SessionId::from_random([1; 24]), now.plus_seconds(1));
            let between = record(&id, issued, &times);
            let identity = between.identity.clone();
            let window_ends = between.window_ends;
            let claims = identity.into_claims("wiki".into(), id, issued, window_ends, window_ends);
            store.insert(between).await.expect("kept");
            assert!(!endings.revocations().refuses(&claims), "{which:?}");
            endings.end(&which, &times).await.expect("ended");
            assert!(endings.revocations().refuses(&claims), "{which:?}");
        }
    }
}
