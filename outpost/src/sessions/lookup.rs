//! Looks up the session of a request that a proxy asks about.

use std::sync::Arc;

use gatepost_policy::Unauthenticated;
use gatepost_session::cookie::Candidates;
use gatepost_session::{
    Authentic, CLOCK_SKEW_SECONDS, Current, NumericDate, OpenError, WindowError,
};

use super::flights::Patience;
use super::issue::{IssueError, Issued, Voucher, is_old};
use super::revalidation::{Revalidation, RevalidationError};
use super::service::Sessions;
use crate::application::{Application, TokenNeed};
use crate::session_times::SessionTimes;
use crate::telemetry::metrics::Success;
use gatepost_store::SessionRecord;

/// The session of a request.
#[derive(Debug)]
pub enum SessionLookup {
    /// The request has no session.
    Absent(Unauthenticated),
    /// The session of the cookie, whose window is open.
    Valid {
        /// The session of the cookie.
        session: Authentic,
        /// The session in the store.
        record: Arc<SessionRecord>,
    },
    /// A session whose cookie was due for renewal.
    Refreshed {
        /// The session of the new cookie; where the application's rule refuses the user, the claims
        /// that it refuses.
        session: Authentic,
        /// The session in the store; `None` where the rule refuses.
        record: Option<Arc<SessionRecord>>,
        /// The `Set-Cookie` lines of the new cookie, or those that remove the old one.
        cookies: Vec<String>,
    },
    /// The store or the provider could not be asked.
    Degraded {
        /// The session of the cookie, where its window is open.
        session: Option<Authentic>,
        /// The session in the store, as far as it is known.
        record: Option<Arc<SessionRecord>>,
        /// Why more is not known.
        cause: IssueError,
    },
}

/// Whether a request renews its session where that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It renews. Where only the browser can ask the provider, it has no session, and the browser
    /// goes there.
    PageLoad,
    /// It renews. Where only the browser can ask the provider, it goes on, and the next page load
    /// asks.
    Request,
    /// It renews, and does nothing else. Where only the browser can ask the provider, nothing is
    /// renewed, and neither is a session whose window has ended.
    Beside,
    /// It does not renew: it has the session while its window is open.
    Never,
}

impl SessionLookup {
    /// Returns the session that the policy decides on.
    ///
    /// # Errors
    ///
    /// Why the request has no session.
    pub fn session(&self, now: NumericDate) -> Result<Current<'_>, Unauthenticated> {
        let session = match self {
            Self::Absent(reason) => return Err(*reason),
            Self::Valid { session, .. } | Self::Refreshed { session, .. } => session,
            Self::Degraded { session, .. } => session
                .as_ref()
                .ok_or(Unauthenticated::Window(WindowError::Ended))?,
        };
        let current = session.current(now, CLOCK_SKEW_SECONDS);
        current.map_err(Unauthenticated::Window)
    }

    /// Returns the session in the store, where it is known.
    pub fn record(&self) -> Option<&Arc<SessionRecord>> {
        match self {
            Self::Absent(_) => None,
            Self::Valid { record, .. } => Some(record),
            Self::Refreshed { record, .. } | Self::Degraded { record, .. } => record.as_ref(),
        }
    }

    /// Returns the session in the store, the `Set-Cookie` lines to send, and why more is not known.
    pub fn into_parts(self) -> (Option<Arc<SessionRecord>>, Vec<String>, Option<IssueError>) {
        match self {
            Self::Absent(_) => (None, Vec::new(), None),
            Self::Valid { record, .. } => (Some(record), Vec::new(), None),
            Self::Refreshed {
                record, cookies, ..
            } => (record, cookies, None),
            Self::Degraded { record, cause, .. } => (record, Vec::new(), Some(cause)),
        }
    }

    /// Puts a newer record of the same session into the place of the one that it has.
    fn with_record(self, newer: Arc<SessionRecord>) -> Self {
        match self {
            Self::Valid { session, .. } => Self::Valid {
                session,
                record: newer,
            },
            Self::Refreshed {
                session, cookies, ..
            } => Self::Refreshed {
                session,
                record: Some(newer),
                cookies,
            },
            other @ (Self::Absent(_) | Self::Degraded { .. }) => other,
        }
    }
}

impl Sessions {
    /// Looks up the session of a request by the candidates for its cookie. It is as the cookie says
    /// where the window is open, and is renewed in place where that is due and the store knows the
    /// session and the request may renew it.
    pub async fn look_up(
        &self,
        times: &SessionTimes,
        application: &Application,
        candidates: &Candidates<'_>,
        renewal: impl FnOnce() -> Renewal,
    ) -> SessionLookup {
        let cookie = match self.authenticate(application, candidates) {
            Ok(cookie) => cookie,
            Err(reason) => return SessionLookup::Absent(reason),
        };
        let now = self.now();
        let (in_window, due) = match cookie.current(now, CLOCK_SKEW_SECONDS) {
            Ok(current) => (true, current.renewal_due()),
            Err(WindowError::Ended) => (false, true),
            Err(reason @ WindowError::NotYet) => {
                return SessionLookup::Absent(Unauthenticated::Window(reason));
            }
        };
        let degraded = |cookie, record, cause| SessionLookup::Degraded {
            session: in_window.then_some(cookie),
            record,
            cause,
        };
        let record = match self.find(times, application, &cookie).await {
            Ok(Some(record)) => record,
            Ok(None) => return SessionLookup::Absent(Unauthenticated::Revoked),
            // A request whose window is open never notices that the store is unreachable.
            Err(error) => return degraded(cookie, None, error.into()),
        };
        let claims_to_be_bound = cookie.claims_at_issue().bound;
        let needs_proof = claims_to_be_bound || record.is_bound() || application.requires_device();
        // A session that only a proof renews has an assertion with its next cookie: page loads would
        // lead to a sign-in for it.
        let due = due
            || is_old(times, &record, cookie.claims_at_issue(), now)
            || (!needs_proof && application.lacks_assertion(cookie.claims_at_issue()));
        // A plugin whose clock is ahead has browsers ask as soon as a renewal is due there.
        let is_due_at_plugin = now.plus_seconds(CLOCK_SKEW_SECONDS) >= cookie.claims_at_issue().rnw;
        if !due && !is_due_at_plugin {
            return valid(cookie, record);
        }
        let unrenewed = |cookie, record| match in_window {
            true => valid(cookie, record),
            false => ended_window(),
        };
        let renewal = renewal();
        if !due && renewal != Renewal::Beside {
            return valid(cookie, record);
        }
        if needs_proof {
            // The browser renews it, with a proof. A cookie alone may be a copy.
            return match renewal {
                // Where it is due in its window, only the browser can ask the provider.
                Renewal::PageLoad if claims_to_be_bound => ended_window(),
                Renewal::PageLoad | Renewal::Request | Renewal::Beside | Renewal::Never => {
                    unrenewed(cookie, record)
                }
            };
        }
        // A window that has ended is a page load's matter, which may need the provider.
        if renewal == Renewal::Never || (renewal == Renewal::Beside && !in_window) {
            return unrenewed(cookie, record);
        }
        // Early, as the renewal is: where every renewal asks the provider, so does this one.
        let early = if due { 0 } else { CLOCK_SKEW_SECONDS };
        let asking = SessionTimes {
            refresh_after: times.refresh_after.saturating_sub(early),
            ..*times
        };
        let patience = Patience::in_window(in_window);
        let revalidated = self
            .revalidator()
            .revalidate(&asking, application, Arc::clone(&record), patience)
            .await;
        let record = match revalidated {
            Ok(Revalidation::Valid(record)) => record,
            Ok(Revalidation::Ended) => return SessionLookup::Absent(Unauthenticated::Revoked),
            // The next request gets the answer.
            Ok(Revalidation::Pending) => return unrenewed(cookie, record),
            Ok(Revalidation::NeedsBrowser | Revalidation::Refused)
                if renewal == Renewal::PageLoad =>
            {
                return ended_window();
            }
            Ok(Revalidation::Refused) => return unrenewed(cookie, record),
            Ok(Revalidation::NeedsBrowser) if renewal == Renewal::Beside => {
                return unrenewed(cookie, record);
            }
            Ok(Revalidation::NeedsBrowser) => record,
            Err(RevalidationError::Store(error)) => return degraded(cookie, None, error.into()),
            Err(RevalidationError::Provider(error)) => {
                return degraded(cookie, Some(record), IssueError::Provider(error));
            }
        };
        let renewed = self
            .renew(times, application, &record, candidates, Voucher::Cookie)
            .await;
        application.counts().renewed(Success::from(&renewed));
        match renewed {
            Ok(Issued::Cookie(issued)) => SessionLookup::Refreshed {
                session: issued.session,
                record: Some(record),
                cookies: issued.cookies,
            },
            // Over. The policy decides once more: it refuses, or the path is public.
            Ok(Issued::Refused(claims)) => match application.signer().vouch_for(&claims) {
                Ok(session) => SessionLookup::Refreshed {
                    session,
                    record: None,
                    cookies: application.cookie().remove(),
                },
                Err(_) => SessionLookup::Absent(Unauthenticated::Invalid(OpenError::Claims)),
            },
            Err(IssueError::Revoked) => SessionLookup::Absent(Unauthenticated::Revoked),
            // It has been bound meanwhile.
            Err(IssueError::Unproven) => unrenewed(cookie, record),
            Err(error) => degraded(cookie, Some(record), error),
        }
    }

    /// Returns a session with the tokens that the application gets, renewed at the provider where
    /// they end soon. One that the provider has ended is absent.
    ///
    /// No request waits long, and one whose tokens hold does not wait for another replica. Where no
    /// others are to be had, the session goes on with what it has.
    pub async fn with_lasting_tokens(
        &self,
        times: &SessionTimes,
        application: &Application,
        lookup: SessionLookup,
    ) -> SessionLookup {
        let tokens = application.capabilities().token_headers.as_ref();
        let (Some(tokens), Some(record)) = (tokens, lookup.record()) else {
            return lookup;
        };
        let patience = match tokens.need(record, self.now()) {
            TokenNeed::None => return lookup,
            TokenNeed::Soon => Patience::ShortHere,
            TokenNeed::Now => Patience::Short,
        };
        let revalidator = self.revalidator();
        if revalidator.is_paused(application, record).await {
            return lookup;
        }
        let renewed = revalidator
            .renew_tokens(times, application, Arc::clone(record), patience)
            .await;
        match renewed {
            Ok(Revalidation::Valid(renewed)) => lookup.with_record(renewed),
            Ok(Revalidation::Ended) => SessionLookup::Absent(Unauthenticated::Revoked),
            Ok(Revalidation::NeedsBrowser | Revalidation::Refused | Revalidation::Pending)
            | Err(_) => lookup,
        }
    }
}

fn valid(session: Authentic, record: Arc<SessionRecord>) -> SessionLookup {
    SessionLookup::Valid { session, record }
}

fn ended_window() -> SessionLookup {
    SessionLookup::Absent(Unauthenticated::Window(WindowError::Ended))
}
