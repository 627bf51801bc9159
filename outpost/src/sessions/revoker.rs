//! Revokes sessions, and informs other replicas and proxies.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use gatepost_session::{Authentic, CLOCK_SKEW_SECONDS, Claims, NumericDate};
use tokio::sync::Notify;

use super::recent_revocations::{Mark, RecentRevocations};
use crate::session_times::SessionTimes;
use crate::sign_in_flow::LIFETIME_SECONDS;
use gatepost_base::Clock;
use gatepost_base::contained::contained;
use gatepost_base::files::Readable;
use gatepost_store::{
    ApiKeyId, EndOutcome, EndRequest, SessionRecord, SessionSelector, Store, StoreUnavailable,
};
use gatepost_store::{Revocation, RevocationList};

/// How often to look for revocations by other replicas.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The shortest time between two writes of the file: many sessions that end together are one
/// change.
const WRITE_EVERY: Duration = Duration::from_millis(200);

/// The most revocations that wait for a store that is unreachable.
const MAX_PENDING: usize = 10_000;

/// A file in which plugins read which sessions were revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Who may read it.
    pub readable: Readable,
}

/// Revokes sessions: ends them before their time.
#[derive(Debug)]
pub struct Revoker {
    store: Arc<dyn Store>,
    clock: Clock,
    revocations: RevocationList,
    recent: RecentRevocations,
    /// What could not be done while the store was unreachable.
    pending: Mutex<VecDeque<EndRequest>>,
    changed: Notify,
    /// The revision of the store's log that was read last. One task reads at a time.
    seen: tokio::sync::Mutex<Option<u64>>,
}

impl Revoker {
    /// Returns what revokes the sessions of this store.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self {
            store,
            clock,
            revocations: RevocationList::default(),
            recent: RecentRevocations::default(),
            pending: Mutex::default(),
            changed: Notify::new(),
            seen: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the revocations of sessions whose cookies may still be in their window.
    pub fn revocations(&self) -> &RevocationList {
        &self.revocations
    }

    /// Returns the time of a sign-in that begins now: after that of each revocation that is known, so
    /// that none of the same second concerns it, nor one by a replica whose clock is a little ahead.
    pub fn sign_in_begins(&self) -> NumericDate {
        let now = self.clock.now();
        let latest = now.plus_seconds(CLOCK_SKEW_SECONDS);
        let last = self.revocations.last_revoked_at();
        let last = last.filter(|at| *at <= latest);
        last.map_or(now, |at| now.max(at.plus_seconds(1)))
    }

    /// Marks where the exchange of a code begins in the order of revocations, of a sign-in that `began`
    /// then: see [`Self::concern`].
    pub async fn mark(&self, began: NumericDate) -> Mark {
        // What other replicas have revoked before is not taken for later. If the store cannot say, the
        // sign-in may be refused for it.
        if let Err(error) = self.look().await {
            tracing::debug!(%error, "a sign-in begins without the revocations of other replicas");
        }
        self.recent.mark(began)
    }

    /// Returns whether a session that has just been stored was revoked since its sign-in began, here
    /// or by another replica.
    ///
    /// A revocation is remembered, and is in the log, before sessions are searched for it. So it is
    /// seen here, or it finds the session there. One from before the exchange of the code may have
    /// ended what the code is of, at the provider: it counts while the list has it, which is at least
    /// as long as a sign-in lasts.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`], and then that is unknown.
    pub async fn concern(
        &self,
        record: &SessionRecord,
        since: Mark,
    ) -> Result<bool, StoreUnavailable> {
        self.look().await?;
        let is_named = self.revocations.session_revoked_until(&record.id).is_some();
        let revoked = self.revocations.sign_ins_revoked_at(record);
        let is_of_before = revoked.is_some_and(|at| since.began <= at);
        Ok(is_named || is_of_before || self.is_over(record) || self.recent.concern(record, since))
    }

    /// Returns whether a session began before all sessions among which it is were revoked, and so
    /// should no longer be in the store.
    pub fn is_over(&self, record: &SessionRecord) -> bool {
        let revoked = self.revocations.revoked_at(record);
        revoked.is_some_and(|at| record.created <= at)
    }

    /// Revokes sessions, and returns how many there were.
    ///
    /// A subject's sessions, or all sessions, are revoked as of now also where the store does not
    /// know them: every cookie that was signed before is refused. So is the one session whose id is
    /// named.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`]; then this replica refuses the sessions that it can without the store,
    /// and revokes the rest when the store is back.
    pub async fn revoke(
        self: &Arc<Self>,
        which: &SessionSelector,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let unknown_until = match which {
            SessionSelector::Id(id) => {
                // The same entry again where there is one: asking often does not lengthen the list.
                let known = self.revocations.session_revoked_until(id);
                Some(known.unwrap_or_else(|| self.clock.now().plus_seconds(times.window)))
            }
            _ => None,
        };
        self.request(which.clone(), unknown_until, times).await
    }

    /// Revokes the sessions that any of these selects, in their order and whatever becomes of those
    /// before, and returns how many there were.
    ///
    /// # Errors
    ///
    /// The first of [`Self::revoke`].
    pub async fn revoke_each(
        self: &Arc<Self>,
        which: Vec<SessionSelector>,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let (mut revoked, mut failed) = (0, None);
        for which in which {
            match self.revoke(&which, times).await {
                Ok(count) => revoked += count,
                // What fails now is done when the store is back, and so is the rest.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(revoked), Err)
    }

    /// Revokes the session of an authentic cookie, and returns how many there were in the store.
    /// The cookie itself says that there is a session: it is revoked whatever the store knows of
    /// it. `lifetime` is how long sessions of its application may last.
    ///
    /// # Errors
    ///
    /// As [`Self::revoke`].
    pub async fn revoke_cookie(
        self: &Arc<Self>,
        cookie: &Authentic,
        lifetime: u64,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let Claims { sid, iat, exp, .. } = cookie.claims_at_issue();
        let now = self.clock.now();
        // The store may have forgotten a session that has a later cookie than this one.
        let may_be_believed = now < iat.plus_seconds(lifetime).max(*exp);
        let unknown_until = may_be_believed.then(|| {
            let known = self.revocations.session_revoked_until(sid);
            known
                .filter(|until| exp <= until)
                .unwrap_or_else(|| now.plus_seconds(times.window).max(*exp))
        });
        let which = SessionSelector::Id(sid.clone());
        self.request(which, unknown_until, times).await
    }

    /// Revokes an API key whose time ends then, if not earlier, and removes it from the store. The
    /// revocation comes first: a store that loses its last writes, such as a Redis after a failover, has
    /// the key again, and gets its revocation back from the replicas.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`]: the key may be in force, or may come back.
    pub async fn revoke_api_key(
        &self,
        id: &ApiKeyId,
        until: NumericDate,
    ) -> Result<(), StoreUnavailable> {
        let revocation = Revocation::ApiKey {
            id: id.to_string(),
            until,
        };
        let revoke = || self.store.revoke(std::slice::from_ref(&revocation));
        // The answer to the first may have been lost: both may be repeated.
        if revoke().await.is_err() {
            revoke().await?;
        }
        self.revocations.add([revocation.clone()]);
        self.changed.notify_one();
        let removed = self.store.remove_api_key(id).await;
        // The answer may have been lost, so what is there decides.
        if removed.is_err() && self.store.find_api_key(id).await?.is_some() {
            self.store.remove_api_key(id).await?;
        }
        Ok(())
    }

    async fn request(
        self: &Arc<Self>,
        which: SessionSelector,
        unknown_until: Option<NumericDate>,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let now = self.clock.now();
        self.recent.remember(&which, now);
        let request = EndRequest {
            selector: which,
            requested_at: now,
            delayed: false,
            window: times.window,
            // The token of a machine client may be valid for longer.
            credential_lifetime: times.window.max(times.token_age),
            sign_in: LIFETIME_SECONDS.into(),
            unknown_until,
        };
        let revoker = Arc::clone(self);
        // In a task of its own, so that it finishes even when the client disconnects.
        match tokio::spawn(async move { revoker.carry_out(request).await }).await {
            Ok(outcome) => outcome,
            // After a panic, at which the hook of `contained` ends the process.
            Err(error) => Err(StoreUnavailable::new(error)),
        }
    }

    /// Has the store end sessions. A panic there counts as a store that is away, so that the
    /// revocation is not lost.
    async fn end(&self, request: &EndRequest) -> Result<EndOutcome, StoreUnavailable> {
        let ended = contained(self.store.end(request)).await;
        ended.unwrap_or_else(|panicked| Err(StoreUnavailable::new(panicked)))
    }

    async fn carry_out(&self, request: EndRequest) -> Result<usize, StoreUnavailable> {
        let (ended, revocations) = match self.end(&request).await {
            Ok(EndOutcome { ended, revocations }) => (Ok(ended.len()), revocations),
            Err(error) => {
                // This replica knows the revocations immediately, whatever the store has done.
                let revocations = request.revocations(&[]);
                self.postpone(request);
                (Err(error), revocations)
            }
        };
        if !revocations.is_empty() {
            self.revocations.add(revocations);
            self.changed.notify_one();
        }
        ended
    }

    /// Leaves a request to [`Self::catch_up`].
    fn postpone(&self, request: EndRequest) {
        let mut pending = self.pending();
        if let Some(known) = pending
            .iter_mut()
            .find(|known| known.selector == request.selector)
        {
            // Sessions that began since the first request are meant by this one.
            known.requested_at = known.requested_at.max(request.requested_at);
            known.unknown_until = known.unknown_until.max(request.unknown_until);
            return;
        }
        if pending.len() >= MAX_PENDING {
            tracing::error!("too many revocations wait for the store: one is dropped");
            pending.pop_front();
        }
        pending.push_back(EndRequest {
            delayed: true,
            ..request
        });
    }

    fn pending(&self) -> MutexGuard<'_, VecDeque<EndRequest>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the revocations of other replicas, and keeps the files current. Runs until the
    /// revoker is dropped. `files` returns the files that are to be written; `note` learns of each
    /// whether it could be.
    pub async fn follow(
        revoker: Weak<Self>,
        files: impl Fn() -> Vec<RevokedFile>,
        note: impl Fn(&Path, bool),
    ) {
        let mut reachable = true;
        let mut unwritten = BTreeSet::new();
        loop {
            let Some(revoker) = revoker.upgrade() else {
                return;
            };
            let caught_up = revoker.catch_up().await;
            if let Err(error) = &caught_up
                && reachable
            {
                tracing::warn!(%error, "cannot read the revocations of other replicas");
            }
            reachable = caught_up.is_ok();
            // Not before the store has been read once: a process that has just started would
            // replace the file with a shorter one.
            let has_looked = revoker.seen.lock().await.is_some();
            let files = if has_looked { files() } else { Vec::new() };
            let mut failed = BTreeSet::new();
            for file in files {
                let path = file.path.clone();
                let published = revoker.publish(file).await;
                note(&path, published.is_ok());
                let Err(error) = published else {
                    continue;
                };
                if !unwritten.contains(&path) {
                    tracing::error!(
                        path = %path.display(), %error,
                        "cannot write the list of revoked sessions: plugins accept them to the end \
                         of their windows"
                    );
                }
                failed.insert(path);
            }
            unwritten = failed;
            tokio::time::sleep(WRITE_EVERY).await;
            // A notification while no task waits is not lost.
            let _ = tokio::time::timeout(LOOK_EVERY, revoker.changed.notified()).await;
        }
    }

    /// Has [`Self::follow`] look soon which files are to be written.
    pub fn look_at_files(&self) {
        self.changed.notify_one();
    }

    /// Writes a file, on a thread that may wait for the disk.
    async fn publish(self: &Arc<Self>, file: RevokedFile) -> std::io::Result<()> {
        let revoker = Arc::clone(self);
        let write = move || {
            let written = revoker
                .revocations
                .write_if_changed(&file.path, file.readable);
            written.map(drop)
        };
        let written = tokio::task::spawn_blocking(write).await;
        // After a panic, at which the hook of `contained` ends the process.
        written.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    /// Takes over the revocations of other replicas since the last call, and carries out those that
    /// had to wait. A failure of the one does not keep it from the other.
    async fn catch_up(&self) -> Result<(), StoreUnavailable> {
        self.revocations.remove_expired(self.clock.now());
        let looked = self.look().await;
        self.carry_out_pending().await?;
        looked
    }

    /// Carries out the requests that had to wait.
    async fn carry_out_pending(&self) -> Result<(), StoreUnavailable> {
        loop {
            let Some(request) = self.pending().front().cloned() else {
                return Ok(());
            };
            let EndOutcome { ended, revocations } = match self.end(&request).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    // The failed request is the last one the next time, so that it does not block the others.
                    self.pending().rotate_left(1);
                    return Err(error);
                }
            };
            tracing::info!(
                ended = ended.len(),
                "revoked the sessions that could not be revoked while the store was unreachable"
            );
            self.revocations.add(revocations);
            self.pending().retain(|pending| *pending != request);
        }
    }

    /// Takes over what other replicas have revoked since the last look.
    async fn look(&self) -> Result<(), StoreUnavailable> {
        let mut seen = self.seen.lock().await;
        let revision = self.store.revocation_revision().await?;
        if *seen == Some(revision) {
            return Ok(());
        }
        let now = self.clock.now();
        let revocations = self.store.revocations(now).await?;
        // A store that lost its data has lost the log as well. This replica still knows it, also what
        // concerns tokens that no loss of sessions revokes.
        let forgotten = self.revocations.missing_in(&revocations, now);
        for revocation in revocations
            .iter()
            .filter(|own| !self.revocations.contains(own))
        {
            self.remember_of_others(revocation, now);
        }
        self.revocations.add(revocations);
        if !forgotten.is_empty() {
            self.store.revoke(&forgotten).await?;
        }
        *seen = Some(revision);
        Ok(())
    }

    /// Remembers a revocation of another replica.
    fn remember_of_others(&self, revocation: &Revocation, now: NumericDate) {
        // The time says it of what a store has lost.
        if !matches!(revocation, Revocation::Lost { .. })
            && let Some(which) = revocation.selector()
        {
            self.recent.remember(&which, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatepost_base::{Identity, Secret};
    use gatepost_session::SessionId;
    use gatepost_store::{
        InstrumentedStore, MemoryStore, Observer, Operation, SessionRecord, SessionStore as _,
    };

    const TIMES: SessionTimes = SessionTimes {
        window: 900,
        renew_after: 300,
        prove_after: 600,
        refresh_after: 600,
        grace: 0,
        idle: 8 * 3_600,
        lifetime: 24 * 3_600,
        token_age: 0,
    };

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
            access_token: None,
            id_token: Secret::new(String::new()),
            device: None,
            created: issued,
            last_validated: issued,
            last_seen: issued,
            window_ends: issued.plus_seconds(times.window),
            ends: issued.plus_seconds(times.lifetime),
        }
    }

    /// Row B1: a second revocation while the store is unreachable also ends the sessions that began
    /// since the first.
    #[test]
    fn a_repeated_request_counts_from_the_later_time() {
        let clock = Clock::new(|| NumericDate::from_seconds(0));
        let revoker = Revoker::new(Arc::new(MemoryStore::new(10)), clock);
        for asked in [100, 200, 150] {
            revoker.postpone(EndRequest {
                selector: SessionSelector::All,
                requested_at: NumericDate::from_seconds(asked),
                delayed: false,
                window: 900,
                credential_lifetime: 900,
                sign_in: 0,
                unknown_until: None,
            });
        }
        let pending: Vec<u64> = revoker
            .pending()
            .iter()
            .map(|ending| ending.requested_at.as_seconds())
            .collect();
        assert_eq!(pending, [200]);
    }

    /// Panics in the operation that ends sessions.
    #[derive(Debug)]
    struct Panics;

    impl Observer for Panics {
        fn span(&self, operation: Operation) -> tracing::Span {
            assert_ne!(operation, Operation::End, "made up");
            tracing::Span::none()
        }

        fn completed(&self, _: Operation, _: &tracing::Span, _: Duration, _: bool) {}

        fn session_count(&self, _: usize) {}
    }

    /// A sign-out at which the store panics is a sign-out: here at once, elsewhere later.
    #[tokio::test]
    async fn a_panic_of_the_store_loses_no_revocation() {
        let now = NumericDate::from_seconds(1_800_000_000);
        let store = InstrumentedStore::new(Arc::new(MemoryStore::new(10)), Panics);
        let revoker = Revoker::new(Arc::new(store), Clock::new(move || now));
        let revoker = Arc::new(revoker);
        let revoked = revoker.revoke(&SessionSelector::All, &TIMES).await;
        revoked.expect_err("the store has panicked");
        assert_eq!(revoker.pending().len(), 1);
        let (id, issued) = (SessionId::from_random([1; 24]), now);
        let before = record(&id, issued, &TIMES);
        let ends = before.window_ends;
        let claims = before
            .identity
            .into_claims("wiki".into(), id, issued, ends, ends);
        assert!(revoker.revocations().is_revoked(&claims));
    }

    /// A user who signs in in the second of the sign-out gets a cookie of the next second.
    #[tokio::test]
    async fn two_revocations_in_a_second_end_a_session_that_began_between_them() {
        let now = NumericDate::from_seconds(1_800_000_000);
        let times = TIMES;
        let subject = SessionSelector::Subject {
            issuer: "https://id.example.com".into(),
            subject: "alice".into(),
        };
        for which in [subject, SessionSelector::All] {
            let store = Arc::new(MemoryStore::new(10));
            let revoker = Arc::new(Revoker::new(
                Arc::clone(&store) as _,
                Clock::new(move || now),
            ));
            revoker.revoke(&which, &times).await.expect("ended");
            let (id, issued) = (SessionId::from_random([1; 24]), now.plus_seconds(1));
            let between = record(&id, issued, &times);
            let identity = between.identity.clone();
            let window_ends = between.window_ends;
            let claims = identity.into_claims("wiki".into(), id, issued, window_ends, window_ends);
            store.insert(between).await.expect("stored");
            assert!(!revoker.revocations().is_revoked(&claims), "{which:?}");
            revoker.revoke(&which, &times).await.expect("ended");
            assert!(revoker.revocations().is_revoked(&claims), "{which:?}");
        }
    }
}
