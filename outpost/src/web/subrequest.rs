//! Reads the request that a proxy asks about: which of its headers count, and which other headers
//! must agree with them.
//!
//! Clients can send every header that the documented recipe of a proxy does not set. So for each way
//! of asking exactly one source counts for host, path and method. What a client can know and a
//! recipe may set besides has to agree with it, or the subrequest is refused.

use gatepost_policy::{Demand, InvalidDemand, RULE_HEADER, UNKNOWN_METHOD};
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, SEC_WEBSOCKET_KEY};
use percent_encoding::percent_decode_str;

use super::failure::Failure;
use super::forwarded_headers::{header_text, own_host};
use super::request::ForwardedRequest;
use crate::application::Applications;
use crate::compat::{AUTHENTIK_PREFIX, Conventions};
use crate::dialect::{Askers, Dialect};
use crate::origin::HostPort;

/// How a proxy's subrequest asks, by its path. The path is the proxy's configuration, which no client
/// influences but for what Envoy has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subrequest<'t> {
    /// The dialect of the proxy.
    pub dialect: Dialect,
    /// The prefix under which it asks.
    pub prefix: &'t str,
    /// Whether the query names the dialect, as in the annotation of an Ingress.
    pub by_query: bool,
    /// The rest of the path: for Envoy, the target that it asks about.
    pub target: &'t str,
}

/// A request as a proxy describes it.
#[derive(Debug)]
struct Described<'h> {
    host: HostPort,
    /// Empty where it is unknown: then no rule for a path matches.
    target: &'h str,
    /// `None` where it is unknown: then it may be any, see [`UNKNOWN_METHOD`].
    method: Option<&'h str>,
    websocket: bool,
}

/// The headers that host, path and method of the request come from.
enum Source {
    /// `X-Forwarded-{Method,Proto,Host,Uri}`, which the proxy sets.
    Forwarded,
    /// The subrequest is the request, behind the endpoint's path.
    Itself,
    /// `X-Original-URL`; and `X-Original-Method`, where the recipe for this path sets it.
    OriginalUrl { and_method: bool },
    /// `Host`, and nothing else: authentik's recipes of 2021 set no other header.
    HostAlone,
}

impl<'t> Subrequest<'t> {
    fn source(self, conventions: Conventions) -> Source {
        match self.dialect {
            Dialect::Traefik | Dialect::Caddy => Source::Forwarded,
            Dialect::Envoy => Source::Itself,
            // Ingress controllers set both.
            Dialect::Nginx if self.by_query => Source::OriginalUrl { and_method: true },
            // Today's recipe of authentik does not send the method.
            Dialect::Nginx if self.prefix == AUTHENTIK_PREFIX => {
                Source::OriginalUrl { and_method: false }
            }
            Dialect::Nginx if conventions == Conventions::Authentik => Source::HostAlone,
            Dialect::Nginx => Source::OriginalUrl { and_method: true },
        }
    }

    /// Checks that a proxy asks, and not a client whose request a router has taken here: a script
    /// would read what it must not, such as cookies with `HttpOnly`, in the response to a proxy.
    ///
    /// # Errors
    ///
    /// [`Failure::NotAskedBy`] where the operator names other proxies, [`Failure::AskedByClient`] where
    /// the request shows whose it is, and [`Failure::Forwarded`] where the path leads out of the
    /// endpoint: other proxies than Envoy take such a path for another than this endpoint's, and hand
    /// it on as it is.
    pub fn check_asked_by_proxy(
        self,
        asking: &ForwardedRequest<'_>,
        askers: &Askers,
    ) -> Result<(), Failure> {
        let endpoint = self.dialect.name();
        if !askers.include(self.dialect) {
            return Err(Failure::NotAskedBy(endpoint));
        }
        if self.dialect == Dialect::Envoy && has_dot_segments(self.target) {
            return Err(Failure::Forwarded(
                "path: one with a segment `.` or `..` may mean another; have Envoy normalise paths \
                 (`normalize_path`), and any other proxy route no client to `auth/*`",
            ));
        }
        let by_client = |sign| Err(Failure::AskedByClient { endpoint, sign });
        // nginx, where a recipe of authentik's is in use, says so of each request that it hands on.
        // In a question it says so of another request.
        for (sign, name) in [
            ("X-Original-URL", "x-original-url"),
            ("X-Original-URI", "x-original-uri"),
        ] {
            let said = asking.headers.get(name);
            let said = said.and_then(|value| value.to_str().ok());
            let target = said.map(|said| split_url(said).map_or(said, |(_, target)| target));
            if target == Some(asking.sent_to) {
                return by_client(sign);
            }
        }
        // A question of Envoy's is like any request, but has only the headers that Envoy was
        // configured to send. Scripts cannot keep a browser from sending this one.
        let is_any = self.dialect == Dialect::Envoy && !askers.name(Dialect::Envoy);
        if is_any && asking.headers.contains_key(ACCEPT_ENCODING) {
            return by_client("Accept-Encoding");
        }
        Ok(())
    }

    /// Returns whether the proxy takes `Cookie` over from a response. authentik's recipes of 2021, in
    /// which a client can ask too, do not.
    pub fn takes_cookies_over(self, applications: &Applications) -> bool {
        match self.source(applications.conventions()) {
            Source::Forwarded | Source::Itself | Source::OriginalUrl { .. } => true,
            Source::HostAlone => false,
        }
    }

    /// Returns whether each recipe for this way of asking has the proxy set `X-Forwarded-For`: those of
    /// authentik for nginx hand a client's on.
    fn says_the_address(self, applications: &Applications) -> bool {
        match self.source(applications.conventions()) {
            Source::Forwarded | Source::Itself => true,
            Source::OriginalUrl { and_method } => and_method,
            Source::HostAlone => false,
        }
    }

    /// Returns the request that a proxy asks about by `asking`, the request that it sent here.
    ///
    /// # Errors
    ///
    /// [`Failure::UntrustedPeer`] when the peer is not a trusted proxy, [`Failure::Forwarded`] when a
    /// part is missing or invalid, and [`Failure::Contradicted`] when headers contradict each other.
    pub fn asked_about(
        self,
        asking: &ForwardedRequest<'t>,
        parts: &'t http::request::Parts,
        applications: &Applications,
    ) -> Result<ForwardedRequest<'t>, Failure> {
        if !asking.trusted_peer {
            return Err(Failure::UntrustedPeer { peer: asking.peer });
        }
        let described = self.read(parts, applications)?;
        // A browser follows the answer of these proxies, and a page is what a user is shown.
        let follows = matches!(self.dialect, Dialect::Traefik | Dialect::Caddy);
        let as_get = follows && described.method.is_none();
        let method = described.method.unwrap_or(UNKNOWN_METHOD).parse();
        Ok(ForwardedRequest {
            method: method.map_err(|_| Failure::Forwarded("the request's method"))?,
            host: Ok(described.host),
            target: described.target,
            headers: &parts.headers,
            // Traefik says so only where it hands its own `X-Forwarded-Proto` on, and takes
            // `Upgrade` out of the subrequest.
            websocket: described.websocket || parts.headers.contains_key(SEC_WEBSOCKET_KEY),
            as_get,
            address_is_said: self.says_the_address(applications),
            demand: demand(&parts.headers)?,
            ..asking.clone()
        })
    }

    /// Reads the proxy's description of the request.
    fn read(
        self,
        parts: &'t http::request::Parts,
        applications: &Applications,
    ) -> Result<Described<'t>, Failure> {
        let headers = &parts.headers;
        let described = match self.source(applications.conventions()) {
            Source::Forwarded if is_nginx(headers) => {
                return Err(Failure::Forwarded(
                    "X-Forwarded-Uri; `X-Original-URL` is what nginx sets: let it ask at `auth/nginx`",
                ));
            }
            Source::Forwarded => Described {
                websocket: is_websocket(required(headers, "x-forwarded-proto")?)?,
                host: host(required(headers, "x-forwarded-host")?)?,
                target: required(headers, "x-forwarded-uri")?,
                // authentik's outposts do not read it, so a proxy set up for one may not send it.
                method: match applications.conventions() {
                    Conventions::Authentik => header_text(headers, "x-forwarded-method")?,
                    Conventions::Gatepost => Some(required(headers, "x-forwarded-method")?),
                },
            },
            Source::Itself => Described {
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
                Described {
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
                Described {
                    websocket: false,
                    host: named,
                    target: "",
                    method: None,
                }
            }
        };
        if self.dialect == Dialect::Nginx {
            agrees(headers, "x-forwarded-host", |own| {
                HostPort::parse(own).is_some_and(|own| own.host() == described.host.host())
            })?;
        }
        self.agrees_with_host(parts, &described.host, applications)?;
        check_target(described.target, self.source(applications.conventions()))?;
        Ok(described)
    }

    /// Refuses a subrequest whose `Host` is that of another application: then the proxy serves one
    /// application and asks about the other.
    ///
    /// It may be the address of the outpost itself, so a host where only an outpost answers does not
    /// count.
    fn agrees_with_host(
        self,
        parts: &http::request::Parts,
        asked_about: &HostPort,
        applications: &Applications,
    ) -> Result<(), Failure> {
        let Some(own) = own_host(parts)?.and_then(HostPort::parse) else {
            return Ok(());
        };
        let contradicts = match self.dialect {
            // The host is the request's own.
            Dialect::Envoy => false,
            // Traefik sends the subrequest to an address of its own, perhaps below the cookie domain.
            Dialect::Traefik => {
                applications.have_named(&own) && applications.distinguish(&own, asked_about)
            }
            // authentik's expressions for a domain are matched against the host too, and its text for
            // Caddy trusts the `X-Forwarded-Host` of clients in private networks.
            Dialect::Caddy | Dialect::Nginx
                if applications.conventions() == Conventions::Authentik =>
            {
                applications.know(&own) && own.host() != asked_about.host()
            }
            Dialect::Caddy | Dialect::Nginx => applications.distinguish(&own, asked_about),
        };
        if contradicts && !applications.have_outpost_at(&own) {
            return Err(Failure::Contradicted("Host"));
        }
        Ok(())
    }
}

/// Returns whether a question is one of nginx, by our recipe: no proxy that asks in the way of Traefik says
/// which request it asks about by that header alone.
fn is_nginx(headers: &HeaderMap) -> bool {
    headers.contains_key("x-original-url") && !headers.contains_key("x-forwarded-uri")
}

/// Returns the failure for a missing `X-Original-URL`, with what to write.
fn without_url(headers: &HeaderMap) -> Failure {
    Failure::Forwarded(if headers.contains_key("x-forwarded-uri") {
        "X-Original-URL: set it to `$scheme://$host$request_uri` where nginx asks, and take the lines for \
         `X-Forwarded-Uri` out; or, if this is Traefik, let it ask at `auth/traefik`"
    } else {
        "X-Original-URL: set it to `$scheme://$host$request_uri` where nginx asks"
    })
}

/// Refuses a header that contradicts the one that counts.
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

/// Returns whether a server may read the path of a target as one that leads somewhere else.
fn has_dot_segments(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut segments = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
    segments.any(|segment| matches!(segment, b"." | b".."))
}

fn check_target(target: &str, source: Source) -> Result<(), Failure> {
    let plain = |b: u8| b > b' ' && b != 0x7f;
    let is_valid = match source {
        Source::HostAlone => target.is_empty(),
        Source::Forwarded | Source::Itself | Source::OriginalUrl { .. } => {
            target.starts_with('/') && target.bytes().all(plain)
        }
    };
    is_valid
        .then_some(())
        .ok_or(Failure::Forwarded("the request's URI"))
}

fn required<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, Failure> {
    header_text(headers, name)?.ok_or(Failure::Forwarded(name))
}

/// Returns whether the scheme is that of a WebSocket: Traefik writes `ws` or `wss` for an upgrade.
fn is_websocket(proto: &str) -> Result<bool, Failure> {
    match proto {
        "http" | "https" => Ok(false),
        "ws" | "wss" => Ok(true),
        _ => Err(Failure::Forwarded("x-forwarded-proto")),
    }
}

/// Splits an absolute URL into host and target, byte for byte: a URL parser would normalise the path,
/// and the outpost would decide on another than the upstream gets.
fn split_url(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let at = rest.find(['/', '?', '#'])?;
    let (host, target) = rest.split_at_checked(at)?;
    target.starts_with('/').then_some((host, target))
}

/// Reads what the plugin demands. An invalid demand must not count as a missing one.
fn demand(headers: &HeaderMap) -> Result<Option<Demand>, Failure> {
    let Some(text) = header_text(headers, RULE_HEADER)? else {
        return Ok(None);
    };
    match Demand::from_text(text) {
        Ok(demand) => Ok(Some(demand)),
        Err(InvalidDemand::Text(_)) => Err(Failure::Forwarded(RULE_HEADER)),
        Err(InvalidDemand::TooLong) => Err(Failure::TooMuchDemanded),
    }
}
