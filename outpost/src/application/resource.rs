//! The name of an application's API, for which authorization servers issue tokens.

use thiserror::Error;
use url::Url;

/// The identifier of a protected resource (RFC 8707 §2, RFC 9728 §1.2): an http or https URL without
/// query and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedResource {
    /// As it was written, which is how clients compare it.
    text: String,
    url: Url,
}

/// Why a text is not a [`ProtectedResource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "expected an http or https URL in lower case, without query, fragment and escapes, like \
     `https://mcp.example.com/mcp`"
)]
pub struct InvalidResource;

impl ProtectedResource {
    /// Parses an identifier, which must be spelled as a URL parser spells it, since clients compare
    /// it with the URL that they ask at.
    ///
    /// # Errors
    ///
    /// [`InvalidResource`].
    pub fn parse(text: &str) -> Result<Self, InvalidResource> {
        let url = Url::parse(text).map_err(|_| InvalidResource)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:[]".contains(&b);
        // A URL parser adds the slash of an empty path.
        let without_path = url.as_str().strip_suffix('/').filter(|_| url.path() == "/");
        let is_as_parsed = url.as_str() == text || without_path == Some(text);
        let is_valid = matches!(url.scheme(), "http" | "https")
            && text.bytes().all(plain)
            && is_as_parsed
            && !url.path().starts_with("//");
        is_valid
            .then(|| Self {
                text: text.to_owned(),
                url,
            })
            .ok_or(InvalidResource)
    }

    /// Returns the identifier.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns scheme, host and any port other than the scheme's own, without a trailing slash.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns its host, in lower case.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Returns its path, without the slash of an empty one.
    pub fn path(&self) -> &str {
        match self.url.path() {
            "/" => "",
            path => path,
        }
    }

    /// Returns what tokens for it have in `aud`: the identifier, and one without a path in both of its
    /// spellings, since many clients add the slash.
    pub fn audiences(&self) -> Vec<String> {
        match self.path() {
            "" => vec![self.origin(), format!("{}/", self.origin())],
            _ => vec![self.text.clone()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_a_url_as_clients_write_it() {
        for (text, audiences) in [
            (
                "https://mcp.example.com",
                Some(&["https://mcp.example.com", "https://mcp.example.com/"][..]),
            ),
            (
                "https://mcp.example.com/",
                Some(&["https://mcp.example.com", "https://mcp.example.com/"][..]),
            ),
            (
                "https://mcp.example.com/mcp",
                Some(&["https://mcp.example.com/mcp"][..]),
            ),
            (
                "http://mcp.localhost:8080/a/b/",
                Some(&["http://mcp.localhost:8080/a/b/"][..]),
            ),
            ("https://MCP.example.com/mcp", None),
            ("https://mcp.example.com:443/mcp", None),
            ("https://mcp.example.com/mcp?x", None),
            ("https://mcp.example.com/mcp#x", None),
            ("https://mcp.example.com/a/../mcp", None),
            ("https://mcp.example.com//mcp", None),
            ("https://mcp.example.com/m%63p", None),
            ("https://mcp.example.com/\"", None),
            ("https://user@mcp.example.com/", None),
            ("urn:mcp", None),
            ("mcp.example.com", None),
            ("", None),
        ] {
            let parsed = ProtectedResource::parse(text);
            let found = parsed.map(|resource| resource.audiences());
            assert_eq!(
                found.ok().as_deref(),
                audiences
                    .map(|a| a.iter().map(|&t| t.to_owned()).collect::<Vec<_>>())
                    .as_deref(),
                "{text}"
            );
        }
    }
}
