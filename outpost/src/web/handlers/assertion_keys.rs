//! `jwks.json`: the public keys with which applications verify assertions (RFC 7517). Everyone may know
//! them.
//!
//! They are the same at every host, also at one of no application: an application reaches the outpost by
//! whatever name their network has for it.

use http::Method;

use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::oauth::OAuthAnswer;
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;

/// Answers an application that asks for the keys.
pub(in crate::web) fn answer(context: Context<'_>, request: &ForwardedRequest<'_>) -> Reply {
    let Some(jwks) = &context.snapshot.assertion_jwks else {
        return Failure::NotFound.into();
    };
    match *request.method() {
        Method::GET | Method::HEAD => Outcome::OAuth(OAuthAnswer::Metadata(jwks.clone())).into(),
        Method::OPTIONS => Outcome::OAuth(OAuthAnswer::Preflight).into(),
        _ => Failure::MethodNotAllowed.into(),
    }
}
