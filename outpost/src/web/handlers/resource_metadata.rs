//! `oauth-protected-resource`: tells an OAuth client which authorization servers issue tokens for an
//! application (RFC 9728). Everyone may know it.

use http::Method;
use serde_json::{Map, Value, json};

use crate::application::{Application, ProtectedResource};
use crate::machine_clients::DpopProof;
use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::oauth::{self, OAuthAnswer, WELL_KNOWN_RESOURCE};
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;
use crate::web::urls::endpoint_url_at;

/// Answers a client that asks for the metadata of an application's resource.
pub(in crate::web) fn answer(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Reply {
    let resource = request
        .resource(application)
        .filter(|resource| is_path_of(resource, request.path()));
    match resource {
        None => Failure::NotFound.into(),
        Some(_) if *request.method() == Method::OPTIONS => {
            Outcome::OAuth(OAuthAnswer::Preflight).into()
        }
        Some(resource) => {
            let metadata = metadata(context, application, resource);
            Outcome::OAuth(OAuthAnswer::Metadata(Value::Object(metadata))).into()
        }
    }
}

/// Returns whether a client may look for the metadata of a resource at a path: under the outpost's
/// prefix, or at the well-known path with or without the path of the resource.
fn is_path_of(resource: &ProtectedResource, path: &str) -> bool {
    path.strip_prefix(WELL_KNOWN_RESOURCE)
        .is_none_or(|rest| rest.is_empty() || rest == resource.path())
}

fn metadata(
    context: Context<'_>,
    application: &Application,
    resource: &ProtectedResource,
) -> Map<String, Value> {
    let issuers: Vec<String> = if application.public_client().is_some() {
        vec![endpoint_url_at(resource, application, oauth::ISSUER)]
    } else {
        let providers = application.providers().iter();
        providers
            .map(|provider| provider.settings().issuer.as_str().to_owned())
            .collect()
    };
    let mut metadata = Map::new();
    metadata.insert("resource".to_owned(), resource.as_str().into());
    metadata.insert("authorization_servers".to_owned(), json!(issuers));
    let scopes = application.resource_scopes();
    if !scopes.is_empty() {
        metadata.insert("scopes_supported".to_owned(), json!(scopes));
    }
    metadata.insert("bearer_methods_supported".to_owned(), json!(["header"]));
    let accepted = &application.policy().machine_clients;
    if context.snapshot.certificate_header.is_some() && accepted.bearer {
        let certificates = "tls_client_certificate_bound_access_tokens".to_owned();
        metadata.insert(certificates, json!(true));
    }
    if accepted.dpop {
        let algorithms = json!(DpopProof::ALGORITHMS);
        metadata.insert("dpop_signing_alg_values_supported".to_owned(), algorithms);
        let is_required = json!(!accepted.bearer);
        metadata.insert("dpop_bound_access_tokens_required".to_owned(), is_required);
    }
    let name = application.audience().as_str();
    metadata.insert("resource_name".to_owned(), name.into());
    metadata
}
