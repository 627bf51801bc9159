//! What an endpoint decided, and the one place that makes a response of it.

use axum::body::Body;
use axum::response::Response;
use gatepost_policy::{Permit, Presentation, Scheme};
use gatepost_session::Claims;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use super::correlation::fresh;
use super::denied;
use super::endpoint::Dialect;
use super::failure::Failure;
use super::visit::Visit;
use crate::application::Application;
use crate::pages::{Choice, Denied, Language, Page, Reader, SessionView};
use crate::telemetry::audit;
use crate::telemetry::metrics::{self, Verdict};

/// An outcome and the cookies that go with it.
#[derive(Debug)]
#[must_use]
pub struct Answer {
    /// What was decided.
    pub outcome: Outcome,
    /// The `Set-Cookie` values to send, whatever the outcome.
    pub cookies: Vec<String>,
}

/// What an endpoint decided.
///
/// There is no default, and only [`Outcome::Pass`] lets a request go upstream.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// The request that a proxy asked about may go upstream.
    Pass(Pass),
    /// Its sender has to sign in first.
    SignIn {
        /// The absolute URL of `start`.
        url: String,
        /// The application.
        application: String,
    },
    /// Its sender has to choose where.
    Choice(Choice),
    /// Its sender is signed in and may not pass.
    Denied(Denied),
    /// Its sender has credentials that do not hold.
    Refused(Refused),
    /// The browser goes elsewhere.
    Redirect {
        /// An absolute URL, checked by whoever made it.
        to: String,
    },
    /// The session has ended.
    SignedOut {
        /// Where to sign in again.
        application_url: String,
    },
    /// The provider's word that somebody has signed out was taken.
    LoggedOut,
    /// The caller's own session.
    Session(Box<SessionView>),
    /// Somebody is there.
    Alive,
    /// It did not work.
    Failed(Failure),
}

/// Permission to go upstream, with the headers that tell the upstream who comes. Made of the
/// policy's [`Permit`] alone.
#[derive(Debug)]
pub struct Pass {
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Pass {
    /// The permission that `permit` gives.
    ///
    /// Beside the identity it has the `Cookie` line without Gatepost's own, for proxies that take it
    /// over: an upstream that cannot see the cookie cannot replay it at another.
    pub fn new(
        permit: &Permit<'_>,
        application: &Application,
        visit: &Visit<'_>,
        dialect: Dialect,
    ) -> Self {
        let rules = &application.headers;
        let set = |name: &gatepost_policy::HeaderName, value: &str| {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        let mut headers: Vec<(HeaderName, HeaderValue)> = rules
            .render(permit)
            .filter_map(|(name, value)| set(name, &value))
            .collect();
        let cookies = visit.cookies_but(application.hidden_cookies());
        headers.extend(cookies.map(|cookies| (COOKIE, cookies)));
        // Likewise for proxies that take `Authorization` over: what is not for the outpost is
        // between client and application.
        if application.machine_clients.is_some() {
            headers.extend(visit.credentials().map(|line| (AUTHORIZATION, line)));
        }
        // These proxies leave what the client sent under a name that the answer lacks.
        if matches!(dialect, Dialect::Caddy | Dialect::Envoy) {
            let cookie = (COOKIE, HeaderValue::from_static(""));
            let withheld = rules.withheld().filter_map(|name| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_static("")))
            });
            let absent: Vec<_> = rules
                .names()
                .filter_map(|name| set(name, ""))
                .chain(withheld)
                .chain([cookie])
                .filter(|(name, _)| headers.iter().all(|(own, _)| own != name))
                .collect();
            headers.extend(absent);
        }
        Self { headers }
    }

    /// The permission without the credentials that it was given for, for proxies that take
    /// `Authorization` over: an upstream that cannot see them cannot use them at another.
    pub fn without_credentials(mut self, dialect: Dialect) -> Self {
        self.headers.retain(|(name, _)| *name != AUTHORIZATION);
        // As for cookies: these leave what the client sent where the answer says nothing.
        if matches!(dialect, Dialect::Caddy | Dialect::Envoy) {
            self.headers
                .push((AUTHORIZATION, HeaderValue::from_static("")));
        }
        self
    }

    /// The permission with headers that the permit does not know of.
    pub fn with_headers(mut self, further: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.headers
            .retain(|(name, _)| further.iter().all(|(own, _)| own != name));
        self.headers.extend(further);
        self
    }
}

/// Whose credentials were refused. It does not say why, nor who it would have been.
#[derive(Debug)]
pub struct Refused {
    /// The application.
    pub application: String,
    /// The credentials' scheme.
    pub scheme: Scheme,
    /// After how many seconds to come again, where the provider was not even asked since the client
    /// has brought too many that do not hold.
    pub retry_after: Option<u64>,
}

impl Refused {
    /// The challenge (RFC 6750 §3, RFC 7617 §2).
    fn challenge(&self) -> String {
        let realm = &self.application;
        match self.scheme {
            Scheme::Bearer => format!("Bearer realm=\"{realm}\", error=\"invalid_token\""),
            Scheme::Basic => format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
        }
    }
}

/// By which way an answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// To the browser that asked.
    Direct,
    /// To a proxy that asked about a request, and takes 2xx for consent.
    ForwardAuth(Dialect),
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            cookies: Vec::new(),
        }
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Outcome::Failed(failure).into()
    }
}

impl Outcome {
    /// Refuses a person whom the application's policy does not admit, and notes it.
    pub fn denied(application: &Application, claims: &Claims) -> Self {
        audit::denied(application.audience.as_str(), claims);
        Self::Denied(denied::by_policy(application, claims))
    }

    /// Refuses a person whom the application's own rule does not admit, and who therefore has no
    /// session, and notes it.
    pub fn turned_away(application: &Application, claims: &Claims) -> Answer {
        application.counts.decided(Verdict::Deny);
        audit::denied(application.audience.as_str(), claims);
        Self::Denied(denied::without_session(application, claims))
            .with_cookies(application.cookie.remove())
    }

    /// This outcome with cookies.
    pub fn with_cookies(self, cookies: Vec<String>) -> Answer {
        Answer {
            outcome: self,
            cookies,
        }
    }

    /// What was decided about a request, where one was asked about.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Pass(_) => Some(Verdict::Allow),
            Self::SignIn { .. } => Some(Verdict::SignIn),
            Self::Denied(_) => Some(Verdict::Deny),
            Self::Refused(_) => Some(Verdict::SignIn),
            Self::Failed(_) => Some(Verdict::Failed),
            Self::Choice(_)
            | Self::Redirect { .. }
            | Self::SignedOut { .. }
            | Self::LoggedOut
            | Self::Session(_)
            | Self::Alive => None,
        }
    }

    /// The status by which the outcome leaves.
    ///
    /// To a proxy only [`Outcome::Pass`] has one of success: a page that were fine for a browser
    /// would let the request upstream.
    fn status(&self, channel: Channel, presentation: Presentation) -> StatusCode {
        let follows_redirects = !matches!(channel, Channel::ForwardAuth(Dialect::Nginx));
        match self {
            Self::Pass(_) => StatusCode::OK,
            Self::SignIn { .. } if presentation == Presentation::PageLoad && follows_redirects => {
                StatusCode::FOUND
            }
            Self::SignIn { .. } => StatusCode::UNAUTHORIZED,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            // nginx knows no answer but 401 and 403.
            Self::Refused(refused) if refused.retry_after.is_some() && follows_redirects => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Refused(_) => StatusCode::UNAUTHORIZED,
            Self::Redirect { .. } if follows_redirects => StatusCode::FOUND,
            Self::Redirect { .. } => StatusCode::UNAUTHORIZED,
            Self::Choice(_)
            | Self::SignedOut { .. }
            | Self::LoggedOut
            | Self::Session(_)
            | Self::Alive
                if channel != Channel::Direct =>
            {
                StatusCode::UNAUTHORIZED
            }
            Self::Choice(_) | Self::SignedOut { .. } | Self::LoggedOut | Self::Session(_) => {
                StatusCode::OK
            }
            Self::Alive => StatusCode::NO_CONTENT,
            // nginx takes 401 and 403 for an answer and everything else for a failure of its own,
            // which it is not when the request was not to be understood.
            Self::Failed(Failure::Forwarded(_) | Failure::Contradicted(_))
                if !follows_redirects =>
            {
                StatusCode::UNAUTHORIZED
            }
            Self::Failed(failure) => failure.status(),
        }
    }
}

impl Answer {
    /// This answer with more cookies.
    pub fn and_cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// The response.
    pub fn into_response(
        self,
        channel: Channel,
        presentation: Presentation,
        reader: Reader<'_>,
    ) -> Response {
        let status = self.outcome.status(channel, presentation);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("Cookie"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // nginx hands one cookie on, and a part of a session is none. Without any, the browser
        // keeps what it has, which stays the key to the session in the store.
        let cookies = match channel {
            Channel::ForwardAuth(Dialect::Nginx) if self.cookies.len() > 1 => Vec::new(),
            _ => self.cookies,
        };
        for cookie in cookies {
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                headers.append(SET_COOKIE, cookie);
            }
        }
        match self.outcome {
            Outcome::Pass(pass) => headers.extend(
                pass.headers
                    .into_iter()
                    .map(|(name, value)| (Some(name), value)),
            ),
            Outcome::Redirect { to } => set_location(&mut response, &to),
            Outcome::SignIn { url, .. } if status == StatusCode::FOUND => {
                set_location(&mut response, &url);
            }
            Outcome::SignIn { url, application } => {
                // Not `Basic` or `Bearer`, which browsers and clients would act on.
                if let Ok(challenge) =
                    HeaderValue::try_from(format!("Gatepost realm=\"{application}\""))
                {
                    headers.insert(WWW_AUTHENTICATE, challenge);
                }
                if presentation == Presentation::Form {
                    set_page(
                        &mut response,
                        reader,
                        &Page::NotDelivered { sign_in_url: &url },
                    );
                } else {
                    let body = json!({
                        "error": "unauthenticated",
                        "message": "sign in first",
                        "signIn": url,
                    });
                    set_json(&mut response, &body);
                }
            }
            Outcome::Choice(choice) => match presentation {
                Presentation::PageLoad | Presentation::Form => {
                    set_page(&mut response, reader, &Page::Choice(&choice));
                }
                Presentation::Data => set_json(&mut response, &json!({"signInAt": choice.offers})),
            },
            Outcome::Denied(denied) => match presentation {
                Presentation::PageLoad | Presentation::Form => {
                    set_page(&mut response, reader, &Page::Denied(&denied))
                }
                Presentation::Data => {
                    let body = json!({
                        "error": "denied",
                        "message": "signed in, but not admitted to this application",
                        "application": denied.application,
                    });
                    set_json(&mut response, &body);
                }
            },
            Outcome::Refused(refused) => {
                if let Ok(challenge) = HeaderValue::try_from(refused.challenge()) {
                    headers.insert(WWW_AUTHENTICATE, challenge);
                }
                let (error, message) = match refused.retry_after {
                    Some(seconds) => {
                        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
                        (
                            "too_many_attempts",
                            "wrong credentials came too often: wait a minute",
                        )
                    }
                    None => ("invalid_credentials", "the credentials do not hold"),
                };
                let body = json!({"error": error, "message": message});
                set_json(&mut response, &body);
            }
            Outcome::SignedOut { application_url } => match presentation {
                Presentation::PageLoad | Presentation::Form => {
                    let page = Page::SignedOut {
                        application_url: &application_url,
                    };
                    set_page(&mut response, reader, &page);
                }
                Presentation::Data => set_json(&mut response, &json!({"signedOut": true})),
            },
            Outcome::Session(view) => match presentation {
                Presentation::PageLoad | Presentation::Form => {
                    set_page(&mut response, reader, &Page::Session(&view))
                }
                Presentation::Data => {
                    let body = serde_json::to_value(&*view).unwrap_or_default();
                    set_json(&mut response, &body);
                }
            },
            Outcome::LoggedOut | Outcome::Alive => {}
            Outcome::Failed(failure) => set_failure(&mut response, &failure, presentation, reader),
        }
        response
    }
}

fn set_failure(
    response: &mut Response,
    failure: &Failure,
    presentation: Presentation,
    reader: Reader<'_>,
) {
    let reference = &*fresh();
    metrics::failed(failure.code().as_str());
    if matches!(failure, Failure::TooMany(_)) {
        // Said once for many: a flood of requests is to be none of lines.
        tracing::debug!(%failure, reference, "request refused");
    } else if failure.is_operators() {
        tracing::error!(%failure, reference, "request failed");
    } else {
        tracing::info!(%failure, reference, "request refused");
    }
    if let Some(seconds) = failure.retry_after() {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let code = failure.code();
    match presentation {
        Presentation::PageLoad | Presentation::Form => {
            set_page(response, reader, &Page::Failure { code, reference });
        }
        Presentation::Data => {
            let body = json!({
                "error": code.as_str(),
                "message": Language::ENGLISH.failure_title(code),
                "reference": reference,
            });
            set_json(response, &body);
        }
    }
}

fn set_location(response: &mut Response, to: &str) {
    match HeaderValue::try_from(to) {
        Ok(to) => {
            response.headers_mut().insert(LOCATION, to);
        }
        // Every target is a serialised URL, so this is not reached; a redirect to nowhere would
        // be an answer that decides nothing.
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn set_json(response: &mut Response, body: &serde_json::Value) {
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from(body.to_string());
}

fn set_page(response: &mut Response, reader: Reader<'_>, page: &Page<'_>) {
    let headers = response.headers_mut();
    for (name, value) in reader.headers() {
        headers.insert(name, value);
    }
    *response.body_mut() = Body::from(reader.render(page));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Brand, Pages};
    use gatepost_oidc::SignInError;

    /// Every outcome that lets nothing upstream. A new variant fails to compile here until it is
    /// among them.
    fn refusals() -> Vec<Outcome> {
        let url = || "https://wiki.example.com/".to_owned();
        let denied = Denied {
            application: "wiki".into(),
            signed_in_as: "alice".into(),
            sign_out_url: url(),
            rule: None,
        };
        let choice = Choice {
            application: "wiki".into(),
            offers: Vec::new(),
        };
        let refused = |retry_after| Refused {
            application: "wiki".into(),
            scheme: Scheme::Basic,
            retry_after,
        };
        let view = SessionView {
            application: "wiki".into(),
            provider: None,
            issuer: "https://id.example.com".into(),
            subject: "alice-id".into(),
            username: None,
            name: None,
            email: None,
            groups: Vec::new(),
            signed_in_at: 0,
            renews_at: 0,
            window_ends_at: 0,
            ends_at: 0,
            sign_out: url(),
        };
        let all = vec![
            Outcome::SignIn {
                url: url(),
                application: "wiki".into(),
            },
            Outcome::Choice(choice),
            Outcome::Denied(denied),
            Outcome::Refused(refused(None)),
            Outcome::Refused(refused(Some(60))),
            Outcome::Redirect { to: url() },
            Outcome::SignedOut {
                application_url: url(),
            },
            Outcome::LoggedOut,
            Outcome::Session(Box::new(view)),
            Outcome::Alive,
            Outcome::Failed(Failure::NotFound),
            Outcome::Failed(Failure::Forwarded("X-Original-URL")),
            Outcome::Failed(Failure::Loop(crate::web::LoopCause::NotKept)),
            Outcome::Failed(Failure::SignIn(SignInError::NoIdToken)),
        ];
        for outcome in &all {
            match outcome {
                Outcome::Pass(_) => panic!("not a refusal"),
                Outcome::SignIn { .. }
                | Outcome::Choice(_)
                | Outcome::Denied(_)
                | Outcome::Refused(_)
                | Outcome::Redirect { .. }
                | Outcome::SignedOut { .. }
                | Outcome::LoggedOut
                | Outcome::Session(_)
                | Outcome::Alive
                | Outcome::Failed(_) => {}
            }
        }
        all
    }

    #[test]
    fn no_refusal_leaves_with_a_status_that_a_proxy_takes_for_consent() {
        let pages = Pages::new(&Brand::default()).expect("templates");
        let reader = Reader {
            pages: &pages,
            language: Language::ENGLISH,
        };
        for dialect in [
            Dialect::Traefik,
            Dialect::Caddy,
            Dialect::Envoy,
            Dialect::Nginx,
        ] {
            for presentation in [
                Presentation::PageLoad,
                Presentation::Form,
                Presentation::Data,
            ] {
                for outcome in refusals() {
                    let case = format!("{outcome:?} {dialect:?} {presentation:?}");
                    let answer = Answer::from(outcome);
                    let response =
                        answer.into_response(Channel::ForwardAuth(dialect), presentation, reader);
                    let status = response.status();
                    assert!(!status.is_success(), "{case}: {status}");
                    assert_eq!(response.headers()[CACHE_CONTROL], "no-store", "{case}");
                }
            }
        }
    }
}
