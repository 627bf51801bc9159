//! `oauth`: the metadata of an application's provider as an authorization server, for OAuth clients that
//! are not registered there (RFC 8414). It differs from the provider's own by the issuer, and by an
//! endpoint at which clients get the id of the one client that the operator has registered for them.

use http::Method;
use serde_json::json;

use crate::application::Application;
use crate::web::failure::Failure;
use crate::web::oauth::{self, OAuthAnswer};
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;
use crate::web::urls::{endpoint_path, endpoint_url_at};
use gatepost_oidc::SignInError;

/// Answers a client that asks for the metadata of the authorization server.
pub(in crate::web) fn answer(application: &Application, request: &ForwardedRequest<'_>) -> Reply {
    let issuer_path = endpoint_path(application, oauth::ISSUER);
    let is_here =
        oauth::well_known_server(request.path()).is_none_or(|issuer| issuer == issuer_path);
    let resource = request
        .resource(application)
        .filter(|_| is_here && application.public_client().is_some());
    let Some(resource) = resource else {
        return Failure::NotFound.into();
    };
    if *request.method() == Method::OPTIONS {
        return Outcome::OAuth(OAuthAnswer::Preflight).into();
    }
    let provider = application.provider_of_machines();
    let endpoints = match provider.client_endpoints() {
        Ok(endpoints) => endpoints,
        Err(unavailable) => return Failure::from(SignInError::from(unavailable)).into(),
    };
    // The provider reads the client's document, and the outpost fetches nothing. Where tokens of listed
    // clients alone are accepted, no such client is to ask for one.
    let reads_documents = endpoints.reads_client_documents && accepts_any_client(application);
    Outcome::OAuth(OAuthAnswer::Metadata(json!({
        "issuer": endpoint_url_at(resource, application, oauth::ISSUER),
        "authorization_endpoint": endpoints.authorization.as_str(),
        "token_endpoint": endpoints.token.as_str(),
        "jwks_uri": endpoints.keys.as_str(),
        "registration_endpoint": endpoint_url_at(resource, application, oauth::REGISTER),
        "scopes_supported": application.resource_scopes(),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": endpoints.algorithms,
        "client_id_metadata_document_supported": reads_documents,
    })))
    .into()
}

/// Returns whether tokens of all clients of the provider are accepted.
fn accepts_any_client(application: &Application) -> bool {
    let settings = application.machine_clients();
    settings.is_some_and(|settings| settings.tokens.clients.is_empty())
}
