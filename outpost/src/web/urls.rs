//! The URLs of the endpoints of an application.

use url::form_urlencoded;

use crate::application::{Application, ProtectedResource, ReturnTo};
use gatepost_oidc::Provider;

/// Returns the absolute URL of an endpoint at the application's external URL.
pub(super) fn endpoint_url(application: &Application, endpoint: &str) -> String {
    let path = endpoint_path(application, endpoint);
    format!("{}{path}", application.external().origin())
}

/// Returns the path of an endpoint, at every host of the application.
pub(super) fn endpoint_path(application: &Application, endpoint: &str) -> String {
    format!("{}/{endpoint}", application.prefix())
}

/// Returns the absolute URL of an endpoint at the host of a resource.
pub(super) fn endpoint_url_at(
    resource: &ProtectedResource,
    application: &Application,
    endpoint: &str,
) -> String {
    let path = endpoint_path(application, endpoint);
    format!("{}{path}", resource.origin())
}

/// Returns the URL that starts a sign-in leading to `return_to`: at this provider, if one is named and
/// there is a choice.
pub(super) fn start_url(
    application: &Application,
    return_to: &ReturnTo,
    provider: Option<&Provider>,
) -> String {
    start_url_with(application, return_to, provider, &[])
}

/// Returns the same with further parameters, which the caller has taken from a link.
pub(super) fn start_url_with(
    application: &Application,
    return_to: &ReturnTo,
    provider: Option<&Provider>,
    parameters: &[(String, String)],
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("rd", return_to.as_str());
    if let Some(name) = provider.and_then(|provider| application.callback_name(provider)) {
        query.append_pair("provider", name);
    }
    query.extend_pairs(parameters);
    format!("{}?{}", endpoint_url(application, "start"), query.finish())
}
