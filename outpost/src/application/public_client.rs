//! The client that the outpost hands out where a provider registers none.

use url::{Host, Url};

/// A public client, which the operator has registered at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicClient {
    /// Its id.
    pub id: String,
    /// The redirect URIs that it is handed out for, besides those on the client's own machine.
    pub redirect_uris: Vec<String>,
}

impl PublicClient {
    /// Returns whether the client is handed out for a redirect URI: one of the list, compared byte for
    /// byte, or one on the machine of the user (RFC 8252 §7.3).
    pub fn may_return_to(&self, redirect_uri: &str) -> bool {
        self.redirect_uris.iter().any(|own| own == redirect_uri) || is_loopback(redirect_uri)
    }
}

/// Returns whether a redirect URI is at the loopback interface, on any port and path.
fn is_loopback(text: &str) -> bool {
    // Parsers read some other characters differently, such as `\` and `@`.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:[]?=&%+".contains(&b);
    let Some(url) = Url::parse(text).ok().filter(|_| text.bytes().all(plain)) else {
        return false;
    };
    let is_here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "http" && text.starts_with("http://") && is_here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_returns_to_its_own_machine_or_to_a_listed_uri() {
        let client = PublicClient {
            id: "mcp".to_owned(),
            redirect_uris: vec![
                "https://app.example/callback".to_owned(),
                "editor://callback".to_owned(),
            ],
        };
        for (uri, expected) in [
            ("http://127.0.0.1:8080/callback", true),
            ("http://127.0.0.1/callback?x=1", true),
            ("http://[::1]:9/", true),
            ("http://localhost:3118/oauth/callback", true),
            ("https://app.example/callback", true),
            ("editor://callback", true),
            ("https://app.example/callback/", false),
            ("https://app.example/callback?x", false),
            ("https://APP.example/callback", false),
            ("https://127.0.0.1/callback", false),
            ("http://127.0.0.1.evil.example/", false),
            ("http://localhost.evil.example/", false),
            ("http://127.0.0.1@evil.example/", false),
            ("http://evil.example\\@127.0.0.1/", false),
            ("http://127.0.0.1\\.evil.example/", false),
            ("http:/127.0.0.1/", false),
            ("http:127.0.0.1", false),
            ("http://127.0.0.1/#x", false),
            ("http://0.0.0.0/", false),
            ("http://evil.example/", false),
            ("javascript:alert(1)", false),
            ("", false),
        ] {
            assert_eq!(client.may_return_to(uri), expected, "{uri}");
        }
    }
}
