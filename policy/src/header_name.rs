//! The names of identity headers.

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use core::fmt;

/// A header field name in the spelling that Go's servers and most logs use (`X-Auth-Username`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName(Arc<str>);

/// A text that cannot name an identity header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHeaderName;

impl fmt::Display for InvalidHeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a name for an identity header: expected letters, digits and `-`, and none that \
             HTTP itself uses, such as Host, Cookie or Authorization",
        )
    }
}

impl core::error::Error for InvalidHeaderName {}

impl HeaderName {
    /// Parses a name of ASCII letters, digits and `-`.
    ///
    /// Fewer than RFC 9110 §5.1 allows: with any other character the name would be an alias of
    /// one with `-` for upstreams in the manner of CGI.
    ///
    /// # Errors
    ///
    /// [`InvalidHeaderName`], also for the fields that HTTP and proxies themselves act on.
    pub fn new(name: &str) -> Result<Self, InvalidHeaderName> {
        const RESERVED: [&str; 17] = [
            "accept",
            "authorization",
            "connection",
            "content-length",
            "content-type",
            "cookie",
            "expect",
            "host",
            "keep-alive",
            "origin",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "x-gatepost-require",
            "x-gatepost-require-proof",
            "x-gatepost-verdict",
        ];
        let named = |reserved: &&str| reserved.eq_ignore_ascii_case(name);
        if name.is_empty()
            || name.len() > 128
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            || RESERVED.iter().any(named)
        {
            return Err(InvalidHeaderName);
        }
        let mut starts_word = true;
        let canonical: String = name
            .chars()
            .map(|c| {
                let c = if starts_word {
                    c.to_ascii_uppercase()
                } else {
                    c.to_ascii_lowercase()
                };
                starts_word = c == '-';
                c
            })
            .collect();
        Ok(Self(canonical.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.0.to_string()
    }
}
