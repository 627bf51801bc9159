//! Signing out at the provider (RP-Initiated Logout 1.0).

use gatepost_base::Secret;
use url::{Url, form_urlencoded};

use crate::provider::Provider;
use crate::settings::SignOut;

/// The longest ID token that is sent as a hint, in bytes: servers refuse longer URLs.
const MAX_HINT_BYTES: usize = 2_048;

/// The placeholders of a template, each replaced by a value in the form of a query.
const CLIENT_ID: &str = "{clientId}";
const RETURN_TO: &str = "{returnTo}";

/// Where browsers sign out at a provider that has no end session endpoint, with placeholders:
/// `{clientId}` and `{returnTo}`. For Cognito
/// `https://DOMAIN/logout?client_id={clientId}&logout_uri={returnTo}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOutUrl(String);

impl SignOutUrl {
    /// Parses a template; `None` where it is not an http or https URL.
    pub fn parse(text: &str) -> Option<Self> {
        let template = Self(text.to_owned());
        let url = template.fill("client", "https://app.example.com/")?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        let is_whole = !url.as_str().contains(['{', '}']) && !url.as_str().contains("%7B");
        (is_web && is_whole).then_some(template)
    }

    fn fill(&self, client_id: &str, return_to: &str) -> Option<Url> {
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let filled = self.0.replace(CLIENT_ID, &encoded(client_id));
        Url::parse(&filled.replace(RETURN_TO, &encoded(return_to))).ok()
    }
}

impl Provider {
    /// Returns where to send the browser to sign out at the provider too (§2); `None` where the
    /// provider has no end session endpoint, or the settings say so.
    pub fn sign_out_url(&self, id_token: Option<&Secret>, return_to: &str) -> Option<Url> {
        if self.settings.sign_out == SignOut::LocalOnly {
            return None;
        }
        let client_id = self.settings.client_id.as_str();
        if let Some(template) = &self.settings.sign_out_url {
            return template.fill(client_id, return_to);
        }
        let found = self.discovered.load_full()?;
        let mut url = found.metadata.end_session_endpoint.clone()?;
        {
            let mut query = url.query_pairs_mut();
            // Without the hint, the provider asks the user whether to sign out.
            let hint = id_token.map(Secret::expose);
            if let Some(hint) = hint.filter(|hint| hint.len() <= MAX_HINT_BYTES) {
                query.append_pair("id_token_hint", hint);
            }
            query
                .append_pair("client_id", client_id)
                .append_pair("post_logout_redirect_uri", return_to);
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_a_web_url_whose_placeholders_are_filled_in() {
        let cognito = "https://x.example/logout?client_id={clientId}&logout_uri={returnTo}";
        let template = SignOutUrl::parse(cognito).expect("a template");
        let url = template.fill("a&b", "https://app.example.com/?x=1&y");
        let url = url.expect("a URL");
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs[0], ("client_id".into(), "a&b".into()));
        assert_eq!(
            pairs[1],
            ("logout_uri".into(), "https://app.example.com/?x=1&y".into())
        );
        assert_eq!(pairs.len(), 2);
        for text in [
            "",
            "/logout",
            "javascript:alert(1)",
            "https://x.example/{other}",
            "https:x{returnTo}",
        ] {
            assert_eq!(SignOutUrl::parse(text), None, "{text}");
        }
    }
}
