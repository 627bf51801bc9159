//! The URL at which browsers sign out at a provider without an end session endpoint.

use url::{Url, form_urlencoded};

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

    /// Returns the URL with these values in place of the placeholders.
    pub(crate) fn fill(&self, client_id: &str, return_to: &str) -> Option<Url> {
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let filled = self.0.replace(CLIENT_ID, &encoded(client_id));
        Url::parse(&filled.replace(RETURN_TO, &encoded(return_to))).ok()
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
