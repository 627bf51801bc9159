//! `oauth/register`: hands out the one client that the operator has registered for all OAuth clients of
//! an application (RFC 7591). Nothing is stored: every client gets the same id, which is no secret.

use axum::body::Body;
use http::{Method, request};
use serde_json::{Map, Value, json};

use crate::application::{Application, PublicClient};
use crate::web::failure::Failure;
use crate::web::form;
use crate::web::oauth::{OAuthAnswer, RegistrationError};
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;

/// The grants that the client has.
const GRANTS: [&str; 2] = ["authorization_code", "refresh_token"];

/// Answers a client that registers.
pub(in crate::web) async fn answer(
    application: &Application,
    request: &ForwardedRequest<'_>,
    posted: Option<(&request::Parts, Body)>,
) -> Reply {
    let is_resource = request.resource(application).is_some();
    let client = application.public_client().filter(|_| is_resource);
    let (Some(client), Some((parts, body))) = (client, posted) else {
        return Failure::NotFound.into();
    };
    if *request.method() == Method::OPTIONS {
        return Outcome::OAuth(OAuthAnswer::Preflight).into();
    }
    let answer = match form::read_json(parts, body).await {
        Ok(wanted) => register(client, &wanted),
        Err(form::NoForm) => Err(RegistrationError::Metadata("the body is not a JSON object")),
    };
    Outcome::OAuth(match answer {
        Ok(registered) => OAuthAnswer::Registered(registered),
        Err(error) => OAuthAnswer::NotRegistered(error),
    })
    .into()
}

/// Returns the client's metadata (RFC 7591 §3.2.1) for one that wants these.
fn register(
    client: &PublicClient,
    wanted: &Map<String, Value>,
) -> Result<Value, RegistrationError> {
    let redirect_uris = texts(wanted, "redirect_uris")?.unwrap_or_default();
    if redirect_uris.is_empty() || !redirect_uris.iter().all(|uri| client.may_return_to(uri)) {
        return Err(RegistrationError::RedirectUri);
    }
    let response_types = texts(wanted, "response_types")?.unwrap_or_default();
    if response_types.iter().any(|kind| *kind != "code") {
        return Err(RegistrationError::Metadata(
            "`code` is the only response type",
        ));
    }
    let grants = texts(wanted, "grant_types")?.unwrap_or_else(|| GRANTS.to_vec());
    if grants.iter().any(|grant| !GRANTS.contains(grant)) {
        return Err(RegistrationError::Metadata(
            "`authorization_code` and `refresh_token` are the only grants",
        ));
    }
    Ok(json!({
        "client_id": client.id,
        "redirect_uris": redirect_uris,
        "response_types": ["code"],
        "grant_types": grants,
        "token_endpoint_auth_method": "none",
    }))
}

/// Returns a member that is a list of texts; `None` where it is missing.
fn texts<'w>(
    wanted: &'w Map<String, Value>,
    name: &str,
) -> Result<Option<Vec<&'w str>>, RegistrationError> {
    let Some(value) = wanted.get(name) else {
        return Ok(None);
    };
    let list = value.as_array();
    let list = list.and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    list.map(Some).ok_or(RegistrationError::Metadata(
        "a member is not a list of texts",
    ))
}
