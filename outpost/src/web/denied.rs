//! Fills in the page for a user who is signed in and not admitted.

use gatepost_session::Claims;
use url::form_urlencoded;

use super::urls::endpoint_url;
use crate::application::Application;
use crate::pages::Denied;

/// Returns what to say of a denial by `application`'s policy.
pub(super) fn by_policy(application: &Application, claims: &Claims) -> Denied {
    let names = [&claims.preferred_username, &claims.email];
    let name = names
        .into_iter()
        .find_map(Option::as_ref)
        .unwrap_or(&claims.sub);
    Denied {
        application: application.audience().to_string(),
        signed_in_as: name.clone(),
        sign_out_url: endpoint_url(application, "sign_out"),
        rule: None,
    }
}

/// Returns what to say of a denial by the application's own rule. Without a session, sign-out
/// cannot know the provider, so the link names it.
pub(super) fn without_session(application: &Application, claims: &Claims) -> Denied {
    let mut denied = by_policy(application, claims);
    if let Some(provider) = application.providers().of_issuer(&claims.iss) {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("provider", &provider.settings().name)
            .finish();
        denied.sign_out_url = format!("{}?{query}", denied.sign_out_url);
    }
    denied.rule = application.policy().require.in_words();
    denied
}
