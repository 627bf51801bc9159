//! Where a browser goes after signing in.

use std::borrow::Cow;

use gatepost_policy::OutpostPrefix;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::served::Application;
use crate::compat::{self, AUTHENTIK_PREFIX, Conventions};
use crate::origin::{Mode, names_a_host};

#[cfg(test)]
mod tests;

/// The longest target that is kept, in bytes, with its origin and its escapes.
const MAX_BYTES: usize = 9 * 1024;

/// The longest for which two cookies of at most 4 KiB have room.
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
    /// mode of a host under its cookie domain with the same scheme, on the same port or another of
    /// the application's. Where the domain is served over TLS, an `http` URL of it is read as
    /// `https`: behind a load balancer that ends TLS, a proxy sees plain HTTP.
    pub fn parse(target: &str, application: &Application) -> Option<Self> {
        // Browsers drop tabs and line breaks. No target that an application makes has them raw, so
        // there is nothing to interpret.
        let suspicious = |b: u8| b <= b' ' || b == 0x7f;
        if target.len() > MAX_BYTES || target.bytes().any(suspicious) || !is_plain(target) {
            return None;
        }
        let target = without_backslashes(target)?;
        let mut url = application.external().url().join(&target).ok()?;
        let is_domain = matches!(application.mode(), Mode::Domain(_));
        if is_domain && application.external().is_https() && url.scheme() == "http" {
            url.set_scheme("https").ok()?;
        }
        // `/..//host`: a proxy that shortens `Location` to its path would write another host.
        if target.starts_with('/') && url.path().starts_with("//") {
            return None;
        }
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || !is_applications(&url, application) || is_outposts(&url, application) {
            return None;
        }
        let url = String::from(url);
        // A serialised URL is ASCII. Escapes may have made it longer than what came in, and it must
        // hold when it returns.
        (url.is_ascii() && url.len() <= MAX_BYTES).then_some(Self(url))
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

    /// Returns whether it travels in cookies, of which a long one needs several. In authentik's
    /// place those would be in every request to the application, and the recipes of its
    /// documentation leave a proxy no room for them.
    pub fn fits_cookies(&self, application: &Application) -> bool {
        application.conventions() == Conventions::Gatepost || self.0.len() <= COOKIE_BYTES
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

/// Returns the target without the backslashes of its query and fragment, in which they are
/// characters as others are: browsers send them as they are. `None` for a target with one before
/// these, where browsers read it as `/`.
fn without_backslashes(target: &str) -> Option<Cow<'_, str>> {
    if !target.contains('\\') {
        return Some(Cow::Borrowed(target));
    }
    let (path, rest) = target.split_at_checked(target.find(['?', '#'])?)?;
    let rest = rest.replace('\\', "%5C");
    (!path.contains('\\')).then(|| Cow::Owned(format!("{path}{rest}")))
}

/// Returns whether a URL is one of the application's own.
fn is_applications(url: &Url, application: &Application) -> bool {
    // Part by part rather than by origin: a `blob:` URL has the origin of the URL inside of it.
    let external = application.external();
    let port = url.port_or_known_default();
    url.scheme() == external.url().scheme()
        && match application.mode() {
            Mode::Single => port == Some(external.port()) && url.host() == external.url().host(),
            Mode::Domain(domain) => {
                port.is_some_and(|port| {
                    port == external.port() || application.ports().contains(&port)
                }) && matches!(url.host(), Some(Host::Domain(host)) if domain.contains(host))
                    && names_a_host(url)
            }
        }
}

/// Returns whether the path, or a signature of authentik's in the query, leads to the outpost,
/// where the browser would loop, or a link would sign it out. Servers may decode a path before they
/// route it, so it is compared decoded.
fn is_outposts(url: &Url, application: &Application) -> bool {
    let path: Vec<u8> = percent_decode_str(url.path()).collect();
    let under = |prefix: &str| {
        path.strip_prefix(prefix.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    };
    compat::signature(url.as_str()).is_some()
        || under(AUTHENTIK_PREFIX)
        || under(OutpostPrefix::default().as_str())
        || under(application.prefix().as_str())
}
