//! Opening, renewing and ending sessions: the store on one side, the cookie on the other.

use std::sync::Arc;
use std::time::Duration;

use gatepost_policy::{Require, Ruling, Unauthenticated};
use gatepost_session::cookie::Candidates;
use gatepost_session::{Authentic, CLOCK_SKEW_SECONDS, Claims, NumericDate, SessionId};
use gatepost_signing::SignError;

use crate::application::Application;
use crate::outpost::{Deployment, Outpost};
use gatepost_base::Identity;
use gatepost_oidc::{SignInError, SignedIn};
use gatepost_store::{SessionRecord, SessionSelector, StoreUnavailable};

mod ending;
mod meanwhile;
mod renewal;
mod unkept;

pub use ending::Endings;
pub use meanwhile::Mark;
pub use renewal::{ConfirmError, Confirmation, Renewals};

/// For how long nobody comes again to renew what cannot be renewed now, in seconds.
const POSTPONED_FOR: u64 = 30;

/// How long the store may take to say what it knows to whose window is in force, and who goes on in
/// it without.
const PROMPT_ANSWER: Duration = Duration::from_millis(200);

/// The same for a change, which may have to wait for a disk.
const PROMPT_CHANGE: Duration = Duration::from_secs(1);

/// A session cookie that was just made.
#[derive(Debug)]
pub struct Minted {
    /// The session that it carries.
    pub session: Authentic,
    /// The `Set-Cookie` lines that store it.
    pub cookies: Vec<String>,
}

/// What came of asking for a session cookie, where nothing hindered it.
#[derive(Debug)]
#[must_use]
pub enum Issued {
    /// It was made.
    Cookie(Minted),
    /// The application's own rule refuses the person, whatever a proxy in front of it asks for, so
    /// there is no session any more.
    Refused(Claims),
}

/// Why no session cookie could be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The session was ended while its cookie was to be made.
    #[error("the session has been ended")]
    Ended,
    /// The provider has been away for too long to go on without it.
    #[error(transparent)]
    Provider(SignInError),
    /// What is known of the person does not fit a cookie, even with groups left out.
    #[error("the session does not fit a cookie: {0}")]
    Unsignable(SignError),
    /// The operating system has no randomness.
    #[error("the operating system has no randomness: {0}")]
    NoRandomness(getrandom::Error),
}

/// A session in the store that belongs to a cookie.
#[derive(Debug)]
pub enum Kept {
    /// It goes on.
    Live(Arc<SessionRecord>),
    /// It was ended, or its time has run out.
    Gone,
}

impl Outpost {
    /// Opens a session for a person whom the provider has just signed in, if the application's rule
    /// admits them. The one that the browser had before ends either way. `begun` is where the exchange
    /// of the code began in the order of endings.
    ///
    /// # Errors
    ///
    /// [`MintError`], and then there is no session; [`MintError::Ended`] when it was ended since
    /// `begun`.
    pub async fn open_session(
        &self,
        deployment: &Deployment,
        application: &Application,
        signed_in: SignedIn,
        replacing: &Candidates<'_>,
        begun: Mark,
    ) -> Result<Issued, MintError> {
        let now = self.clock.now();
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(MintError::NoRandomness)?;
        let record = SessionRecord {
            id: SessionId::from_random(random),
            audience: application.audience.to_string(),
            identity: signed_in.identity,
            provider_session: signed_in.provider_session,
            refresh_token: signed_in.refresh_token,
            id_token: signed_in.id_token,
            created: now,
            last_validated: now,
            last_seen: now,
            window_ends: now,
            ends: now.plus_seconds(application.lifetime(&deployment.times)),
        };
        let issued = self.issue_time(&record);
        let record = SessionRecord {
            // After all endings that do not concern it, as its cookies say too.
            created: issued,
            window_ends: window_end(deployment, &record, issued),
            ..record
        };
        let issued = mint(deployment, application, &record, issued, replacing)?;
        if matches!(issued, Issued::Cookie(_)) {
            self.store.insert(record.clone()).await?;
            if self.endings.concern(&record, begun) {
                let own = SessionSelector::Id(record.id);
                self.endings.end(&own, &deployment.times).await?;
                return Err(MintError::Ended);
            }
        }
        // The sessions that the browser had before must not live on under their old ids. Ended last,
        // so that a store which fails before costs nobody a session.
        for old in application.authentic(replacing) {
            let lifetime = application.lifetime(&deployment.times);
            let ending = self
                .endings
                .end_of_cookie(&old, lifetime, &deployment.times);
            ending.await?;
        }
        Ok(issued)
    }

    /// The session in the store that an authentic cookie of `application` is the key to.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`], which says nothing about the session; but one that is known to have
    /// been ended is [`Kept::Gone`] in any case. Where the cookie's window is in force, that is so
    /// at once when the store does not answer: there is no need to wait for it.
    pub async fn kept_session(
        &self,
        deployment: &Deployment,
        application: &Application,
        cookie: &Authentic,
    ) -> Result<Kept, StoreUnavailable> {
        // The store may not have been reached when it was.
        if self.is_ended(cookie) {
            return Ok(Kept::Gone);
        }
        let now = self.clock.now();
        let find = self.store.find(cookie.session_id());
        let found = if cookie.current(now, CLOCK_SKEW_SECONDS).is_ok() {
            self.promptly(find, PROMPT_ANSWER).await
        } else {
            find.await
        };
        Ok(match found? {
            Some(record)
                if now < record.ends_if_idle(deployment.times.idle)
                    && !self.is_over(&record)
                    && record.audience == application.audience.as_str()
                    && record.identity.subject == cookie.claims_at_issue().sub
                    && record.identity.issuer == cookie.claims_at_issue().iss =>
            {
                Kept::Live(record)
            }
            Some(_) | None => Kept::Gone,
        })
    }

    /// What the store answers, where it does so in this time and has done so lately.
    async fn promptly<T>(
        &self,
        question: impl Future<Output = Result<T, StoreUnavailable>>,
        time: Duration,
    ) -> Result<T, StoreUnavailable> {
        if !self.store.is_available() {
            return Err(StoreUnavailable::new("it has not answered lately"));
        }
        match tokio::time::timeout(time, question).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreUnavailable::new("no prompt answer")),
        }
    }

    /// The session cookie among these candidates: the first that is in force and not known to have
    /// been ended, else the first that is authentic.
    ///
    /// # Errors
    ///
    /// Why none is authentic.
    pub fn session_cookie(
        &self,
        application: &Application,
        candidates: &Candidates<'_>,
    ) -> Result<Authentic, Unauthenticated> {
        let now = self.clock.now();
        application.authenticate(candidates, |cookie| {
            cookie.current(now, CLOCK_SKEW_SECONDS).is_ok() && !self.is_ended(cookie)
        })
    }

    /// Whether the session of a cookie is known to have been ended. What is not known to have
    /// ended may be over all the same: only the store says that.
    fn is_ended(&self, cookie: &Authentic) -> bool {
        let revocations = self.endings.revocations();
        revocations.is_revoked(cookie.claims_at_issue())
    }

    /// Whether a session began before all sessions of its person ended, and so should be in the
    /// store no more.
    fn is_over(&self, record: &SessionRecord) -> bool {
        let Identity {
            issuer, subject, ..
        } = &record.identity;
        let ended = self
            .endings
            .revocations()
            .sessions_revoked_at(issuer, subject);
        ended.is_some_and(|at| record.created <= at)
    }

    /// Makes a fresh cookie for a live session, if the application's rule still admits the person;
    /// if not, the session ends here. Who has a window in force does not wait for a store that is
    /// away.
    ///
    /// # Errors
    ///
    /// [`MintError`]; [`MintError::Ended`] when the session was ended since it was found.
    pub async fn renew_session(
        &self,
        deployment: &Deployment,
        application: &Application,
        record: &SessionRecord,
        replacing: &Candidates<'_>,
    ) -> Result<Issued, MintError> {
        if let Some(claims) = refused(deployment, application, record, self.clock.now()) {
            let which = SessionSelector::Id(record.id.clone());
            self.endings.end(&which, &deployment.times).await?;
            return Ok(Issued::Refused(claims));
        }
        let issued = self.issue_time(record);
        let window_ends = window_end(deployment, record, issued);
        // First, so that a session never has a window that an ending of it does not know of, and
        // none that has been ended has another cookie.
        let touch = self.store.touch(&record.id, self.clock.now(), window_ends);
        let now = self.clock.now();
        let in_force = self
            .session_cookie(application, replacing)
            .is_ok_and(|cookie| cookie.current(now, CLOCK_SKEW_SECONDS).is_ok());
        let touch = if in_force {
            self.promptly(touch, PROMPT_CHANGE).await?
        } else {
            touch.await?
        };
        let issued = mint(deployment, application, record, issued, replacing)?;
        if !touch || self.is_over(record) {
            return Err(MintError::Ended);
        }
        match issued {
            Issued::Cookie(minted) if self.is_ended(&minted.session) => Err(MintError::Ended),
            issued => Ok(issued),
        }
    }

    /// The time that a cookie made now bears: later than all endings that do not concern it.
    fn issue_time(&self, record: &SessionRecord) -> NumericDate {
        let identity = &record.identity;
        let revocations = self.endings.revocations();
        let now = self.clock.now();
        match revocations.sessions_revoked_at(&identity.issuer, &identity.subject) {
            // Whoever signs in in the very second in which they were signed out is in.
            Some(at) => now.max(at.plus_seconds(1)),
            None => now,
        }
    }

    /// A cookie in the place of one whose renewal is due and cannot be had now: the same session in
    /// the same window, which its holder is not to come to renew again for a while. `None` when the
    /// window has ended, or the session.
    ///
    /// It gives nothing that the one before does not.
    pub fn postpone_renewal(
        &self,
        deployment: &Deployment,
        application: &Application,
        cookie: &Authentic,
        replacing: &Candidates<'_>,
    ) -> Option<Vec<String>> {
        if self.is_ended(cookie) {
            return None;
        }
        let now = self.clock.now();
        let claims = cookie.current(now, CLOCK_SKEW_SECONDS).ok()?.claims();
        if application.policy.require.rule(claims) == Ruling::Fails {
            return None;
        }
        let postponed = Claims {
            rnw: now.plus_seconds(POSTPONED_FOR).min(claims.exp),
            ..claims.clone()
        };
        let token = application.signer.sign(&postponed).ok()?;
        let cookie = &application.cookie;
        Some(cookie.issue(&token, deployment.times.idle, replacing))
    }

    /// The session as the store has it, with every group that the application's rule or `extra_rule`
    /// names: for deciding what the cookie leaves open. It is not sent anywhere.
    pub fn whole_session(
        &self,
        deployment: &Deployment,
        application: &Application,
        record: &SessionRecord,
        extra_rule: Option<&Require>,
    ) -> Result<Authentic, SignError> {
        let claims = claims(deployment, application, record, self.clock.now());
        application.signer.vouch_for(&Claims {
            grp_more: false,
            ..reduced(claims, application, extra_rule)
        })
    }
}

/// When the window of a cookie ends. No cookie is believed for longer than its session may last.
fn window_end(deployment: &Deployment, record: &SessionRecord, issued: NumericDate) -> NumericDate {
    issued
        .plus_seconds(deployment.times.window)
        .min(record.ends)
}

fn mint(
    deployment: &Deployment,
    application: &Application,
    record: &SessionRecord,
    now: NumericDate,
    replacing: &Candidates<'_>,
) -> Result<Issued, MintError> {
    if let Some(claims) = refused(deployment, application, record, now) {
        return Ok(Issued::Refused(claims));
    }
    let signer = &application.signer;
    let mut claims = claims(deployment, application, record, now);
    let token = match signer.sign(&claims) {
        Err(SignError::TooLarge) => {
            claims = reduced(claims, application, None);
            signer.sign(&claims)
        }
        outcome => outcome,
    }
    .map_err(MintError::Unsignable)?;
    let session = signer.vouch_for(&claims).map_err(MintError::Unsignable)?;
    // Made because the session is in use now, so the time without use begins anew.
    let left = record
        .ends
        .min(now.plus_seconds(deployment.times.idle))
        .seconds_since(now);
    let cookies = application.cookie.issue(&token, left, replacing);
    Ok(Issued::Cookie(Minted { session, cookies }))
}

/// The person of a session whom the application's rule refuses with all that is known of them.
fn refused(
    deployment: &Deployment,
    application: &Application,
    record: &SessionRecord,
    now: NumericDate,
) -> Option<Claims> {
    let claims = claims(deployment, application, record, now);
    (application.policy.require.rule(&claims) == Ruling::Fails).then_some(claims)
}

fn claims(
    deployment: &Deployment,
    application: &Application,
    record: &SessionRecord,
    now: NumericDate,
) -> Claims {
    record.identity.clone().into_claims(
        application.audience.to_string(),
        record.id.clone(),
        now,
        now.plus_seconds(deployment.times.renew_after),
        window_end(deployment, record, now),
    )
}

/// The claims with only those groups that the application's rule names, and those that the
/// operator lists for rules elsewhere. With such a list the cookie says all that any rule asks, so
/// that nobody has to come here for the rest: a rule that names another group refuses.
fn reduced(mut claims: Claims, application: &Application, extra_rule: Option<&Require>) -> Claims {
    let listed = application.cookie_groups.iter().flatten();
    let named: Vec<&str> = application
        .policy
        .require
        .groups()
        .chain(extra_rule.into_iter().flat_map(Require::groups))
        .chain(listed.map(String::as_str))
        .collect();
    claims
        .groups
        .retain(|group| named.contains(&group.as_str()));
    claims.grp_more = application.cookie_groups.is_none();
    claims
}
