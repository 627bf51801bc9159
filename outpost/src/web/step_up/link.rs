//! What a link of `start` says of a step-up. Any site can make one, but for the word that vouches for it.

use gatepost_policy::{AUTHENTICATION, LinkedConditions, PROOF, STEP_UP, UNKNOWN_METHOD};
use gatepost_session::SessionId;
use http::Method;
use url::Url;

use crate::application::{Application, ReturnTo};
use crate::sign_in_flow::AskedRequest;
use crate::web::request::ForwardedRequest;

/// The longest method that a link can name, in bytes.
const MAX_METHOD_BYTES: usize = 32;

/// The longest URL that a link can name besides where it leads, in bytes.
const MAX_URL_BYTES: usize = 1_024;

/// The most bytes of a link that the cookies of the sign-in have room for.
const MAX_LINK_BYTES: usize = 8 * 1_024;

/// The name of the parameter of `start` that says that its user takes a weaker session for the one that
/// is there, and the text for which its value vouches.
const REPLACE: &str = "replace";

/// What a link of `start` says of a step-up.
#[derive(Debug)]
pub(in crate::web) struct Link {
    /// Whether it is one of a proxy that has found an authentication lacking, or looks like one.
    pub(super) is_marked: bool,
    /// The request, if it is known.
    pub(super) request: Option<AskedRequest>,
    /// Whether it names a request with a URL that says nothing here.
    pub(super) is_lost: bool,
    conditions: Conditions,
    /// What vouches for the conditions.
    proof: Option<String>,
}

/// What a link asks of an authentication.
#[derive(Debug)]
enum Conditions {
    Nothing,
    Read(LinkedConditions),
    /// It is invalid, or too long.
    Unreadable,
}

impl Link {
    /// Reads a link that leads to `target`, where it names a valid one.
    pub(in crate::web) fn of(
        request: &ForwardedRequest<'_>,
        application: &Application,
        target: Option<&ReturnTo>,
    ) -> Self {
        let asked = request.start_query(STEP_UP);
        let text = request.start_query(AUTHENTICATION);
        let mut link = Self::read(application, target, asked.as_deref(), text.as_deref());
        link.proof = request.start_query(PROOF);
        // More than one.
        let is_there = request.query(AUTHENTICATION).next().is_some();
        if text.is_none() && is_there && !request.has_raw_target() {
            (link.is_marked, link.conditions) = (true, Conditions::Unreadable);
        }
        link.is_lost |= link.request.is_none() && request.return_target().is_some();
        link
    }

    /// Returns the link to `target` that has these parameters, as a sign-in has kept them.
    pub(in crate::web) fn kept(
        application: &Application,
        target: &ReturnTo,
        parameters: &[(String, String)],
    ) -> Self {
        let value = |name| {
            let mut all = parameters.iter();
            all.find_map(|(own, value)| (own == name).then_some(&**value))
        };
        let (asked, conditions) = (value(STEP_UP), value(AUTHENTICATION));
        Self {
            proof: value(PROOF).map(str::to_owned),
            ..Self::read(application, Some(target), asked, conditions)
        }
    }

    fn read(
        application: &Application,
        target: Option<&ReturnTo>,
        asked: Option<&str>,
        conditions: Option<&str>,
    ) -> Self {
        let used = target.map_or(0, |target| target.as_str().len());
        let room = MAX_LINK_BYTES.saturating_sub(used);
        let conditions = match conditions {
            Some(text) if text.len() <= room => {
                LinkedConditions::from_text(text).map_or(Conditions::Unreadable, Conditions::Read)
            }
            Some(_) => Conditions::Unreadable,
            None => Conditions::Nothing,
        };
        let (method, named) = asked.map_or((None, None), split);
        let url = named
            .filter(|url| !url.is_empty())
            .and_then(|url| ReturnTo::parse(url, application))
            .filter(|url| url.as_str().len() <= MAX_URL_BYTES.min(room));
        // The request is another than the one that the browser would be sent to.
        let is_lost = named.is_some() && url.is_none();
        let is_known = !is_lost && (url.is_some() || target.is_some());
        Self {
            is_marked: asked.is_some() || !matches!(conditions, Conditions::Nothing),
            request: is_known.then(|| {
                let method = method.unwrap_or("GET").to_owned();
                AskedRequest {
                    is_from_anywhere: method == UNKNOWN_METHOD,
                    method,
                    url,
                }
            }),
            is_lost,
            conditions,
            proof: None,
        }
    }

    /// Returns the parameters of the same link at another host. What is relative is so to `host`. Of a
    /// target that says nothing (`is_lost`) the link still says that there was one.
    pub(in crate::web) fn parameters_at(
        request: &ForwardedRequest<'_>,
        host: &Url,
        is_lost: bool,
    ) -> Vec<(String, String)> {
        let asked = request.start_query(STEP_UP).map(|text| match split(&text) {
            (Some(method), None) if is_lost => lost(method),
            (Some(method), Some("")) => lost(method),
            (Some(method), Some(url)) => match host.join(url) {
                Ok(url) => format!("{method} {url}"),
                Err(_) => method.to_owned(),
            },
            _ => text,
        });
        let other = |name| (name, request.start_query(name));
        [
            (STEP_UP, asked),
            other(AUTHENTICATION),
            other(PROOF),
            other(REPLACE),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }

    /// Returns whether it asks for something that cannot be read.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(self.conditions, Conditions::Unreadable)
    }

    /// Returns what it asks for.
    pub(super) fn conditions(&self) -> Option<&LinkedConditions> {
        match &self.conditions {
            Conditions::Read(conditions) => Some(conditions),
            Conditions::Nothing | Conditions::Unreadable => None,
        }
    }

    /// Returns whether a proxy that has refused a request of this session has made the link, or a page
    /// that the user has seen.
    pub(super) fn is_vouched_for(&self, application: &Application, session: &SessionId) -> bool {
        let (conditions, word) = (self.conditions(), self.proof.as_deref());
        conditions.zip(word).is_some_and(|(conditions, word)| {
            let text = conditions.step_up().to_text();
            application.has_vouched(session, &text, word)
        })
    }

    /// Returns the parameters of a link that says the same, and for which the outpost vouches to this
    /// session.
    pub(in crate::web) fn parameters(
        &self,
        application: &Application,
        session: &SessionId,
    ) -> Vec<(String, String)> {
        let mut all = parameters(
            application,
            session,
            self.request.as_ref(),
            self.conditions(),
        );
        if self.is_lost {
            all.push((STEP_UP.to_owned(), lost("GET")));
        }
        all
    }
}

/// Returns what a link says of a request whose URL it does not have.
fn lost(method: &str) -> String {
    format!("{method} ")
}

/// Returns the method and the URL that a link names; the method only where it is one.
fn split(text: &str) -> (Option<&str>, Option<&str>) {
    let (method, url) = match text.split_once(' ') {
        Some((method, url)) => (method, Some(url)),
        None => (text, None),
    };
    let is_method =
        method.len() <= MAX_METHOD_BYTES && Method::from_bytes(method.as_bytes()).is_ok();
    (is_method.then_some(method), url)
}

/// Returns the parameters of a link of `start` that says this, for which the outpost vouches to this
/// session.
pub(in crate::web) fn parameters(
    application: &Application,
    session: &SessionId,
    request: Option<&AskedRequest>,
    conditions: Option<&LinkedConditions>,
) -> Vec<(String, String)> {
    let asked = request.map(|asked| match &asked.url {
        Some(url) => format!("{} {}", asked.method, url.as_str()),
        None => asked.method.clone(),
    });
    let conditions = conditions.map(|conditions| conditions.step_up().to_text());
    let proof = conditions
        .as_ref()
        .map(|text| application.vouch(session, text));
    [
        (STEP_UP, asked),
        (AUTHENTICATION, conditions),
        (PROOF, proof),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// Returns the parameter of a link by which the user of a session takes a weaker one in its place.
pub(in crate::web) fn replacing(
    application: &Application,
    session: &SessionId,
) -> (String, String) {
    (REPLACE.to_owned(), application.vouch(session, REPLACE))
}

/// Returns whether the user of a session has followed such a link: no other site can make it.
pub(in crate::web) fn is_replacing(
    application: &Application,
    request: &ForwardedRequest<'_>,
    session: &SessionId,
) -> bool {
    let word = request.start_query(REPLACE);
    word.is_some_and(|word| application.has_vouched(session, REPLACE, &word))
}
