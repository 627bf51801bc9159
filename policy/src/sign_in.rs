//! The URL that starts a sign-in.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::percent;
use crate::request::{Presentation, Request};
use crate::require::StepUp;

/// The longest target that the URL of `start` leads back to, in bytes. A request for a SAML provider
/// may have some kilobytes.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// The longest URL of `start`, in bytes: with more, a response has no room in the buffer of HAProxy.
const MAX_URL_BYTES: usize = 12 * 1024;

/// The path under which the outpost answers, `/akprox` unless configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutpostPrefix(Box<str>);

/// A text that is not an [`OutpostPrefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPrefix;

impl fmt::Display for InvalidPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a path prefix: expected `/` and letters, digits, `.`, `_` or `-`, like `/akprox`",
        )
    }
}

impl core::error::Error for InvalidPrefix {}

impl OutpostPrefix {
    /// Parses a prefix of one or more plain segments.
    ///
    /// # Errors
    ///
    /// [`InvalidPrefix`] when it is not absolute, ends in `/`, or has dot segments or characters
    /// that would need encoding.
    pub fn new(prefix: &str) -> Result<Self, InvalidPrefix> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let segment_ok = |segment: &str| {
            !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
        };
        match prefix.strip_prefix('/') {
            Some(segments) if segments.split('/').all(segment_ok) => Ok(Self(prefix.into())),
            _ => Err(InvalidPrefix),
        }
    }

    /// Returns the prefix as text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a request target lies under the prefix.
    pub fn contains(&self, target: &[u8]) -> bool {
        target
            .strip_prefix(self.0.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?')))
    }

    /// Returns whether only a proxy asks the outpost at this request target: the routes for clients
    /// leave out what begins like it.
    pub fn is_for_proxies(&self, target: &[u8]) -> bool {
        target
            .strip_prefix(self.0.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"/auth"))
    }
}

impl Default for OutpostPrefix {
    fn default() -> Self {
        Self("/akprox".into())
    }
}

impl fmt::Display for OutpostPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where browsers reach the outpost in domain mode: scheme, host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutpostUrl(Box<str>);

/// A text that is not an [`OutpostUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidOutpostUrl;

impl fmt::Display for InvalidOutpostUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not the outpost's URL: expected scheme and host, like `https://auth.example.com`",
        )
    }
}

impl core::error::Error for InvalidOutpostUrl {}

impl OutpostUrl {
    /// Parses `http://` or `https://`, a host and perhaps a port; one trailing slash is dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidOutpostUrl`] for anything else, also a path or user information.
    pub fn new(url: &str) -> Result<Self, InvalidOutpostUrl> {
        let origin = url.strip_suffix('/').unwrap_or(url);
        let authority = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"))
            .ok_or(InvalidOutpostUrl)?;
        let plain =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        if authority.is_empty() || !authority.bytes().all(plain) {
            return Err(InvalidOutpostUrl);
        }
        Ok(Self(origin.into()))
    }

    /// Returns the origin as text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the scheme, up to the host.
    fn scheme(&self) -> &'static str {
        if self.0.starts_with("https://") {
            "https://"
        } else {
            "http://"
        }
    }
}

/// Where browsers renew a session beside a page. It is a query of a path that routes of every release
/// lead to the outpost, so that no route has to be added.
const RENEWAL: &str = "/session?renew";

/// Has a URL of `start` wait until the session is bound to a device, which its target asks for.
pub fn until_bound(url: String) -> String {
    with_parameter(url, UNTIL_BOUND, b"true")
}

/// The name of the parameter that [`until_bound`] adds.
pub const UNTIL_BOUND: &str = "bound";

/// The name of the parameter of `start` that says which request needs another authentication: its
/// method, and where `rd` does not say where it went, a space and its URL.
pub const STEP_UP: &str = "step_up";

/// Has a URL of `start` ask for an authentication that rules want which the outpost does not have.
/// `vouch` returns the word for a text by which the outpost knows that no other site has made the
/// link.
pub fn with_conditions(
    url: String,
    step_up: &StepUp<'_>,
    vouch: impl FnOnce(&str) -> String,
) -> String {
    let text = step_up.to_text();
    let url = with_parameter(url, AUTHENTICATION, text.as_bytes());
    with_parameter(url, PROOF, vouch(&text).as_bytes())
}

/// The same where nobody vouches for the conditions: the user is asked first.
pub fn with_unproven_conditions(url: String, step_up: &StepUp<'_>) -> String {
    with_parameter(url, AUTHENTICATION, step_up.to_text().as_bytes())
}

/// The name of the first parameter that [`with_conditions`] adds: what is asked for.
pub const AUTHENTICATION: &str = "authentication";

/// The name of the second: the word that vouches for the first.
pub const PROOF: &str = "proof";

#[inline(never)]
fn with_parameter(mut url: String, name: &str, value: &[u8]) -> String {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(name);
    url.push('=');
    percent::push_encoded(&mut url, value);
    url
}

/// Builds the URL that a browser is sent to for signing in.
#[derive(Clone, Debug)]
pub enum SignIn {
    /// The outpost answers under this prefix on the application's own host.
    OnHost(OutpostPrefix),
    /// The outpost answers under this prefix on a host of its own.
    OnOutpost(OutpostUrl, OutpostPrefix),
}

impl SignIn {
    /// Returns the prefix under which the outpost answers.
    pub fn prefix(&self) -> &OutpostPrefix {
        match self {
            Self::OnHost(prefix) | Self::OnOutpost(_, prefix) => prefix,
        }
    }

    /// Returns the beginning of the outpost's URLs: the prefix, after the outpost's own origin if
    /// it has one.
    pub fn base(&self) -> String {
        let mut base = String::new();
        if let Self::OnOutpost(outpost, _) = self {
            base.push_str(outpost.as_str());
        }
        base.push_str(self.prefix().as_str());
        base
    }

    /// Returns the value of `Link` (RFC 8288) that has a browser renew its session beside a page: it
    /// fetches the URL as it would for a script of the page, and keeps the cookie of the answer.
    pub fn renewal_link(&self) -> String {
        let credentials = match self {
            Self::OnHost(_) => "",
            Self::OnOutpost(..) => "=use-credentials",
        };
        let base = self.base();
        let mut link = String::from("<");
        for part in [
            &base,
            RENEWAL,
            ">; rel=preload; as=fetch; crossorigin",
            credentials,
        ] {
            link.push_str(part);
        }
        link
    }

    /// Returns the URL of `start` that leads back to `target` (path and query, as received).
    ///
    /// `host` gives the host of the request where the outpost has a host of its own and needs it;
    /// the outpost checks it, so a client's claim decides nothing. The scheme is the outpost's own,
    /// which all hosts of a domain share: behind a load balancer that ends TLS, the proxy sees plain
    /// HTTP.
    pub fn url(&self, host: impl FnOnce() -> String, target: &[u8]) -> String {
        self.url_with("?rd=", &self.host_of(host), target)
    }

    /// Returns the URL of `start` for a user whose authentication does not suffice for a request. That
    /// of a page load leads back to it. No other can be sent again by leading there, so the URL says
    /// which it was, and has room for an `rd` of the page that sent it.
    pub fn step_up_url(
        &self,
        request: &impl Request,
        how: Presentation,
        host: impl FnOnce() -> String,
    ) -> String {
        let method = request.method();
        let mut before = String::from("?rd=");
        if how != Presentation::PageLoad {
            before = with_parameter(String::new(), STEP_UP, &method);
            before.push_str("%20");
        }
        let url = self.url_with(&before, &self.host_of(host), &request.target());
        match how {
            Presentation::PageLoad => with_parameter(url, STEP_UP, &method),
            Presentation::Form | Presentation::Data => url,
        }
    }

    /// Returns the host of a request, where its URL needs it.
    fn host_of(&self, host: impl FnOnce() -> String) -> String {
        match self {
            Self::OnHost(_) => String::new(),
            Self::OnOutpost(..) => host(),
        }
    }

    #[inline(never)]
    fn url_with(&self, before: &str, host: &str, target: &[u8]) -> String {
        let mut url = self.base();
        url.push_str("/start");
        if target.len() <= MAX_TARGET_BYTES {
            let without_target = url.len();
            url.push_str(before);
            if let Self::OnOutpost(outpost, _) = self {
                percent::push_encoded(&mut url, outpost.scheme().as_bytes());
                percent::push_encoded(&mut url, host.as_bytes());
            }
            percent::push_encoded(&mut url, target);
            if url.len() > MAX_URL_BYTES {
                url.truncate(without_target);
            }
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::double::Sent;
    use alloc::vec;

    #[test]
    fn the_url_leads_back_to_where_the_request_went() {
        let on_host = SignIn::OnHost(OutpostPrefix::default());
        assert_eq!(
            on_host.url(String::new, b"/a b/\xc3\xa9?x=1&y=%2F"),
            "/akprox/start?rd=%2Fa%20b%2F%C3%A9%3Fx%3D1%26y%3D%252F"
        );
        let outpost = OutpostUrl::new("https://auth.example.com/").expect("url");
        let domain = SignIn::OnOutpost(outpost, OutpostPrefix::default());
        assert_eq!(
            domain.url(|| "app.example.com:8443".into(), b"/x"),
            "https://auth.example.com/akprox/start?rd=https%3A%2F%2Fapp.example.com%3A8443%2Fx"
        );
        assert_eq!(
            until_bound(on_host.url(String::new, b"/x")),
            "/akprox/start?rd=%2Fx&bound=true"
        );
        assert_eq!(
            until_bound(on_host.url(String::new, &vec![b'/'; MAX_TARGET_BYTES])),
            "/akprox/start?bound=true"
        );
        assert_eq!(
            on_host.renewal_link(),
            "</akprox/session?renew>; rel=preload; as=fetch; crossorigin"
        );
        assert_eq!(
            domain.renewal_link(),
            "<https://auth.example.com/akprox/session?renew>; rel=preload; as=fetch; \
             crossorigin=use-credentials"
        );
        for (how, on_host_url, domain_url) in [
            (
                Presentation::PageLoad,
                "?rd=%2Fx%3Fy&step_up=PUT",
                "?rd=https%3A%2F%2Fapp%2Fx%3Fy&step_up=PUT",
            ),
            (
                Presentation::Form,
                "?step_up=PUT%20%2Fx%3Fy",
                "?step_up=PUT%20https%3A%2F%2Fapp%2Fx%3Fy",
            ),
            (
                Presentation::Data,
                "?step_up=PUT%20%2Fx%3Fy",
                "?step_up=PUT%20https%3A%2F%2Fapp%2Fx%3Fy",
            ),
        ] {
            let request = Sent::new("PUT", "/x?y");
            let url = on_host.step_up_url(&request, how, String::new);
            assert_eq!(url, ["/akprox/start", on_host_url].concat());
            let url = domain.step_up_url(&request, how, || "app".into());
            let expected = ["https://auth.example.com/akprox/start", domain_url].concat();
            assert_eq!(url, expected);
        }
        let plain = vec![b'a'; MAX_TARGET_BYTES];
        let url = on_host.url(String::new, &plain);
        assert_eq!(url.len(), "/akprox/start?rd=".len() + plain.len());
        // Too long, and too long once it is escaped.
        for long in [
            vec![b'a'; MAX_TARGET_BYTES + 1],
            vec![b'/'; MAX_TARGET_BYTES],
        ] {
            assert_eq!(on_host.url(String::new, &long), "/akprox/start");
        }
    }

    #[test]
    fn only_what_lies_under_the_prefix_is_the_outposts() {
        let prefix = OutpostPrefix::default();
        for (target, expected) in [
            ("/akprox", true),
            ("/akprox/", true),
            ("/akprox?x", true),
            ("/akprox/start?rd=/", true),
            ("/akproxy", false),
            ("/x/akprox", false),
            ("/AKPROX/start", false),
        ] {
            assert_eq!(prefix.contains(target.as_bytes()), expected, "{target}");
        }
        for (target, expected) in [
            ("/akprox/auth", true),
            ("/akprox/auth?nginx", true),
            ("/akprox/auth/traefik", true),
            ("/akprox/start", false),
            ("/akproxy/auth", false),
            ("/auth", false),
        ] {
            assert_eq!(
                prefix.is_for_proxies(target.as_bytes()),
                expected,
                "{target}"
            );
        }
    }

    #[test]
    fn odd_prefixes_and_urls_are_refused() {
        for bad in [
            "", "/", "akprox", "/akprox/", "/a//b", "/a/../b", "/a b", "/a%20b", "/a?b",
        ] {
            assert_eq!(OutpostPrefix::new(bad), Err(InvalidPrefix), "{bad}");
        }
        for bad in [
            "",
            "auth.example.com",
            "https://",
            "ftp://auth.example.com",
            "https://u@auth.example.com",
            "https://auth.example.com/path",
            "https://auth.example.com?x",
        ] {
            assert_eq!(OutpostUrl::new(bad), Err(InvalidOutpostUrl), "{bad}");
        }
    }
}
