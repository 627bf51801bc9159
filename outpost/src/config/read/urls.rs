//! URLs that keys name.

use url::Url;

use crate::origin::names_a_host;

/// Parses an http or https URL.
pub(super) fn http_url(text: &str) -> Option<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && names_a_host(url))
}
