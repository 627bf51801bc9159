//! Where an application is reached: host and port, external URL, cookie domain, and whether it is
//! one host or all hosts of a domain.

use std::fmt;

use thiserror::Error;
use url::{Host, Url};

/// A host with an optional port, as a `Host` header names them (RFC 9110 §7.2), in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: Option<u16>,
}

impl HostPort {
    /// Parses `host` or `host:port`, or returns `None` for anything that a browser would not send:
    /// user information, several values, a trailing dot, characters outside of host names.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // The last colon of a bare IPv6 address is inside of the brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        let bracketed = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
        let valid = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(inner) => bracketed(inner),
            None => {
                !host.is_empty()
                    && host.len() <= 253
                    && !host.ends_with('.')
                    && host.bytes().all(plain)
            }
        };
        valid.then(|| Self {
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// Returns the host without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, where it is named.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The scheme, host and port under which browsers reach an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUrl {
    url: Url,
    origin: String,
    host: String,
    port: u16,
}

/// Why a text is not an [`ExternalUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "expected scheme and host without a path, like `https://wiki.example.com`; for all hosts of a domain, \
     `mode: domain` and a `cookieDomain`"
)]
pub struct InvalidExternalUrl;

/// Returns whether the host of a URL is an address or a name of letters, digits, `-` and `_`. The URL
/// Standard's domains may have signs that mean something where a proxy's configuration has them.
pub(crate) fn names_a_host(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    HostPort::parse(host).is_some() && host.split('.').all(|label| !label.is_empty())
}

/// Returns whether a URL has scheme, host and port alone.
pub(crate) fn is_bare(url: &Url) -> bool {
    url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

impl ExternalUrl {
    /// Parses an http or https URL of a host alone.
    ///
    /// # Errors
    ///
    /// [`InvalidExternalUrl`] for another scheme, user information, a path, a query or a fragment, and
    /// for a host that no browser sends, like `*.example.com`: the URL parser takes characters that
    /// mean something in the configurations of proxies.
    pub fn parse(text: &str) -> Result<Self, InvalidExternalUrl> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidExternalUrl)?;
        let host = url
            .host_str()
            .map(str::to_owned)
            .ok_or(InvalidExternalUrl)?;
        let is_sent = HostPort::parse(&host).is_some();
        if !is_bare(&url) || !matches!(url.scheme(), "http" | "https") || !is_sent {
            return Err(InvalidExternalUrl);
        }
        let port = url.port_or_known_default().ok_or(InvalidExternalUrl)?;
        Ok(Self {
            origin: url.origin().ascii_serialization(),
            host,
            port,
            url,
        })
    }

    /// Returns the URL with `/` as its path.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns scheme, host and any port other than the scheme's own, without a trailing slash.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the host, in lower case and punycode.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, also where it is the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether browsers reach it over TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }
}

/// A domain all of whose hosts share a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieDomain(String);

/// Why a text is not a [`CookieDomain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidCookieDomain {
    /// Not a domain name.
    #[error("expected a domain name, like `example.com`")]
    NotADomain,
    /// A name under which strangers can register (the Public Suffix List), for which browsers
    /// refuse cookies.
    #[error("strangers can have hosts under a public suffix, so browsers refuse its cookies")]
    PublicSuffix,
}

impl CookieDomain {
    /// Parses a domain; a leading dot is dropped (RFC 6265 §5.2.3).
    ///
    /// # Errors
    ///
    /// [`InvalidCookieDomain`].
    pub fn parse(text: &str) -> Result<Self, InvalidCookieDomain> {
        let name = text.trim();
        let name = name.strip_prefix('.').unwrap_or(name);
        let domain = match Host::parse(name) {
            Ok(Host::Domain(domain)) if !domain.ends_with('.') && domain.contains('.') => domain,
            Ok(Host::Domain(_)) if !name.contains('.') && !name.is_empty() => {
                return Err(InvalidCookieDomain::PublicSuffix);
            }
            _ => return Err(InvalidCookieDomain::NotADomain),
        };
        match psl::domain_str(&domain) {
            Some(_) => Ok(Self(domain)),
            None => Err(InvalidCookieDomain::PublicSuffix),
        }
    }

    /// Returns the domain without a leading dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a host is the domain or below it, at a label boundary.
    pub fn contains(&self, host: &str) -> bool {
        match host.strip_suffix(self.0.as_str()) {
            Some("") => true,
            Some(labels) => labels.ends_with('.') && labels.len() > 1,
            None => false,
        }
    }
}

/// The hosts for which an application's sessions are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One host.
    Single,
    /// Every host of a domain, with the outpost on one of them.
    Domain(CookieDomain),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_as_browsers_send_it() {
        for (text, expected) in [
            ("app.example.com", Some("app.example.com")),
            ("App.Example.COM:8443", Some("app.example.com:8443")),
            ("[::1]:80", Some("[::1]:80")),
            ("[::1]", Some("[::1]")),
            ("127.0.0.1:9000", Some("127.0.0.1:9000")),
            ("", None),
            ("app.example.com.", None),
            ("user@app.example.com", None),
            ("app.example.com, evil.example", None),
            ("app.example.com:", None),
            ("app.example.com:99999", None),
            ("app.example.com/evil", None),
            ("app%2eexample.com", None),
            ("::1", None),
            ("[app]", None),
        ] {
            let parsed = HostPort::parse(text).map(|host| host.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_external_url_is_an_origin() {
        for (text, expected) in [
            ("https://Wiki.Example.com", Some("https://wiki.example.com")),
            (
                "https://wiki.example.com:443/",
                Some("https://wiki.example.com"),
            ),
            (
                "http://app.localhost:8080",
                Some("http://app.localhost:8080"),
            ),
            ("https://wiki.example.com/path", None),
            ("https://wiki.example.com?x", None),
            ("https://user@wiki.example.com", None),
            ("https://wiki.example.com.", None),
            ("ftp://wiki.example.com", None),
            ("wiki.example.com", None),
            ("https://[::1]:8443", Some("https://[::1]:8443")),
            ("https://*.example.com", None),
            ("https://a`b.example.com", None),
            ("https://a\"b.example.com", None),
            ("https://a;b.example.com", None),
            ("https://a$b.example.com", None),
        ] {
            let parsed = ExternalUrl::parse(text).map(|url| url.origin().to_owned());
            assert_eq!(parsed.ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_cookie_domain_is_one_that_an_operator_can_own() {
        for (text, expected) in [
            ("example.com", Ok("example.com")),
            (".Example.com", Ok("example.com")),
            ("a.b.example.co.uk", Ok("a.b.example.co.uk")),
            ("gate.test", Ok("gate.test")),
            ("co.uk", Err(InvalidCookieDomain::PublicSuffix)),
            ("github.io", Err(InvalidCookieDomain::PublicSuffix)),
            ("com", Err(InvalidCookieDomain::PublicSuffix)),
            ("localhost", Err(InvalidCookieDomain::PublicSuffix)),
            ("10.0.0.1", Err(InvalidCookieDomain::NotADomain)),
            ("", Err(InvalidCookieDomain::NotADomain)),
            ("a b.example.com", Err(InvalidCookieDomain::NotADomain)),
        ] {
            let parsed = CookieDomain::parse(text);
            assert_eq!(
                parsed.as_ref().map(CookieDomain::as_str).map_err(|e| *e),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_domain_contains_hosts_at_a_label_boundary() {
        let domain = CookieDomain::parse("example.com").expect("a domain");
        for (host, expected) in [
            ("example.com", true),
            ("app.example.com", true),
            ("a.b.example.com", true),
            ("evilexample.com", false),
            (".example.com", false),
            ("example.com.evil.example", false),
            ("app.example.com.", false),
            ("example.comc", false),
            ("com", false),
        ] {
            assert_eq!(domain.contains(host), expected, "{host}");
        }
    }
}
