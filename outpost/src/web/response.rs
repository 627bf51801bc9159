//! The one place that makes a response of an outcome.

use axum::body::Body;
use axum::response::Response;
use gatepost_policy::Presentation;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, REFRESH, RETRY_AFTER, SET_COOKIE, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::challenges;
use super::device::DeviceAnswer;
use super::failure::Failure;
use super::oauth::OAuthAnswer;
use super::outcome::{Channel, Outcome, Refused, Reply};
use super::random_id::random_id;
use super::short;
use crate::dialect::Dialect;
use crate::pages::{LAST_RESORT, Language, Page, Reader};
use crate::telemetry::metrics;

/// Has a browser register a key (W3C Device Bound Session Credentials, like the next).
const REGISTRATION: HeaderName = HeaderName::from_static("secure-session-registration");

/// Has a browser sign a challenge.
const CHALLENGE: HeaderName = HeaderName::from_static("secure-session-challenge");

/// The error of RFC 9470 §3, and its words.
const INSUFFICIENT: (&str, &str) = (
    "insufficient_user_authentication",
    "signed in, but not recently or strongly enough",
);

/// Returns the response to `reply`, as a page for `reader` or as JSON.
pub(super) fn respond_with(
    reply: Reply,
    channel: Channel,
    presentation: Presentation,
    reader: Reader<'_>,
) -> Response {
    let status = reply.outcome.status(channel, presentation);
    let mut writer = Writer {
        response: empty(status),
        presentation,
        reader,
        to_proxy: matches!(channel, Channel::ForwardAuth(_)),
    };
    writer.cookies(channel, reply.cookies);
    // Through a proxy's question no session can be bound: an answer of success would be consent.
    if let (Channel::Direct, Some(registration)) = (channel, reply.registration) {
        writer.text_header(REGISTRATION, registration);
    }
    match reply.outcome {
        Outcome::Pass(pass) => {
            let headers = pass.into_headers().into_iter();
            let headers = headers.map(|(name, value)| (Some(name), value));
            writer.response.headers_mut().extend(headers);
        }
        Outcome::Redirect { to } | Outcome::SeeOther { to } => writer.location(&to),
        Outcome::SignIn { url, .. } if status == StatusCode::FOUND => writer.location(&url),
        Outcome::SignIn {
            url,
            challenges,
            is_step_up,
        } => writer.sign_in(&url, challenges, is_step_up),
        Outcome::Choice(mut choice) => {
            if writer.to_proxy {
                short::choice(&mut choice);
            }
            let page = Page::Choice(&choice);
            writer.page_or_json(&page, || json!({"signInAt": choice.offers}));
        }
        Outcome::Denied(mut denied) => {
            if writer.to_proxy {
                short::denied(&mut denied);
            }
            writer.page_or_json(&Page::Denied(&denied), || {
                let message = match denied.signed_in_as {
                    Some(_) => "signed in, but not admitted to this application",
                    None => "closed to every client",
                };
                let mut body = json!({
                    "error": "denied",
                    "message": message,
                    "application": denied.application,
                });
                if let (Some(rule), Value::Object(body)) = (&denied.rule_name, &mut body) {
                    body.insert("rule".to_owned(), rule.as_str().into());
                }
                body
            });
        }
        Outcome::Refused(refused) => writer.refused(&refused),
        Outcome::SignedOut { application_url } => {
            let page = Page::SignedOut {
                application_url: &application_url,
            };
            writer.page_or_json(&page, || json!({"signedOut": true}));
        }
        Outcome::Session(mut view) => {
            if writer.to_proxy {
                short::session(&mut view);
            }
            writer.page_or_json(&Page::Session(&view), || {
                serde_json::to_value(&*view).unwrap_or_default()
            });
        }
        Outcome::Device(DeviceAnswer::Instructions(instructions)) => writer.json(&instructions),
        Outcome::Device(DeviceAnswer::Challenge(challenge, name)) => writer.text_header(
            CHALLENGE,
            format!("\"{}\";id=\"{name}\"", challenge.as_str()),
        ),
        Outcome::Device(DeviceAnswer::Ended(name)) => writer.json(&json!({
            "session_identifier": name.as_str(),
            "continue": false,
        })),
        Outcome::OAuth(answer) => writer.oauth(answer),
        Outcome::Renewed { to: Some(page) } => {
            writer.text_header(ACCESS_CONTROL_ALLOW_ORIGIN, page);
            let yes = HeaderValue::from_static("true");
            writer.header(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
            writer.header(VARY, HeaderValue::from_static("Cookie, Origin"));
        }
        Outcome::LoggedOut | Outcome::Alive | Outcome::Renewed { to: None } => {}
        Outcome::Failed(failure) => writer.failure(
            &failure,
            reply.restart_url.as_deref(),
            reply.switch_url.as_deref(),
        ),
    }
    writer.response
}

/// Returns a response without content, with the headers that every response has.
fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Cookie"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A response that is being written.
struct Writer<'p> {
    response: Response,
    presentation: Presentation,
    reader: Reader<'p>,
    /// Whether the answer goes to a proxy, which may take no more than
    /// [`Pages::max_answer_bytes`](crate::pages::Pages::max_answer_bytes).
    to_proxy: bool,
}

impl Writer<'_> {
    fn cookies(&mut self, channel: Channel, cookies: Vec<String>) {
        // nginx hands one cookie on, and a part of a session is of no use. Without any, the browser
        // keeps its cookies, which still identify the session in the store.
        let cookies = match channel {
            Channel::ForwardAuth(Dialect::Nginx) if cookies.len() > 1 => Vec::new(),
            _ => cookies,
        };
        for cookie in cookies {
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                self.response.headers_mut().append(SET_COOKIE, cookie);
            }
        }
    }

    fn location(&mut self, to: &str) {
        match HeaderValue::try_from(to) {
            Ok(to) => self.header(LOCATION, to),
            // Every target is a serialised URL, so this is not reached; a redirect to nowhere would
            // be a response that decides nothing.
            Err(_) => *self.response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn sign_in(&mut self, url: &str, challenges: Vec<String>, is_step_up: bool) {
        for challenge in challenges {
            self.challenge(challenge);
        }
        let url = match self.to_proxy {
            true => short::url(url),
            false => url.into(),
        };
        if self.presentation == Presentation::Form {
            self.page(&Page::NotDelivered {
                sign_in_url: &url,
                is_step_up,
            });
        } else {
            let (error, message) = match is_step_up {
                true => INSUFFICIENT,
                false => ("unauthenticated", "sign in first"),
            };
            self.json(&json!({"error": error, "message": message, "signIn": url}));
        }
    }

    fn refused(&mut self, refused: &Refused) {
        self.challenge(refused.challenge.clone());
        let (error, message) = match refused.retry_after {
            Some(seconds) => {
                self.header(RETRY_AFTER, HeaderValue::from(seconds));
                (
                    "too_many_attempts",
                    "too many invalid credentials: wait a minute",
                )
            }
            None if refused.is_step_up => INSUFFICIENT,
            None => ("invalid_credentials", "the credentials are invalid"),
        };
        self.json(&json!({"error": error, "message": message}));
    }

    fn oauth(&mut self, answer: OAuthAnswer) {
        let any = HeaderValue::from_static("*");
        self.header(ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
        match answer {
            OAuthAnswer::Metadata(metadata) | OAuthAnswer::Registered(metadata) => {
                self.json(&metadata);
            }
            OAuthAnswer::NotRegistered(error) => self.json(&error.json()),
            OAuthAnswer::Preflight => self.header(ACCESS_CONTROL_ALLOW_HEADERS, any),
        }
    }

    /// Logs and counts a failure, and shows its code and what ties it to the log line.
    fn failure(&mut self, failure: &Failure, restart_url: Option<&str>, switch_url: Option<&str>) {
        let reference = &*random_id();
        metrics::failed(failure.code().as_str());
        if matches!(failure, Failure::TooMany(_)) {
            // Logged once for many: a flood of requests must not be a flood of lines.
            tracing::debug!(%failure, reference, "request refused");
        } else if failure.is_operators() {
            tracing::error!(%failure, reference, "request failed");
        } else {
            tracing::info!(%failure, reference, "request refused");
        }
        if let Some(seconds) = failure.retry_after() {
            self.header(RETRY_AFTER, HeaderValue::from(seconds));
        }
        // Browsers understand it, though no standard has it but HTML (`http-equiv=refresh`). Each
        // time counts for `rateLimit`.
        if matches!(failure, Failure::Binding) {
            self.header(REFRESH, HeaderValue::from_static("3"));
        }
        let code = failure.code();
        // Of a proxy's question, this alone reaches the browser from nginx: by it `gatepost check`
        // distinguishes a proxy that asks wrongly from a user who has to sign in.
        if self.response.status() == StatusCode::UNAUTHORIZED {
            self.challenge(challenges::for_failure(code));
        }
        let restart_url = restart_url.map(|url| match self.to_proxy {
            true => short::url(url),
            false => url.into(),
        });
        let restart_url = restart_url.as_deref();
        let page = Page::Failure {
            code,
            reference,
            restart_url,
            switch_url,
        };
        self.page_or_json(&page, || {
            let mut answer = json!({
                "error": code.as_str(),
                "message": Language::ENGLISH.failure_title(code),
                "reference": reference,
            });
            if let (Some(url), Some(members)) = (restart_url, answer.as_object_mut()) {
                members.insert("signIn".to_owned(), url.into());
            }
            answer
        });
    }

    fn challenge(&mut self, challenge: String) {
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            self.response
                .headers_mut()
                .append(WWW_AUTHENTICATE, challenge);
        }
    }

    fn text_header(&mut self, name: HeaderName, value: String) {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.header(name, value);
        }
    }

    fn header(&mut self, name: HeaderName, value: HeaderValue) {
        self.response.headers_mut().insert(name, value);
    }

    /// Writes the page for a user, or `json` for a script.
    fn page_or_json(&mut self, page: &Page<'_>, json: impl FnOnce() -> Value) {
        match self.presentation {
            Presentation::PageLoad | Presentation::Form => self.page(page),
            Presentation::Data => self.json(&json()),
        }
    }

    fn page(&mut self, page: &Page<'_>) {
        for (name, value) in self.reader.headers() {
            self.header(name, value);
        }
        self.content(self.reader.render(page), LAST_RESORT);
    }

    fn json(&mut self, body: &Value) {
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.content(body.to_string(), "{}");
    }

    /// Writes the content, or `otherwise` where a proxy would not take it: texts of the operator's,
    /// such as a provider's title, have no limit.
    fn content(&mut self, content: String, otherwise: &'static str) {
        let most = self.reader.pages.max_answer_bytes();
        *self.response.body_mut() = if self.to_proxy && content.len() > most {
            let bytes = content.len();
            tracing::error!(
                bytes,
                most,
                "an answer is too long for a proxy, and left out"
            );
            Body::from(otherwise)
        } else {
            Body::from(content)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device_bound::SessionName;
    use crate::pages::{
        Brand, Choice, Denied, FailureCode, MAX_ANSWER_BYTES, Offer, Pages, SessionView,
    };
    use crate::web::failure::LoopCause;
    use gatepost_oidc::SignInError;

    /// Returns every outcome that lets nothing upstream. A new variant fails to compile here until
    /// it is added.
    fn refusals() -> Vec<Outcome> {
        let url = || "https://wiki.example.com/".to_owned();
        let denied = Denied {
            application: "wiki".into(),
            signed_in_as: Some("alice".into()),
            sign_out_url: url(),
            rule: None,
            rule_name: None,
        };
        let choice = Choice {
            application: "wiki".into(),
            offers: Vec::new(),
        };
        let refused = |retry_after| Refused {
            challenge: "Basic realm=\"wiki\"".into(),
            retry_after,
            is_step_up: false,
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
            device_bound: false,
            sign_out: url(),
        };
        let name = SessionName::parse("a-name").expect("a name");
        let all = vec![
            Outcome::SignIn {
                url: url(),
                challenges: Vec::new(),
                is_step_up: false,
            },
            Outcome::Choice(choice),
            Outcome::Denied(denied),
            Outcome::Refused(refused(None)),
            Outcome::Refused(refused(Some(60))),
            Outcome::Redirect { to: url() },
            Outcome::SeeOther { to: url() },
            Outcome::SignedOut {
                application_url: url(),
            },
            Outcome::LoggedOut,
            Outcome::Renewed { to: Some(url()) },
            Outcome::Session(Box::new(view)),
            Outcome::Device(DeviceAnswer::Ended(name)),
            Outcome::Device(DeviceAnswer::Instructions(json!({"continue": true}))),
            Outcome::OAuth(OAuthAnswer::Metadata(json!({"resource": url()}))),
            Outcome::OAuth(OAuthAnswer::Preflight),
            Outcome::OAuth(OAuthAnswer::Registered(json!({"client_id": "mcp"}))),
            Outcome::Alive,
            Outcome::Failed(Failure::NotFound),
            Outcome::Failed(Failure::Forwarded("X-Original-URL")),
            Outcome::Failed(Failure::Loop(LoopCause::NotKept)),
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
                | Outcome::SeeOther { .. }
                | Outcome::SignedOut { .. }
                | Outcome::LoggedOut
                | Outcome::Renewed { .. }
                | Outcome::Session(_)
                | Outcome::Device(_)
                | Outcome::OAuth(_)
                | Outcome::Alive
                | Outcome::Failed(_) => {}
            }
        }
        all
    }

    /// Every outcome with a page, with values as long as they can be.
    fn long_outcomes() -> Vec<Outcome> {
        let hostile = |bytes: usize| "'".repeat(bytes);
        let url = || {
            format!(
                "https://wiki.example.com/akprox/start?rd={}",
                "%2F".repeat(4_000)
            )
        };
        let mut outcomes = refusals();
        outcomes.retain(|outcome| !matches!(outcome, Outcome::Session(_) | Outcome::Denied(_)));
        let offers = (0..8).map(|_| Offer {
            title: "A provider's title".to_owned(),
            url: url(),
            last_used: true,
            available: false,
        });
        let view = |groups: Vec<String>| SessionView {
            application: "w".repeat(128),
            provider: Some("A provider's title".to_owned()),
            issuer: "https://id.example.com".into(),
            subject: hostile(9_000),
            username: Some(hostile(9_000)),
            name: Some(hostile(9_000)),
            email: Some(hostile(9_000)),
            groups,
            signed_in_at: 1_800_000_000,
            renews_at: 1_800_000_000,
            window_ends_at: 1_800_000_000,
            ends_at: 1_800_000_000,
            device_bound: true,
            sign_out: "https://wiki.example.com/akprox/sign_out".to_owned(),
        };
        outcomes.extend([
            Outcome::SignIn {
                url: url(),
                challenges: vec!["w".repeat(128)],
                is_step_up: true,
            },
            Outcome::Choice(Choice {
                application: "w".repeat(128),
                offers: offers.collect(),
            }),
            Outcome::Denied(Denied {
                application: "w".repeat(128),
                signed_in_as: Some(hostile(9_000)),
                sign_out_url: "https://wiki.example.com/akprox/sign_out".to_owned(),
                rule: Some(hostile(9_000)),
                rule_name: Some("r".repeat(64)),
            }),
            Outcome::Session(Box::new(view(vec!["a group".to_owned(); 5_000]))),
            Outcome::Session(Box::new(view(vec![hostile(300); 200]))),
            Outcome::Session(Box::new(view(vec![hostile(9_000)]))),
        ]);
        outcomes
    }

    /// Traefik allocates `maxResponseBodySize` for each request, and refuses what is longer.
    #[tokio::test]
    async fn no_answer_to_a_proxy_is_longer_than_the_recipes_allow() {
        let pages = Pages::new(&Brand::default()).expect("templates");
        let mut longest = 0;
        for language in ["de", "en"] {
            let language = Language::accepted(Some(language));
            let reader = Reader {
                pages: &pages,
                language,
            };
            for code in FailureCode::ALL {
                let reference = "0123456789abcdef0123456789abcdef";
                for bytes in [2_500, 9_000] {
                    let rd = "a".repeat(bytes - 45);
                    let url = format!("https://wiki.example.com/akprox/start?rd={rd}");
                    let page = reader.render(&Page::Failure {
                        code: *code,
                        reference,
                        restart_url: Some(&short::url(&url)),
                        switch_url: Some("https://wiki.example.com/akprox/sign_out"),
                    });
                    assert!(page.len() <= MAX_ANSWER_BYTES, "{code:?}: {}", page.len());
                }
            }
            for presentation in [
                Presentation::PageLoad,
                Presentation::Form,
                Presentation::Data,
            ] {
                for outcome in long_outcomes() {
                    let case = format!("{outcome:.80?} {presentation:?}");
                    let channel = Channel::ForwardAuth(Dialect::Traefik);
                    let response = respond_with(outcome.into(), channel, presentation, reader);
                    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
                    let body = body.expect("a body");
                    assert!(body.len() <= MAX_ANSWER_BYTES, "{case}: {}", body.len());
                    let left_out = body == LAST_RESORT.as_bytes() || &body[..] == b"{}";
                    assert!(!left_out, "{case}");
                    longest = longest.max(body.len());
                }
            }
        }
        assert!(longest > MAX_ANSWER_BYTES / 2, "{longest}");
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
                    let reply = Reply::from(outcome);
                    let response =
                        respond_with(reply, Channel::ForwardAuth(dialect), presentation, reader);
                    let status = response.status();
                    assert!(!status.is_success(), "{case}: {status}");
                    assert_eq!(response.headers()[CACHE_CONTROL], "no-store", "{case}");
                }
            }
        }
    }
}
