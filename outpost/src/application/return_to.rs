//! Where a browser goes after signing in.

use gatepost_policy::OutpostPrefix;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::served::Application;
use crate::compat::{self, AUTHENTIK_PREFIX};
use crate::origin::{ExternalUrl, Mode};

#[cfg(test)]
mod tests;

/// The longest target that is kept, in bytes, with its origin and its escapes.
const MAX_BYTES: usize = 8 * 1024;

/// The longest that a cookie of at most 4 KiB has room for.
const COOKIE_BYTES: usize = 2_560;

/// A URL that a browser may be sent to after signing in: one of the application's own, and not one
/// of the outpost's.
///
/// Only [`ReturnTo::parse`] makes one from a client's text. It holds the parser's own
/// serialisation, so the outpost sends exactly the URL that it checked. It is parsed again when it
/// returns in the flow cookie: the configuration may have changed meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// Parses a target as browsers do (WHATWG URL), relative to the application's external URL.
    ///
    /// `None` for anything but an http or https URL of the application's own origin, or in domain
    /// mode of a host under its cookie domain with the same scheme and port.
    pub fn parse(target: &str, application: &Application) -> Option<Self> {
        let prefixes = [application.prefix()];
        Self::parse_for(target, application.external(), application.mode(), prefixes)
    }

    /// Returns the start page of the application, to which the outpost sends users whose target it
    /// refuses.
    pub fn fallback(application: &Application) -> Self {
        Self(application.external().url().to_string())
    }

    /// Returns the URL: ASCII, absolute.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the cookie of a sign-in has room for it.
    pub fn fits_a_cookie(&self) -> bool {
        self.0.len() <= COOKIE_BYTES
    }

    fn parse_for<'p>(
        target: &str,
        external: &ExternalUrl,
        mode: &Mode,
        prefixes: impl IntoIterator<Item = &'p OutpostPrefix>,
    ) -> Option<Self> {
        // Browsers drop tabs and line breaks and read `\` as `/`. No target that an application
        // makes has them raw, so there is nothing to interpret.
        let suspicious = |b: u8| b <= b' ' || b == b'\\' || b == 0x7f;
        if target.len() > MAX_BYTES || target.bytes().any(suspicious) || !is_plain(target) {
            return None;
        }
        let url = external.url().join(target).ok()?;
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || !same_site(&url, external, mode) || is_outposts(&url, prefixes) {
            return None;
        }
        let url = String::from(url);
        // A serialised URL is ASCII. Escapes may have made it longer than the client's text, and it
        // must be accepted again when it returns.
        (url.is_ascii() && url.len() <= MAX_BYTES).then_some(Self(url))
    }
}

/// Returns whether a target has one of the two forms that proxies and applications make: a path, or
/// a URL with a host. Browsers accept other forms too (`https:host`, `///host`), but only attackers
/// write them.
fn is_plain(target: &str) -> bool {
    let after_scheme = ["https://", "http://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    match after_scheme {
        Some(rest) => !rest.starts_with('/'),
        None => target.starts_with('/') && !target.starts_with("//"),
    }
}

fn same_site(url: &Url, external: &ExternalUrl, mode: &Mode) -> bool {
    // Part by part rather than by origin: a `blob:` URL has the origin of the URL inside of it.
    let same_port = url.scheme() == external.url().scheme()
        && url.port_or_known_default() == Some(external.port());
    match mode {
        Mode::Single => same_port && url.host() == external.url().host(),
        Mode::Domain(domain) => {
            same_port && matches!(url.host(), Some(Host::Domain(host)) if domain.contains(host))
        }
    }
}

/// Returns whether the path, or a signature of authentik's in the query, leads to the outpost,
/// where the browser would loop, or a link would sign it out. Servers may decode a path before they
/// route it, so it is compared decoded.
fn is_outposts<'p>(url: &Url, prefixes: impl IntoIterator<Item = &'p OutpostPrefix>) -> bool {
    let path: Vec<u8> = percent_decode_str(url.path()).collect();
    let under = |prefix: &str| {
        path.strip_prefix(prefix.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    };
    compat::signature(url.as_str()).is_some()
        || under(AUTHENTIK_PREFIX)
        || under(OutpostPrefix::default().as_str())
        || prefixes.into_iter().any(|prefix| under(prefix.as_str()))
}
