//! A request as the outpost sees it: one that a browser sent here, or one that a proxy asks about.

use std::borrow::Cow;
use std::net::IpAddr;

use gatepost_policy::{Presentation, RULE_HEADER, Request, Require};
use gatepost_session::cookie::{self, Candidates, CookieName};
use http::header::{AUTHORIZATION, COOKIE, HOST, SEC_WEBSOCKET_KEY};
use http::{HeaderMap, HeaderValue, Method};
use url::form_urlencoded;

use super::endpoint::Dialect;
use super::failure::Failure;
use crate::authority::Authority;
use crate::limits::Client;
use crate::trust::TrustedProxies;

/// A request: its method, host, target and headers.
///
/// Made by [`Visit::direct`] of the request itself, or by [`Visit::asked_about`] of what a trusted
/// proxy says of another. No other code reads a forwarded header.
#[derive(Clone, Debug)]
pub struct Visit<'a> {
    method: Method,
    host: Option<Authority>,
    target: &'a str,
    headers: &'a HeaderMap,
    /// Whether it asks for a WebSocket, which the headers of a forwarded request do not say.
    websocket: bool,
    trusted: &'a TrustedProxies,
    trusted_peer: bool,
    peer: IpAddr,
    /// What else must hold for it to pass, as the plugin in the proxy says.
    narrower: Option<Require>,
}

impl<'a> Visit<'a> {
    /// The request that was sent here. Its host is that of the URL or the `Host` header; a trusted
    /// proxy may name another by `X-Forwarded-Host`.
    pub fn direct(
        parts: &'a http::request::Parts,
        peer: IpAddr,
        trusted: &'a TrustedProxies,
    ) -> Self {
        let trusted_peer = trusted.contains(peer);
        let host = match forwarded(&parts.headers, "x-forwarded-host") {
            Ok(Some(host)) if trusted_peer => Authority::parse(host),
            // Said by a trusted proxy, but not to be understood: no host rather than a wrong one.
            Err(_) if trusted_peer => None,
            _ => own_host(parts),
        };
        let target = parts
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        Self {
            method: parts.method.clone(),
            host,
            target,
            headers: &parts.headers,
            websocket: false,
            trusted,
            trusted_peer,
            peer,
            narrower: None,
        }
    }

    /// The request that a proxy asks about by this one. `may_omit_target` allows nginx to say
    /// nothing of the target, as recipes for authentik do: it is then one that no rule matches.
    ///
    /// Each dialect has one source for each part, and everything else that a header may say of it
    /// is ignored.
    ///
    /// # Errors
    ///
    /// [`Failure::UntrustedPeer`] when the peer is none of the trusted proxies, and
    /// [`Failure::Forwarded`] when a part is missing or cannot be understood.
    pub fn asked_about(
        &self,
        dialect: Dialect,
        parts: &'a http::request::Parts,
        may_omit_target: bool,
    ) -> Result<Self, Failure> {
        if !self.trusted_peer {
            return Err(Failure::UntrustedPeer { peer: self.peer });
        }
        let headers = &parts.headers;
        let (method, host, target, websocket) = match dialect {
            Dialect::Traefik | Dialect::Caddy => {
                let method = required(headers, "x-forwarded-method")?;
                let proto = required(headers, "x-forwarded-proto")?;
                let host = required(headers, "x-forwarded-host")?;
                let target = required(headers, "x-forwarded-uri")?;
                (Some(method), host, target, is_websocket(proto)?)
            }
            Dialect::Nginx => {
                let method = forwarded(headers, "x-original-method")?;
                let (host, target) = match forwarded(headers, "x-original-url")? {
                    Some(url) => split_url(url).ok_or(Failure::Forwarded("X-Original-URL"))?,
                    None => {
                        let host =
                            forwarded(headers, "x-forwarded-host")?.or(header_host(headers)?);
                        let host = host.ok_or(Failure::Forwarded("X-Forwarded-Host"))?;
                        let target = match forwarded(headers, "x-original-uri")? {
                            None if may_omit_target => "",
                            target => target.ok_or(Failure::Forwarded("X-Original-URI"))?,
                        };
                        (host, target)
                    }
                };
                (method, host, target, false)
            }
            Dialect::Envoy => {
                let host = header_host(headers)?
                    .or(parts.uri.authority().map(http::uri::Authority::as_str))
                    .ok_or(Failure::Forwarded("Host"))?;
                let target = self
                    .target
                    .split_once("/auth/envoy")
                    .map_or("", |(_, rest)| rest);
                (Some(parts.method.as_str()), host, target, false)
            }
        };
        // Where a proxy does not say the method it is none that a rule for one would match.
        let method = method.unwrap_or("UNKNOWN").parse();
        let unsaid = may_omit_target && target.is_empty() && dialect == Dialect::Nginx;
        let starts_path = target.starts_with('/') || unsaid;
        let plain = |b: u8| b > b' ' && b != 0x7f;
        if !starts_path || !target.bytes().all(plain) {
            return Err(Failure::Forwarded("the request's URI"));
        }
        Ok(Self {
            method: method.map_err(|_| Failure::Forwarded("the request's method"))?,
            host: Some(Authority::parse(host).ok_or(Failure::Forwarded("the request's host"))?),
            target,
            headers,
            // Traefik says so only where it hands its own `X-Forwarded-Proto` on, and takes
            // `Upgrade` out of the question.
            websocket: websocket || headers.contains_key(SEC_WEBSOCKET_KEY),
            trusted: self.trusted,
            trusted_peer: self.trusted_peer,
            peer: self.peer,
            narrower: narrower(headers)?,
        })
    }

    /// The rule of the plugin in whose place this is decided, which must hold besides the
    /// application's own. Nobody gains by making one up.
    pub fn narrower(&self) -> Option<&Require> {
        self.narrower.as_ref()
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Whether it came from a trusted proxy.
    pub fn has_trusted_peer(&self) -> bool {
        self.trusted_peer
    }

    /// The peer, if it says for whom it asks and is not believed.
    pub fn unbelieved_proxy(&self) -> Option<IpAddr> {
        let speaks_for_others = self.headers.contains_key("x-forwarded-for");
        (speaks_for_others && !self.trusted_peer).then_some(self.peer)
    }

    /// Whom it is from, if that is known: for limits and for nothing else, since no decision hangs
    /// on an address.
    pub fn client(&self) -> Option<Client> {
        let lines = self.headers.get_all("x-forwarded-for").iter();
        // What is no text is no address either.
        let lines = lines.map(|line| line.to_str().unwrap_or("?"));
        self.trusted.client(self.peer, lines).map(Client::from)
    }

    /// The host, if there is one that can be understood.
    pub fn host(&self) -> Option<&Authority> {
        self.host.as_ref()
    }

    /// Path and query, still encoded.
    pub fn target_str(&self) -> &'a str {
        self.target
    }

    /// The path, still encoded.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target, |(path, _)| path)
    }

    /// The decoded values of a query parameter.
    pub fn query<'v>(&self, name: &'v str) -> impl Iterator<Item = Cow<'a, str>> + use<'a, 'v> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes())
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value)
    }

    /// The one value of a query parameter; `None` also when it stands there more than once, since
    /// readers differ about which counts.
    pub fn single_query(&self, name: &str) -> Option<String> {
        let mut values = self.query(name);
        let value = values.next()?.into_owned();
        values.next().is_none().then_some(value)
    }

    /// Where `start` is to lead back to: the query parameter `rd`.
    ///
    /// nginx cannot escape what it puts into a URL, so the recipes for it write
    /// `rd=$request_uri`, and the target's own query runs on in that of `start`. A question mark
    /// that is not escaped tells that form, whose target is all the rest, as it stands.
    pub fn return_target(&self) -> Option<Cow<'_, str>> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        match query.strip_prefix("rd=") {
            Some(target) if target.contains('?') => Some(Cow::Borrowed(target)),
            _ => self.single_query("rd").map(Cow::Owned),
        }
    }

    /// The provider that `start` is to use, by the query parameter `provider`. Where the target runs
    /// on in the query, what stands there is the target's.
    pub fn chosen_provider(&self) -> Option<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let runs_on = |target: &str| target.contains('?');
        if query.strip_prefix("rd=").is_some_and(runs_on) {
            return None;
        }
        self.single_query("provider")
    }

    /// Whether a page is being loaded.
    pub fn presentation(&self) -> Presentation {
        Presentation::of(self)
    }

    /// The one value of a header, if it is text.
    pub fn header_text(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// The cookies whose name and value are text. Others may be any bytes, and stand in the way of
    /// none.
    pub fn cookies(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let lines = self
            .headers
            .get_all(COOKIE)
            .iter()
            .map(HeaderValue::as_bytes);
        lines
            .flat_map(|line| line.split(|byte| *byte == b';'))
            .filter_map(|pair| std::str::from_utf8(pair).ok())
            .filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='))
    }

    /// All `Cookie` lines as one, without the session cookie of that name; `None` when nothing is
    /// left.
    pub fn cookies_but(&self, hidden: Option<&CookieName>) -> Option<HeaderValue> {
        let lines = self
            .headers
            .get_all(COOKIE)
            .iter()
            .map(HeaderValue::as_bytes);
        let kept: Vec<Vec<u8>> = lines
            .filter_map(|line| match hidden {
                Some(name) => cookie::strip(line, name),
                None => Some(line.to_vec()),
            })
            .collect();
        let line = kept.join(&b"; "[..]);
        HeaderValue::from_bytes(&line)
            .ok()
            .filter(|line| !line.is_empty())
    }

    /// The lines of `Authorization`, as they were sent.
    pub fn credentials(&self) -> impl Iterator<Item = HeaderValue> + use<'a> {
        let lines = self.headers.get_all(AUTHORIZATION).iter().cloned();
        lines.map(|mut line| {
            line.set_sensitive(true);
            line
        })
    }

    /// The values that may be the session cookie of that name.
    pub fn session_candidates(&self, name: &CookieName) -> Candidates<'a> {
        Candidates::find(
            self.headers
                .get_all(COOKIE)
                .iter()
                .map(HeaderValue::as_bytes),
            name,
        )
    }
}

impl Request for Visit<'_> {
    fn method(&self) -> Cow<'_, [u8]> {
        self.method.as_str().as_bytes().into()
    }

    fn target(&self) -> Cow<'_, [u8]> {
        self.target.as_bytes().into()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.headers.get_all(name).iter();
        let first = match values.next() {
            Some(value) => value.as_bytes(),
            None if self.websocket && name == "upgrade" => b"websocket",
            None => return None,
        };
        let rest: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
        if rest.is_empty() {
            return Some(Cow::Borrowed(first));
        }
        let all: Vec<&[u8]> = std::iter::once(first).chain(rest).collect();
        Some(Cow::Owned(all.join(&b", "[..])))
    }
}

/// The host that a request names itself: that of an absolute URL (HTTP/2 always has one), else the
/// `Host` header.
fn own_host(parts: &http::request::Parts) -> Option<Authority> {
    match parts.uri.authority() {
        Some(authority) => Authority::parse(authority.as_str()),
        None => header_host(&parts.headers).ok()?.and_then(Authority::parse),
    }
}

fn header_host(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    single(headers, HOST.as_str()).map_err(|()| Failure::Forwarded("Host"))
}

/// A header that a proxy sets, once and as text.
fn forwarded<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Failure> {
    single(headers, name).map_err(|()| Failure::Forwarded(name))
}

/// The rule that the plugin hands on. One that cannot be read must not be one that is not there.
fn narrower(headers: &HeaderMap) -> Result<Option<Require>, Failure> {
    let Some(text) = forwarded(headers, RULE_HEADER)? else {
        return Ok(None);
    };
    let rule = Require::from_text(text).map_err(|_| Failure::Forwarded(RULE_HEADER))?;
    Ok(Some(rule))
}

fn required<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, Failure> {
    forwarded(headers, name)?.ok_or(Failure::Forwarded(name))
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
