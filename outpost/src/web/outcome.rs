//! What an endpoint decided.

use gatepost_policy::{Denial, Presentation, StepUp, with_conditions, with_unproven_conditions};
use gatepost_session::{Claims, SessionId};
use http::StatusCode;

use super::challenges;
use super::denied;
use super::device::DeviceAnswer;
use super::failure::Failure;
use super::oauth::OAuthAnswer;
use super::pass::Pass;
use super::request::ForwardedRequest;
use super::urls::endpoint_url;
use crate::application::{Application, ReturnTo};
use crate::dialect::Dialect;
use crate::origin::HostPort;
use crate::pages::{Choice, Denied, SessionView};
use crate::telemetry::audit;
use crate::telemetry::metrics::Verdict;

/// An outcome and the cookies that go with it.
#[derive(Debug)]
#[must_use]
pub struct Reply {
    /// The decision.
    pub outcome: Outcome,
    /// The `Set-Cookie` values to send, whatever the outcome.
    pub cookies: Vec<String>,
    /// The URL that starts the sign-in again, where a failure has ended it.
    pub restart_url: Option<String>,
    /// The URL that signs out, where the user can go on as another.
    pub switch_url: Option<String>,
    /// What has the browser register a key for its new session (`Secure-Session-Registration`).
    pub registration: Option<String>,
}

/// What an endpoint decided.
///
/// There is no default, and only [`Outcome::Pass`] lets a request go upstream.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// The request that a proxy asked about may go upstream.
    Pass(Pass),
    /// The user has to sign in first.
    SignIn {
        /// The absolute URL of `start`.
        url: String,
        /// What a client can do besides (`WWW-Authenticate`), where the response is no redirect.
        challenges: Vec<String>,
        /// Whether the user is signed in, and has to authenticate again or in another way.
        is_step_up: bool,
    },
    /// The user has to choose a provider.
    Choice(Choice),
    /// The user is signed in and may not pass.
    Denied(Denied),
    /// The credentials are invalid.
    Refused(Refused),
    /// The browser is sent to another URL.
    Redirect {
        /// An absolute URL, checked by the handler.
        to: String,
    },
    /// The browser, which has posted a form, is sent to another URL, and posts nothing there.
    SeeOther {
        /// An absolute URL, checked by the handler.
        to: String,
    },
    /// A session was renewed beside a page, or was not.
    Renewed {
        /// The origin of the page, where it is another.
        to: Option<String>,
    },
    /// The session has ended.
    SignedOut {
        /// Where to sign in again.
        application_url: String,
    },
    /// The provider's logout token was accepted.
    LoggedOut,
    /// The user's own session.
    Session(Box<SessionView>),
    /// An answer about a session that is bound to a device.
    Device(DeviceAnswer),
    /// An answer to an OAuth client.
    OAuth(OAuthAnswer),
    /// The outpost runs.
    Alive,
    /// The request failed.
    Failed(Failure),
}

/// Refused credentials. The response says neither why, nor whose they would be.
#[derive(Debug)]
pub struct Refused {
    /// The challenge.
    pub challenge: String,
    /// Seconds after which to try again, where the provider was not even asked because the client has
    /// sent too many invalid credentials.
    pub retry_after: Option<u64>,
    /// Whether they are valid, and the user to whom they were given would have to authenticate again or
    /// in another way.
    pub is_step_up: bool,
}

/// The receiver of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// To the browser that asked.
    Direct,
    /// To a proxy that asked about a request, and takes 2xx for consent.
    ForwardAuth(Dialect),
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            cookies: Vec::new(),
            restart_url: None,
            switch_url: None,
            registration: None,
        }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        Outcome::Failed(failure).into()
    }
}

impl Outcome {
    /// Sends the browser to where the sign-in was to lead.
    pub fn back(return_to: &ReturnTo) -> Self {
        Self::Redirect {
            to: return_to.as_str().to_owned(),
        }
    }

    /// Refuses a user whom the application's policy does not admit, or every client, and logs it.
    pub fn denied(application: &Application, denial: &Denial<'_>) -> Self {
        let rule = denial.rule();
        // A client that is not signed in does not learn it.
        let mut shown = None;
        match denial.identity() {
            Some(claims) => {
                shown = rule.map(str::to_owned);
                audit::denied(application.audience().as_str(), claims, rule);
            }
            None => tracing::debug!(
                application = %application.audience(),
                rule = rule.unwrap_or_default(),
                "closed to every client",
            ),
        }
        Self::Denied(denied::by_policy(application, denial.identity(), shown))
    }

    /// Refuses a user whom the application's own rule does not admit, and who therefore has no
    /// session, and logs it.
    pub fn refused_by_rule(application: &Application, claims: &Claims) -> Reply {
        application.counts().decided(Verdict::Deny);
        audit::denied(application.audience().as_str(), claims, None);
        Self::Denied(denied::without_session(application, claims))
            .with_cookies(application.cookie().remove())
    }

    /// Has the user sign in who sent a request to an application at `host`.
    pub fn sign_in(
        application: &Application,
        host: &HostPort,
        request: &ForwardedRequest<'_>,
    ) -> Self {
        Self::SignIn {
            url: application.start_url(host, request),
            challenges: challenges::for_nothing(application, request),
            is_step_up: false,
        }
    }

    /// Has the user of a session authenticate again, or in another way. `own` is what the application's rules
    /// ask without those of the proxy.
    pub fn step_up(
        application: &Application,
        request: &ForwardedRequest<'_>,
        step_up: &StepUp<'_>,
        own: Option<&StepUp<'_>>,
        session: &SessionId,
    ) -> Self {
        let start = match request.host() {
            Some(host) => application.step_up_url(host, request, request.presentation()),
            None => endpoint_url(application, "start"),
        };
        // `start` has the application's rules, and not those of the proxy.
        let asked = step_up.without_repetitions();
        let url = if own.is_some_and(|own| own.without_repetitions() == asked) {
            start
        } else if request.is_demand_vouched_for(application, session) {
            with_conditions(start, &asked, |text| application.vouch(session, text))
        } else {
            // The plugin is older, or a client says this in its place: its user says whether it may be.
            with_unproven_conditions(start, &asked)
        };
        Self::SignIn {
            url,
            challenges: vec![challenges::for_step_up(application, step_up)],
            is_step_up: true,
        }
    }

    /// Adds cookies.
    pub fn with_cookies(self, cookies: Vec<String>) -> Reply {
        Reply {
            cookies,
            ..self.into()
        }
    }

    /// Returns the decision about a request, if a proxy asked about one.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Pass(_) => Some(Verdict::Allow),
            Self::SignIn { .. } => Some(Verdict::SignIn),
            Self::Denied(_) | Self::Failed(Failure::NotBound | Failure::FormNotBound) => {
                Some(Verdict::Deny)
            }
            Self::Refused(_) => Some(Verdict::SignIn),
            Self::Failed(_) => Some(Verdict::Failed),
            Self::Choice(_)
            | Self::Redirect { .. }
            | Self::SeeOther { .. }
            | Self::SignedOut { .. }
            | Self::LoggedOut
            | Self::Renewed { .. }
            | Self::Session(_)
            | Self::Device(_)
            | Self::OAuth(_)
            | Self::Alive => None,
        }
    }

    /// Returns the status of the response.
    ///
    /// To a proxy only [`Outcome::Pass`] has a status of success: a page for a browser would let the
    /// request upstream.
    pub(super) fn status(&self, channel: Channel, presentation: Presentation) -> StatusCode {
        let follows_redirects = !matches!(channel, Channel::ForwardAuth(Dialect::Nginx));
        match self {
            Self::Pass(_) => StatusCode::OK,
            Self::SignIn { .. } if presentation == Presentation::PageLoad && follows_redirects => {
                StatusCode::FOUND
            }
            Self::SignIn { .. } => StatusCode::UNAUTHORIZED,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            // nginx understands no refusal but 401 and 403.
            Self::Refused(refused) if refused.retry_after.is_some() && follows_redirects => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Refused(_) => StatusCode::UNAUTHORIZED,
            Self::Redirect { .. } if follows_redirects => StatusCode::FOUND,
            Self::Redirect { .. } => StatusCode::UNAUTHORIZED,
            Self::Choice(_)
            | Self::SeeOther { .. }
            | Self::SignedOut { .. }
            | Self::LoggedOut
            | Self::Renewed { .. }
            | Self::Session(_)
            | Self::Device(_)
            | Self::OAuth(_)
            | Self::Alive
                if channel != Channel::Direct =>
            {
                StatusCode::UNAUTHORIZED
            }
            Self::Choice(_) | Self::SignedOut { .. } | Self::LoggedOut | Self::Session(_) => {
                StatusCode::OK
            }
            Self::Device(DeviceAnswer::Challenge(..)) => StatusCode::FORBIDDEN,
            Self::Device(DeviceAnswer::Instructions(_) | DeviceAnswer::Ended(_)) => StatusCode::OK,
            Self::SeeOther { .. } => StatusCode::SEE_OTHER,
            Self::OAuth(OAuthAnswer::Metadata(_)) => StatusCode::OK,
            Self::OAuth(OAuthAnswer::Registered(_)) => StatusCode::CREATED,
            Self::OAuth(OAuthAnswer::NotRegistered(_)) => StatusCode::BAD_REQUEST,
            Self::Alive | Self::Renewed { .. } | Self::OAuth(OAuthAnswer::Preflight) => {
                StatusCode::NO_CONTENT
            }
            // nginx takes 401 and 403 for an answer and everything else for a failure of its own.
            // An invalid request is not a failure of nginx.
            Self::Failed(
                Failure::Forwarded(_) | Failure::Contradicted(_) | Failure::TooMuchDemanded,
            ) if !follows_redirects => StatusCode::UNAUTHORIZED,
            Self::Failed(failure) => failure.status(),
        }
    }
}

impl Reply {
    /// Removes the client's cookies from a consent.
    pub(super) fn without_cookies_of_clients(mut self) -> Self {
        if let Outcome::Pass(pass) = &mut self.outcome {
            pass.remove_cookies();
        }
        self
    }

    /// Adds the URL that starts the sign-in again, for a failure to show.
    pub fn with_restart_at(mut self, url: String) -> Self {
        self.restart_url = Some(url);
        self
    }

    /// Adds the URL that signs out, for a failure to show.
    pub fn with_switch_at(mut self, url: Option<String>) -> Self {
        self.switch_url = url;
        self
    }

    /// Has the browser register a key for the session that has just begun.
    pub fn with_registration(mut self, registration: Option<String>) -> Self {
        self.registration = registration;
        self
    }

    /// Adds more cookies.
    pub fn and_cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        self.cookies.extend(cookies);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_want_of_a_device_is_a_decision_and_no_failure() {
        for (failure, expected) in [
            (Failure::NotBound, Verdict::Deny),
            (Failure::FormNotBound, Verdict::Deny),
            (Failure::Undecidable, Verdict::Failed),
        ] {
            let outcome = Outcome::Failed(failure);
            assert_eq!(outcome.verdict(), Some(expected), "{outcome:?}");
        }
    }
}
