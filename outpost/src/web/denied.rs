//! Who is signed in and not admitted, as the page says it.

use gatepost_session::Claims;
use url::form_urlencoded;

use super::session::own_url;
use crate::application::Application;

/// Who was refused, and where.
#[derive(Debug)]
pub struct Denied {
    /// The application.
    pub application: String,
    /// Who is signed in.
    pub signed_in_as: String,
    /// Where to sign out, to come back as someone else.
    pub sign_out_url: String,
    /// What the application asks for, where it is the outpost's own rule that refuses.
    pub rule: Option<String>,
}

impl Denied {
    /// What to say of a denial by `application`'s policy.
    pub(super) fn new(application: &Application, claims: &Claims) -> Self {
        let names = [&claims.preferred_username, &claims.email];
        let name = names
            .into_iter()
            .find_map(Option::as_ref)
            .unwrap_or(&claims.sub);
        Self {
            application: application.audience.to_string(),
            signed_in_as: name.clone(),
            sign_out_url: own_url(application, "sign_out"),
            rule: None,
        }
    }

    /// What to say of a denial by the application's own rule: there is no session by which signing
    /// out would know the provider, so the link names it.
    pub(super) fn without_session(application: &Application, claims: &Claims) -> Self {
        let mut denied = Self::new(application, claims);
        if let Some(provider) = application.providers.of_issuer(&claims.iss) {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("provider", &provider.settings().name)
                .finish();
            denied.sign_out_url = format!("{}?{query}", denied.sign_out_url);
        }
        denied.rule = application.policy.require.in_words();
        denied
    }
}
