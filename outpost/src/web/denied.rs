//! Fills in the page for a user who is signed in and not admitted.

use gatepost_session::Claims;
use url::form_urlencoded;

use super::urls::endpoint_url;
use crate::application::Application;
use crate::pages::Denied;

/// Returns what to say of a denial by the rule of this name or number of `application`'s policy, to
/// a user or to a client that is not signed in.
pub(super) fn by_policy(
    application: &Application,
    user: Option<&Claims>,
    rule_name: Option<String>,
) -> Denied {
    let name = |claims: &Claims| {
        let names = [&claims.preferred_username, &claims.email];
        let name = names.into_iter().find_map(Option::as_ref);
        name.unwrap_or(&claims.sub).clone()
    };
    Denied {
        application: application.audience().to_string(),
        signed_in_as: user.map(name),
        sign_out_url: endpoint_url(application, "sign_out"),
        rule: None,
        rule_name,
    }
}

/// Returns what to say of a denial by the application's own rule. Without a session, sign-out
/// cannot know the provider, so the link names it.
pub(super) fn without_session(application: &Application, claims: &Claims) -> Denied {
    let mut denied = by_policy(application, Some(claims), None);
    if let Some(provider) = application.providers().of_issuer(&claims.iss) {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("provider", &provider.settings().name)
            .finish();
        denied.sign_out_url = format!("{}?{query}", denied.sign_out_url);
    }
    // Several rules have no words in which one of them could be left out.
    let policy = application.policy();
    if policy.rules.is_empty() {
        denied.rule = policy.require.in_words();
    }
    denied
}
