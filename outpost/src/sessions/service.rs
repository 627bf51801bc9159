//! The service that the endpoints use.

use std::sync::Arc;
use std::time::Duration;

use gatepost_policy::{Demand, Unauthenticated};
use gatepost_session::cookie::Candidates;
use gatepost_session::{Authentic, CLOCK_SKEW_SECONDS, Claims, NumericDate, SessionId};

use super::issue::{
    IssueError, Issued, Voucher, claims, issue_cookie, reduced, refused, window_end,
};
use super::recent_revocations::Mark;
use super::revalidation::access_token;
use super::revalidator::Revalidator;
use super::revoker::Revoker;
use crate::application::Application;
use crate::assertion::KnownGroups;
use crate::device_bound::Challenge;
use crate::session_times::SessionTimes;
use gatepost_base::Clock;
use gatepost_oidc::SignedIn;
use gatepost_store::{SessionRecord, SessionSelector, Store, StoreUnavailable};

/// Seconds before a failed renewal is tried again.
const POSTPONED_SECONDS: u64 = 30;

/// How long to wait for the store's answer where the cookie's window is open: the session goes on
/// without it.
const PROMPT_ANSWER: Duration = Duration::from_millis(200);

/// How long to wait for a change in the store, which may have to wait for a disk.
const PROMPT_CHANGE: Duration = Duration::from_secs(1);

/// Issues, finds, renews and revokes sessions.
#[derive(Debug)]
pub struct Sessions {
    store: Arc<dyn Store>,
    revoker: Arc<Revoker>,
    revalidator: Arc<Revalidator>,
    clock: Clock,
}

impl Sessions {
    /// Returns the service on this store. `process` is the name of this process among the replicas,
    /// which no other has.
    pub fn new(store: Arc<dyn Store>, process: Arc<str>, clock: Clock) -> Self {
        let revoker = Arc::new(Revoker::new(Arc::clone(&store), clock.clone()));
        let revalidator = Revalidator::new(
            process,
            Arc::clone(&store),
            Arc::clone(&revoker),
            clock.clone(),
        );
        Self {
            store,
            revoker,
            revalidator: Arc::new(revalidator),
            clock,
        }
    }

    /// Returns what revokes sessions.
    pub fn revoker(&self) -> &Arc<Revoker> {
        &self.revoker
    }

    /// Returns what asks providers about sessions.
    pub fn revalidator(&self) -> &Arc<Revalidator> {
        &self.revalidator
    }

    /// Issues a session for a user whom the provider has just signed in, if the application's rule
    /// admits the user. The sessions that the browser had before end either way.
    /// `revocations` marks those that were known when the exchange of the code began.
    ///
    /// # Errors
    ///
    /// [`IssueError`], and then there is no session; [`IssueError::Revoked`] when it was revoked
    /// since then.
    pub async fn issue(
        &self,
        times: &SessionTimes,
        application: &Application,
        signed_in: SignedIn,
        replacing: &Candidates<'_>,
        revocations: Mark,
    ) -> Result<Issued, IssueError> {
        let record = self.record(times, application, signed_in)?;
        let issued = issue_cookie(times, application, &record, record.created, replacing)?;
        if matches!(issued, Issued::Cookie(_)) {
            self.store.insert(record.clone()).await?;
            let concerned = self.revoker.concern(&record, revocations).await;
            // If that is unknown, the user gets no cookie either.
            if !matches!(concerned, Ok(false)) {
                let own = SessionSelector::Id(record.id);
                self.revoker.revoke(&own, times).await?;
                return Err(concerned
                    .err()
                    .map_or(IssueError::Revoked, IssueError::Store));
            }
        }
        // The sessions that the browser had before must not live on under their old ids. They end
        // last, so that a store that fails before costs no user a session.
        let mut failed = None;
        for old in application.authentic(replacing) {
            let lifetime = application.lifetime(times);
            let ended = self.revoker.revoke_cookie(&old, lifetime, times).await;
            failed = failed.or(ended.err());
        }
        failed.map_or(Ok(issued), |error| Err(error.into()))
    }

    /// Returns the record of a session that begins now.
    fn record(
        &self,
        times: &SessionTimes,
        application: &Application,
        signed_in: SignedIn,
    ) -> Result<SessionRecord, IssueError> {
        let now = self.clock.now();
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(IssueError::NoRandomness)?;
        let record = SessionRecord {
            id: SessionId::from_random(random),
            audience: application.audience().to_string(),
            identity: signed_in.identity,
            provider_session: signed_in.provider_session,
            refresh_token: signed_in.refresh_token,
            // A record is smaller without what nothing asks for.
            access_token: application
                .capabilities()
                .token_headers
                .is_some()
                .then(|| access_token(signed_in.access_token, now)),
            id_token: signed_in.id_token,
            device: None,
            created: now,
            last_validated: now,
            last_seen: now,
            window_ends: now,
            ends: now.plus_seconds(application.lifetime(times)),
        };
        let issued = self.issue_time(&record, now);
        Ok(SessionRecord {
            // After all revocations that do not concern it, as its cookies say too.
            created: issued,
            window_ends: window_end(times, &record, issued),
            ..record
        })
    }

    /// Finds the session in the store that an authentic cookie of `application` belongs to; `None`
    /// when it was revoked or has expired.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`], which says nothing about the session; but one that is known to have
    /// been revoked is `None` in any case. Where the cookie's window is open, the error comes at
    /// once when the store does not answer: there is no need to wait for it.
    pub async fn find(
        &self,
        times: &SessionTimes,
        application: &Application,
        cookie: &Authentic,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        // The store may have been unreachable when it was revoked.
        if self.is_revoked(cookie) {
            return Ok(None);
        }
        let find = self.store.find(cookie.session_id());
        let in_window = self.is_current(cookie);
        let found = self.answer(find, in_window, PROMPT_ANSWER).await?;
        let claims = cookie.claims_at_issue();
        Ok(found.filter(|record| {
            self.is_going_on(times, application, record)
                && record.identity.subject == claims.sub
                && record.identity.issuer == claims.iss
        }))
    }

    /// Finds a session of `application` by its id alone, for a browser that proves that it is its;
    /// `None` when it was revoked or has expired.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`].
    pub async fn find_by_id(
        &self,
        times: &SessionTimes,
        application: &Application,
        id: &SessionId,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let found = self.store.find(id).await?;
        let issuers = application.providers();
        Ok(found.filter(|record| {
            self.is_going_on(times, application, record)
                && issuers.of_issuer(&record.identity.issuer).is_some()
        }))
    }

    /// Returns whether a session that the store has is one of `application`, and has not ended.
    fn is_going_on(
        &self,
        times: &SessionTimes,
        application: &Application,
        record: &SessionRecord,
    ) -> bool {
        self.clock.now() < record.ends_if_idle(times.idle)
            && !self.revoker.is_over(record)
            && record.audience == application.audience().as_str()
    }

    /// Uses a challenge up. Returns false when it was used before.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`].
    pub async fn use_up(&self, challenge: &Challenge) -> Result<bool, StoreUnavailable> {
        let value = challenge.used_once();
        let now = self.clock.now();
        // By the clock of the store, or of a replica that is behind, it is over later.
        let expires = challenge.expires.plus_seconds(CLOCK_SKEW_SECONDS);
        self.store.use_once(&value, now, expires).await
    }

    /// Returns the store's answer. For a request whose window is open (`in_window`), it has to come
    /// in `time`, from a store that has answered lately.
    async fn answer<T>(
        &self,
        question: impl Future<Output = Result<T, StoreUnavailable>>,
        in_window: bool,
        time: Duration,
    ) -> Result<T, StoreUnavailable> {
        if !in_window {
            return question.await;
        }
        if !self.store.is_available() {
            return Err(StoreUnavailable::new("it has not answered lately"));
        }
        match tokio::time::timeout(time, question).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreUnavailable::new("no prompt answer")),
        }
    }

    /// Returns the session cookie among these candidates: the first whose window is open and that
    /// is not known to have been revoked, else the first that is authentic.
    ///
    /// # Errors
    ///
    /// Why none is authentic.
    pub fn authenticate(
        &self,
        application: &Application,
        candidates: &Candidates<'_>,
    ) -> Result<Authentic, Unauthenticated> {
        application.authenticate(candidates, |cookie| {
            self.is_current(cookie) && !self.is_revoked(cookie)
        })
    }

    /// Returns whether the window of a cookie is open.
    pub fn is_current(&self, cookie: &Authentic) -> bool {
        let now = self.clock.now();
        cookie.current(now, CLOCK_SKEW_SECONDS).is_ok()
    }

    /// Returns whether the session of a cookie is known to have been revoked. A session that is not
    /// known to be revoked may still have ended: only the store knows.
    fn is_revoked(&self, cookie: &Authentic) -> bool {
        let revocations = self.revoker.revocations();
        revocations.is_revoked(cookie.claims_at_issue())
    }

    /// Issues a fresh cookie for a session in the store, if the application's rule still admits the
    /// user; if not, the session ends here. A request whose window is open does not wait for a
    /// store that is unreachable.
    ///
    /// A session that is bound to a device, or that would have to be, is renewed only where a proof
    /// vouches for it, whatever the caller knows of it.
    ///
    /// # Errors
    ///
    /// [`IssueError`]; [`IssueError::Revoked`] when the session was revoked since it was found,
    /// [`IssueError::Unproven`] when it takes a proof and none vouches for it.
    pub async fn renew(
        &self,
        times: &SessionTimes,
        application: &Application,
        record: &SessionRecord,
        replacing: &Candidates<'_>,
        voucher: Voucher,
    ) -> Result<Issued, IssueError> {
        let needs_proof = record.is_bound()
            || application.requires_device()
            || is_bound_by(application, replacing, record);
        if needs_proof && voucher == Voucher::Cookie {
            return Err(IssueError::Unproven);
        }
        if let Some(claims) = refused(times, application, record, self.clock.now()) {
            let which = SessionSelector::Id(record.id.clone());
            self.revoker.revoke(&which, times).await?;
            return Ok(Issued::Refused(claims));
        }
        let now = self.clock.now();
        let issued = self.issue_time(record, now);
        let window_ends = window_end(times, record, issued);
        // First, so that a session never has a window that a revocation of it does not know of, and
        // none that has been revoked gets another cookie.
        let touch = self.store.touch(&record.id, now, window_ends);
        let in_window = self
            .authenticate(application, replacing)
            .is_ok_and(|cookie| self.is_current(&cookie));
        // What the caller has may be older than the device, or than the first proof.
        let stored = self.answer(touch, in_window, PROMPT_CHANGE).await?;
        let stored = stored.filter(|_| !self.revoker.is_over(record));
        let stored = stored.ok_or(IssueError::Revoked)?;
        if stored.is_bound() && voucher == Voucher::Cookie {
            return Err(IssueError::Unproven);
        }
        let record = &SessionRecord {
            device: stored.device.clone(),
            ..record.clone()
        };
        match issue_cookie(times, application, record, issued, replacing)? {
            Issued::Cookie(cookie) if self.is_revoked(&cookie.session) => Err(IssueError::Revoked),
            issued => Ok(issued),
        }
    }

    /// Returns the time of issue of a cookie that is made at `now`: later than all revocations that
    /// do not concern it.
    fn issue_time(&self, record: &SessionRecord, now: NumericDate) -> NumericDate {
        match self.revoker.revocations().revoked_at(record) {
            // A user may sign in again in the very second of the sign-out.
            Some(at) => now.max(at.plus_seconds(1)),
            None => now,
        }
    }

    /// Issues a cookie in place of one that is due for renewal while the renewal fails: the same
    /// session in the same window, which is due again later. `None` when the window has ended, or
    /// the session.
    ///
    /// It permits nothing that the one before does not.
    pub fn postpone_renewal(
        &self,
        times: &SessionTimes,
        application: &Application,
        cookie: &Authentic,
        replacing: &Candidates<'_>,
    ) -> Option<Vec<String>> {
        if self.is_revoked(cookie) {
            return None;
        }
        let now = self.clock.now();
        let claims = cookie.current(now, CLOCK_SKEW_SECONDS).ok()?.claims();
        if !application.policy().may_admit(claims) {
            return None;
        }
        let postponed = Claims {
            rnw: now.plus_seconds(POSTPONED_SECONDS).min(claims.exp),
            ..claims.clone()
        };
        let token = application.signer().sign(&postponed).ok()?;
        let cookie = application.cookie();
        Some(cookie.issue(&token, times.idle, replacing))
    }

    /// Returns the session as the store has it, with every group that the application's rules or
    /// `demand` name: for a decision that the cookie does not allow. It is sent to the
    /// application alone, as an assertion.
    ///
    /// # Errors
    ///
    /// [`IssueError`] when a verifier would refuse a cookie with these claims, or no assertion can be
    /// signed.
    pub fn with_all_groups(
        &self,
        times: &SessionTimes,
        application: &Application,
        record: &SessionRecord,
        demand: Option<&Demand>,
        cookie: OfCookie,
    ) -> Result<Authentic, IssueError> {
        let claims = claims(times, application, record, self.clock.now());
        let claims = Claims {
            grp_more: false,
            ..reduced(cookie.narrow(claims), application, demand)
        };
        vouch_for(application, claims, KnownGroups::Some)
    }

    /// Returns the session of a record with every group of the user, for an application that is to
    /// learn of those that the cookie has no room for.
    ///
    /// # Errors
    ///
    /// [`IssueError`] when a verifier would refuse a cookie with these claims, or no assertion can be
    /// signed.
    pub fn with_every_group(
        &self,
        times: &SessionTimes,
        application: &Application,
        record: &SessionRecord,
        cookie: OfCookie,
    ) -> Result<Authentic, IssueError> {
        let claims = claims(times, application, record, self.clock.now());
        vouch_for(application, cookie.narrow(claims), KnownGroups::All)
    }

    /// Returns the current time, for the other files of this module.
    pub(super) fn now(&self) -> NumericDate {
        self.clock.now()
    }
}

/// What stays as a session's cookie says, although the store is asked for more of the session.
#[derive(Clone, Copy, Debug)]
pub struct OfCookie {
    /// Whether it is bound to a device: the cookie may be a copy from before.
    bound: bool,
    issued: NumericDate,
    renewed: NumericDate,
    ends: NumericDate,
}

impl OfCookie {
    /// Takes it from the claims of a cookie.
    pub fn of(claims: &Claims) -> Self {
        Self {
            bound: claims.bound,
            issued: claims.iat,
            renewed: claims.rnw,
            ends: claims.exp,
        }
    }

    /// Returns claims of the same session that hold no longer than the cookie: the outpost has not asked
    /// the provider since it made that. The claims end earlier where the cookie, which a program
    /// with the session keys can make up, says a later time.
    fn narrow(self, claims: Claims) -> Claims {
        let exp = claims.exp.min(self.ends);
        Claims {
            bound: self.bound,
            iat: claims.iat.min(self.issued),
            rnw: self.renewed.min(exp),
            exp,
            ..claims
        }
    }
}

/// Returns the session of these claims, with the assertion for the application.
fn vouch_for(
    application: &Application,
    mut claims: Claims,
    groups: KnownGroups,
) -> Result<Authentic, IssueError> {
    application.assert(&mut claims, groups)?;
    let session = application.signer().vouch_for(&claims);
    session.map_err(IssueError::Unsignable)
}

/// Returns whether a cookie of this session says that it is bound to a device.
fn is_bound_by(
    application: &Application,
    candidates: &Candidates<'_>,
    record: &SessionRecord,
) -> bool {
    application
        .authentic(candidates)
        .any(|cookie| *cookie.session_id() == record.id && cookie.claims_at_issue().bound)
}
