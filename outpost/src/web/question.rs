//! What a proxy asks about: which of its headers count, and what must not contradict them.
//!
//! Clients can send every header that the shown recipe of a proxy does not set. So for each way of
//! asking exactly one source counts for host, path and method. What a client can know and a recipe
//! may set besides has to agree with it, or the question is refused.

use http::HeaderMap;
use http::header::HOST;

use super::endpoint::Dialect;
use super::failure::Failure;
use crate::application::Applications;
use crate::compat::{AUTHENTIK_PREFIX, Conventions};
use crate::origin::HostPort;

/// How a proxy's subrequest asks, by its path. That is the proxy's configuration, which no client
/// has a say in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'t> {
    /// The language of the proxy.
    pub dialect: Dialect,
    /// The prefix under which it asks.
    pub prefix: &'t str,
    /// Whether the query names the dialect, as in the annotation of an Ingress.
    pub by_query: bool,
    /// What follows the endpoint's path: for Envoy, the target that it asks about.
    pub target: &'t str,
}

/// What a proxy says of a request.
#[derive(Debug)]
pub(super) struct Said<'h> {
    pub(super) host: HostPort,
    /// Empty where it is not known. No path is, so that no rule for a path holds.
    pub(super) target: &'h str,
    /// `None` where it is not known, so that no rule for a method holds.
    pub(super) method: Option<&'h str>,
    pub(super) websocket: bool,
}

/// Where host, path and method of the request stand.
enum Source {
    /// `X-Forwarded-{Method,Proto,Host,Uri}`, all of which the proxy sets.
    Forwarded,
    /// The question is the request, behind the endpoint's path.
    Itself,
    /// `X-Original-URL`; and `X-Original-Method`, where the recipe for this path sets it.
    OriginalUrl { and_method: bool },
    /// `Host`, and nothing else: authentik's recipes of 2021 set no other header.
    HostAlone,
}

impl<'t> Question<'t> {
    fn source(self, conventions: Conventions) -> Source {
        match self.dialect {
            Dialect::Traefik | Dialect::Caddy => Source::Forwarded,
            Dialect::Envoy => Source::Itself,
            // Ingress controllers set both.
            Dialect::Nginx if self.by_query => Source::OriginalUrl { and_method: true },
            // Today's recipe of authentik says nothing of the method.
            Dialect::Nginx if self.prefix == AUTHENTIK_PREFIX => {
                Source::OriginalUrl { and_method: false }
            }
            Dialect::Nginx if conventions == Conventions::Authentik => Source::HostAlone,
            Dialect::Nginx => Source::OriginalUrl { and_method: true },
        }
    }

    /// What the proxy says of the request.
    ///
    /// # Errors
    ///
    /// [`Failure::Forwarded`] when a part is missing or cannot be understood, and
    /// [`Failure::Contradicted`] when a header says something else than the one that counts.
    pub(super) fn read(
        self,
        parts: &'t http::request::Parts,
        applications: &Applications,
    ) -> Result<Said<'t>, Failure> {
        let headers = &parts.headers;
        let said = match self.source(applications.conventions()) {
            Source::Forwarded => Said {
                websocket: is_websocket(required(headers, "x-forwarded-proto")?)?,
                host: host(required(headers, "x-forwarded-host")?)?,
                target: required(headers, "x-forwarded-uri")?,
                method: Some(required(headers, "x-forwarded-method")?),
            },
            Source::Itself => Said {
                websocket: false,
                host: host(own_host(parts)?.ok_or(Failure::Forwarded("Host"))?)?,
                target: self.target,
                method: Some(parts.method.as_str()),
            },
            Source::OriginalUrl { and_method } => {
                let url = header_text(headers, "x-original-url")?;
                let url = url.ok_or_else(|| without_url(headers))?;
                let (named, target) = split_url(url).ok_or(Failure::Forwarded("X-Original-URL"))?;
                let method = header_text(headers, "x-original-method")?.filter(|_| and_method);
                agrees(headers, "x-original-uri", |uri| uri == target)?;
                agrees(headers, "x-forwarded-uri", |uri| uri == target)?;
                agrees(headers, "x-forwarded-method", |own| {
                    method.is_none_or(|method| own == method)
                })?;
                Said {
                    websocket: false,
                    host: host(named)?,
                    target,
                    method,
                }
            }
            Source::HostAlone => {
                let named = host(own_host(parts)?.ok_or(Failure::Forwarded("Host"))?)?;
                agrees(headers, "x-original-url", |url| {
                    let own = split_url(url).and_then(|(own, _)| HostPort::parse(own));
                    own.is_some_and(|own| own.host() == named.host())
                })?;
                Said {
                    websocket: false,
                    host: named,
                    target: "",
                    method: None,
                }
            }
        };
        if self.dialect == Dialect::Nginx {
            agrees(headers, "x-forwarded-host", |own| {
                HostPort::parse(own).is_some_and(|own| own.host() == said.host.host())
            })?;
        }
        self.agrees_with_host(parts, &said.host, applications)?;
        is_target(said.target, self.source(applications.conventions()))?;
        Ok(said)
    }

    /// Refuses a question whose `Host` is that of another application: then the proxy serves one
    /// and asks about the other.
    ///
    /// It may be the address that the proxy asks at, so one where only an outpost answers is none.
    fn agrees_with_host(
        self,
        parts: &http::request::Parts,
        said: &HostPort,
        applications: &Applications,
    ) -> Result<(), Failure> {
        let Some(own) = own_host(parts)?.and_then(HostPort::parse) else {
            return Ok(());
        };
        let contradicts = match self.dialect {
            // It is the request's own.
            Dialect::Envoy => false,
            // Traefik asks at an address of its own, perhaps below the cookie domain.
            Dialect::Traefik => {
                applications.have_named(&own) && applications.tell_apart(&own, said)
            }
            // authentik's expressions for a domain are matched against the host too.
            Dialect::Nginx if applications.conventions() == Conventions::Authentik => {
                applications.know(&own) && own.host() != said.host()
            }
            Dialect::Caddy | Dialect::Nginx => applications.tell_apart(&own, said),
        };
        if contradicts && !applications.have_outpost_at(&own) {
            return Err(Failure::Contradicted("Host"));
        }
        Ok(())
    }
}

/// The host of a direct request: that of its URL or `Host` header, by which the proxy routed it. A
/// trusted proxy says by `X-Forwarded-Host` what that was before it changed it; but behind a second
/// proxy which the first trusts, this header is the client's.
pub(super) fn direct_host(
    parts: &http::request::Parts,
    trusted_peer: bool,
    applications: &Applications,
) -> Result<HostPort, Unplaced> {
    let own = own_host(parts).map_err(|_| Unplaced::Unreadable)?;
    let own = own.and_then(HostPort::parse);
    let said = match single(&parts.headers, "x-forwarded-host") {
        _ if !trusted_peer => None,
        Ok(said) => said,
        // Not to be understood: no host rather than a wrong one.
        Err(()) => return Err(Unplaced::Unreadable),
    };
    let Some(said) = said else {
        return own.ok_or(Unplaced::Unreadable);
    };
    let said = HostPort::parse(said).ok_or(Unplaced::Unreadable)?;
    match own {
        Some(own) if applications.tell_apart(&own, &said) => Err(Unplaced::Contradicted),
        Some(own) if applications.know(&own) => Ok(own),
        _ => Ok(said),
    }
}

/// Why it is not known which host a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unplaced {
    /// It names none that can be understood.
    Unreadable,
    /// It names two, of different applications.
    Contradicted,
}

impl From<Unplaced> for Failure {
    fn from(unplaced: Unplaced) -> Self {
        match unplaced {
            Unplaced::Unreadable => Self::UnknownHost { host: None },
            Unplaced::Contradicted => Self::Contradicted("X-Forwarded-Host"),
        }
    }
}

/// What is missing where there is no `X-Original-URL`, and what to write instead.
fn without_url(headers: &HeaderMap) -> Failure {
    Failure::Forwarded(if headers.contains_key("x-forwarded-uri") {
        "X-Original-URL; `X-Forwarded-Uri` is what Traefik sets: let it ask at `auth/traefik`"
    } else {
        "X-Original-URL: set it to `$scheme://$host$request_uri` where nginx asks"
    })
}

/// Refuses a header that is there and does not say the same.
fn agrees(
    headers: &HeaderMap,
    name: &'static str,
    same: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    match header_text(headers, name)? {
        Some(text) if !same(text) => Err(Failure::Contradicted(name)),
        Some(_) | None => Ok(()),
    }
}

fn host(text: &str) -> Result<HostPort, Failure> {
    HostPort::parse(text).ok_or(Failure::Forwarded("the request's host"))
}

fn is_target(target: &str, source: Source) -> Result<(), Failure> {
    let plain = |b: u8| b > b' ' && b != 0x7f;
    let holds = match source {
        Source::HostAlone => target.is_empty(),
        Source::Forwarded | Source::Itself | Source::OriginalUrl { .. } => {
            target.starts_with('/') && target.bytes().all(plain)
        }
    };
    holds
        .then_some(())
        .ok_or(Failure::Forwarded("the request's URI"))
}

/// The host that a request names itself: that of an absolute URL (HTTP/2 always has one), or the
/// `Host` header. Two that differ are none.
fn own_host(parts: &http::request::Parts) -> Result<Option<&str>, Failure> {
    let header = single(&parts.headers, HOST.as_str()).map_err(|()| Failure::Forwarded("Host"))?;
    match (
        parts.uri.authority().map(http::uri::Authority::as_str),
        header,
    ) {
        (Some(authority), Some(header)) if !authority.eq_ignore_ascii_case(header) => {
            Err(Failure::Contradicted("Host"))
        }
        (authority, header) => Ok(authority.or(header)),
    }
}

fn required<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, Failure> {
    header_text(headers, name)?.ok_or(Failure::Forwarded(name))
}

/// A header that a proxy sets, once and as text.
pub(super) fn header_text<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> Result<Option<&'h str>, Failure> {
    single(headers, name).map_err(|()| Failure::Forwarded(name))
}

fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(());
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| ())?;
    Ok((!text.is_empty()).then_some(text))
}

/// Traefik says `ws` or `wss` for an upgrade to a WebSocket.
fn is_websocket(proto: &str) -> Result<bool, Failure> {
    match proto {
        "http" | "https" => Ok(false),
        "ws" | "wss" => Ok(true),
        _ => Err(Failure::Forwarded("x-forwarded-proto")),
    }
}

/// An absolute URL's host and target, byte for byte: a URL parser would tidy the path up, and
/// judge another than the upstream gets.
fn split_url(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let at = rest.find(['/', '?', '#'])?;
    let (host, target) = rest.split_at_checked(at)?;
    target.starts_with('/').then_some((host, target))
}
