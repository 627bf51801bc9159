//! The provider's answer to a sign-in, in the query or in a form.
//!
//! A form (OAuth 2.0 Form Post Response Mode) is posted from the provider's site. Browsers leave the
//! cookies of the sign-in out of such a request, since they are `SameSite=Lax`; without that they
//! would be in every request that any site makes. So the form is sealed and handed back to the
//! browser, which comes to the same path again by a navigation that such cookies are part of. The
//! code is in no URL in the clear, and the flow's cookie decides as always: a site that posts a form
//! here reaches nothing that a link would not.

use axum::body::Body;
use gatepost_base::SealingKeys;
use gatepost_session::NumericDate;
use http::request;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::application::Application;
use crate::compat::Conventions;
use crate::web::context::Context;
use crate::web::endpoint::callback_name;
use crate::web::failure::Failure;
use crate::web::form::{Form, NoForm};
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;
use gatepost_oidc::{Provider, ResponseMode, excerpt};

/// The parameter that has a sealed answer.
const SEALED: &str = "response";

/// How long a sealed answer is good for, in seconds: for one redirect.
const LIFETIME_SECONDS: u64 = 60;

/// The longest answer that is sealed, in bytes: servers refuse longer URLs.
const MAX_BYTES: usize = 5 * 1024;

/// A provider's answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Response {
    pub(super) state: String,
    pub(super) code: Option<String>,
    /// RFC 9207 §2.
    pub(super) iss: Option<String>,
    /// Whether `iss` occurs more than once, so that none counts.
    #[serde(default, skip)]
    pub(super) repeats_issuer: bool,
    pub(super) error: Option<String>,
    pub(super) error_description: Option<String>,
}

/// A query has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// What is sealed in it is too old, changed or another application's.
    Sealed,
    /// It has no `state`, or several.
    Malformed,
}

/// The plaintext of a sealed answer.
#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    response: Response,
    exp: NumericDate,
}

impl Response {
    /// Returns the answer that a request has in its query: as it is, or sealed.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub(super) fn of(
        request: &ForwardedRequest<'_>,
        application: &Application,
        keys: &SealingKeys,
        now: NumericDate,
    ) -> Result<Self, Unreadable> {
        if request.query(SEALED).next().is_some() {
            let sealed = request.single_query(SEALED);
            let opened = sealed.and_then(|sealed| Self::open(&sealed, application, keys, now));
            return opened.ok_or(Unreadable::Sealed);
        }
        let state = request.single_query("state");
        Ok(Self {
            state: state.ok_or(Unreadable::Malformed)?,
            code: request.single_query("code"),
            iss: request.single_query("iss"),
            repeats_issuer: request.query("iss").count() > 1,
            error: request.query("error").next().map(|code| excerpt(&code)),
            error_description: request
                .single_query("error_description")
                .map(|text| excerpt(&text)),
        })
    }

    /// Returns the answer that a form has.
    fn of_form(form: &Form) -> Result<Self, NoForm> {
        let field = |name| Ok(form.field(name)?.map(str::to_owned));
        Ok(Self {
            state: field("state")?.ok_or(NoForm)?,
            code: field("code")?,
            iss: field("iss")?,
            repeats_issuer: false,
            error: form.field("error")?.map(excerpt),
            error_description: form.field("error_description")?.map(excerpt),
        })
    }

    /// `None` where it is too long, or the operating system has no randomness.
    fn seal(
        self,
        application: &Application,
        keys: &SealingKeys,
        now: NumericDate,
    ) -> Option<String> {
        let sealed = Sealed {
            response: self,
            exp: now.plus_seconds(LIFETIME_SECONDS),
        };
        let plaintext = serde_json::to_vec(&sealed).ok()?;
        if plaintext.len() > MAX_BYTES {
            return None;
        }
        keys.seal_text(&purpose(application), &plaintext)
    }

    fn open(
        text: &str,
        application: &Application,
        keys: &SealingKeys,
        now: NumericDate,
    ) -> Option<Self> {
        let plaintext = keys.open_text(&purpose(application), text)?;
        let sealed: Sealed = serde_json::from_slice(&plaintext).ok()?;
        (now < sealed.exp).then_some(sealed.response)
    }
}

/// What a sealed answer is for: no other application takes it, and no cookie of a flow is one.
fn purpose(application: &Application) -> String {
    format!("callback {}", application.audience())
}

/// Answers a browser that posts the provider's answer, where a provider of the application has it do
/// so at this path.
pub(in crate::web) async fn receive(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    parts: &request::Parts,
    body: Body,
) -> Reply {
    let mut providers = application.providers().iter();
    let posts = providers.any(|provider| {
        provider.settings().response_mode == ResponseMode::FormPost
            && is_at_uri_of(provider, application, request)
    });
    if !posts {
        return Failure::MethodNotAllowed.into();
    }
    let form = Form::read(parts, body).await;
    let response = form.and_then(|form| Response::of_form(&form));
    let keys = &context.snapshot.flow_keys;
    let sealed = response
        .ok()
        .and_then(|response| response.seal(application, keys, context.now()));
    let Some(sealed) = sealed else {
        return Failure::MalformedCallback.into();
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair(SEALED, &sealed);
    let origin = application.external().origin();
    Outcome::SeeOther {
        to: format!("{origin}{}?{}", request.path(), query.finish()),
    }
    .into()
}

/// Returns whether a callback has come to the redirect URI of `provider`.
pub(super) fn is_at_uri_of(
    provider: &Provider,
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> bool {
    application.conventions() == Conventions::Authentik
        || callback_name(request.path()) == application.callback_name(provider)
}
