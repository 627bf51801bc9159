//! A request as the outpost sees it: one that a browser sent here, or one that a proxy asks about.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use gatepost_policy::{
    ClientAddress, Demand, Presentation, RULE_HEADER, RULE_PROOF_HEADER, Request, Unauthenticated,
};
use gatepost_session::cookie::{self, Candidates, CookieName, Hide};
use gatepost_session::{Current, SessionId};
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue, Method};
use url::{Url, form_urlencoded};

use super::failure::Failure;
use super::forwarded_headers::{Unplaced, direct_host};
use crate::application::Application;
use crate::application::{Applications, NoApplication, ProtectedResource};
use crate::client_certificate::{CertificateHeader, Thumbprint};
use crate::origin::HostPort;
use crate::rate_limit::Client;
use crate::trusted_proxies::TrustedProxies;

/// The parameter by which a page of the outpost has the user sign in once more.
pub(super) const AGAIN: &str = "again";

/// A request: its method, host, target and headers.
///
/// Made by [`ForwardedRequest::direct`] from the request itself, or by `Subrequest::asked_about` from
/// what a trusted proxy says of another. No other code reads a forwarded header.
#[derive(Clone, Debug)]
pub struct ForwardedRequest<'a> {
    pub(super) method: Method,
    pub(super) host: Result<HostPort, Unplaced>,
    pub(super) target: &'a str,
    /// The path of the request to the outpost itself: for one that a proxy asks about, the path at
    /// which it asks.
    pub(super) sent_to: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// Whether it asks for a WebSocket, which the headers of a forwarded request do not say.
    pub(super) websocket: bool,
    /// Whether to answer it as a GET although its method is unknown.
    pub(super) as_get: bool,
    /// Whether the way of asking includes that the proxy says who its client is.
    pub(super) address_is_said: bool,
    pub(super) trusted: &'a TrustedProxies,
    pub(super) trusted_peer: bool,
    pub(super) peer: IpAddr,
    /// What the plugin in the proxy demands by its own rules, which must hold too.
    pub(super) demand: Option<Demand>,
}

impl<'a> ForwardedRequest<'a> {
    /// Returns the request that was sent here. Its host is the one that it names itself, by which a
    /// proxy routed it; where no application has that host, a trusted proxy may name another in
    /// `X-Forwarded-Host`.
    pub fn direct(
        parts: &'a http::request::Parts,
        peer: IpAddr,
        trusted: &'a TrustedProxies,
        applications: &Applications,
    ) -> Self {
        let trusted_peer = trusted.contains(peer);
        let target = parts
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        Self {
            method: parts.method.clone(),
            host: direct_host(parts, trusted_peer, applications),
            target,
            sent_to: target,
            headers: &parts.headers,
            websocket: false,
            as_get: false,
            address_is_said: true,
            trusted,
            trusted_peer,
            peer,
            demand: None,
        }
    }

    /// Returns the application at its host.
    ///
    /// # Errors
    ///
    /// [`Failure::NoHost`], [`Failure::UnknownHost`], [`Failure::NotServed`] or [`Failure::Contradicted`].
    pub fn application<'d>(
        &self,
        applications: &'d Applications,
    ) -> Result<&'d Arc<Application>, Failure> {
        let host = self.host.as_ref().map_err(|unplaced| *unplaced)?;
        applications
            .at(host, self.sent_to)
            .map_err(|why| match why {
                NoApplication::Unknown => Failure::UnknownHost {
                    host: host.clone(),
                    conventions: applications.conventions(),
                },
                why => Failure::NotServed {
                    host: host.clone(),
                    why,
                },
            })
    }

    /// Returns the resource for which OAuth clients get tokens, where that of `application` is at its
    /// host.
    pub(super) fn resource<'d>(
        &self,
        application: &'d Application,
    ) -> Option<&'d ProtectedResource> {
        application.resource_at(self.host()?)
    }

    /// Returns the URL that its client asked for, without the query, as far as the proxy vouches for it.
    /// The application says by which scheme clients reach it, and at which port: not every proxy knows.
    /// At a further host of a domain, the port is that of the request.
    pub(super) fn url(&self, application: &Application) -> Option<Url> {
        let external = application.external();
        let host = self.host()?;
        let path = self.path();
        let text = if host.host() == external.host() {
            format!("{}{path}", external.origin())
        } else {
            let scheme = external.url().scheme();
            format!("{scheme}://{host}{path}")
        };
        Url::parse(&text).ok()
    }

    /// Returns what the plugin that leaves the decision to the outpost demands. It must hold besides
    /// the application's own rules, so a client gains nothing by sending one.
    pub fn demand(&self) -> Option<&Demand> {
        self.demand.as_ref()
    }

    /// Returns whether the plugin vouches for what it demands to this session. A client can say the demand
    /// alone, where a proxy hands it on.
    pub fn is_demand_vouched_for(&self, application: &Application, session: &SessionId) -> bool {
        let (demand, word) = (RULE_HEADER, RULE_PROOF_HEADER);
        let said = self.header_text(demand).zip(self.header_text(word));
        said.is_some_and(|(demand, word)| {
            application.has_vouched(session, &Demand::vouched_text(demand), word)
        })
    }

    /// Returns what it demands of the user of a session, so that it can be applied in a moment however many
    /// names it has.
    pub fn demand_of(
        &self,
        session: Result<Current<'_>, Unauthenticated>,
    ) -> Option<Cow<'_, Demand>> {
        let demand = self.demand.as_ref()?;
        Some(match session {
            Ok(session) => Cow::Owned(demand.of_user(session.claims())),
            // There are no groups to compare.
            Err(_) => Cow::Borrowed(demand),
        })
    }

    /// Returns the method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns whether it came from a trusted proxy.
    pub fn has_trusted_peer(&self) -> bool {
        self.trusted_peer
    }

    /// Returns the peer, if it sent forwarded headers and is not trusted.
    pub fn untrusted_forwarder(&self) -> Option<IpAddr> {
        let speaks_for_others = self.headers.contains_key("x-forwarded-for");
        (speaks_for_others && !self.trusted_peer).then_some(self.peer)
    }

    /// Returns the client, if it is known, for limits.
    pub fn client(&self) -> Option<Client> {
        self.trusted
            .client(self.peer, self.forwarded_for())
            .map(Client::from)
    }

    fn forwarded_for(&self) -> impl DoubleEndedIterator<Item = &'a str> + use<'a> {
        let lines = self.headers.get_all("x-forwarded-for").iter();
        // A line that is not text is not an address either.
        lines.map(|line| line.to_str().unwrap_or("?"))
    }

    /// Returns the host, if it is valid.
    pub fn host(&self) -> Option<&HostPort> {
        self.host.as_ref().ok()
    }

    /// Returns path and query, still encoded.
    pub fn target_str(&self) -> &'a str {
        self.target
    }

    /// Returns the path, still encoded.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target, |(path, _)| path)
    }

    /// Returns the decoded values of a query parameter.
    pub fn query<'v>(&self, name: &'v str) -> impl Iterator<Item = Cow<'a, str>> + use<'a, 'v> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes())
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value)
    }

    /// Returns the value of a query parameter; `None` also when it occurs more than once, since parsers
    /// differ about which counts.
    pub fn single_query(&self, name: &str) -> Option<String> {
        let mut values = self.query(name);
        let value = values.next()?.into_owned();
        values.next().is_none().then_some(value)
    }

    /// Returns the target that `start` leads back to: all that follows `target=`, as it stands, or
    /// the query parameter `rd`.
    ///
    /// nginx cannot escape what it puts into a URL, so its configuration writes
    /// `target=$request_uri`, and whatever the target has is the target's.
    pub fn return_target(&self) -> Option<Cow<'_, str>> {
        match self.unescaped_target() {
            Some(target) => Some(Cow::Borrowed(target)),
            None => self.single_query("rd").map(Cow::Owned),
        }
    }

    /// Returns the target of `start` where it was not escaped, and is the rest of the query.
    fn unescaped_target(&self) -> Option<&'a str> {
        let (_, query) = self.target.split_once('?')?;
        if let Some(target) = query.strip_prefix("target=") {
            return Some(target);
        }
        // Recipes for authentik, and those of earlier releases, write `rd=$request_uri`. That form
        // shows by a question mark, or by a target that is invalid when it is decoded.
        let target = query.strip_prefix("rd=")?;
        let is_raw = ["/", "http://", "https://"]
            .into_iter()
            .any(|start| target.starts_with(start));
        let decoded = || self.single_query("rd");
        let is_unescaped = target.contains('?')
            || (is_raw
                && !target.contains('&')
                && decoded().is_some_and(|text| !is_escaped(&text)));
        is_unescaped.then_some(target)
    }

    /// Returns whether the target of `start` was not escaped, so that `start` has no other parameters.
    pub fn has_raw_target(&self) -> bool {
        self.unescaped_target().is_some()
    }

    /// Returns whether the link is one of a page that has the user sign in once more.
    pub fn is_asked_again(&self) -> bool {
        self.start_query(AGAIN).as_deref() == Some("true")
    }

    /// Returns a query parameter of `start` other than `rd`. Where the target's query is part of
    /// that of `start`, the parameter is the target's.
    pub fn start_query(&self, name: &str) -> Option<String> {
        match self.unescaped_target() {
            Some(_) => None,
            None => self.single_query(name),
        }
    }

    /// Returns the provider that `start` is to use: its query parameter `provider`.
    pub fn chosen_provider(&self) -> Option<String> {
        self.start_query("provider")
    }

    /// Returns how to answer: as for a page load, a form or a script.
    pub fn presentation(&self) -> Presentation {
        if self.as_get {
            return Presentation::of(&AsGet(self));
        }
        Presentation::of(self)
    }

    /// Returns the value of a header that occurs once, if it is text.
    pub fn header_text(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// Returns the cookies whose name and value are text. Other cookies may be any bytes, and are
    /// skipped.
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

    /// Returns all `Cookie` lines as one, without the cookies to hide; `None` when nothing is left.
    pub fn cookies_but<'n>(
        &self,
        hidden: impl IntoIterator<Item = Hide<'n>>,
    ) -> Option<HeaderValue> {
        let lines: Vec<&[u8]> = self
            .headers
            .get_all(COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let line = lines.join(&b"; "[..]);
        let line = hidden
            .into_iter()
            .try_fold(line, |line, hide| cookie::strip(&line, hide))?;
        HeaderValue::from_bytes(&line)
            .ok()
            .filter(|line| !line.is_empty())
    }

    /// Returns the certificate that the client has shown to a trusted proxy, which names it in this
    /// header. `None` also where the header occurs twice: one of them may be the client's.
    pub(super) fn client_certificate(&self, header: &CertificateHeader) -> Option<Thumbprint> {
        let value = self.header_text(header.name().as_str())?;
        Thumbprint::of_header(value).filter(|_| self.trusted_peer)
    }

    /// Returns the lines of `Authorization`, as they were sent.
    pub fn credentials(&self) -> impl Iterator<Item = HeaderValue> + use<'a> {
        let lines = self.headers.get_all(AUTHORIZATION).iter().cloned();
        lines.map(|mut line| {
            line.set_sensitive(true);
            line
        })
    }

    /// Returns the values that may be the session cookie of that name.
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

/// A request of an unknown method, which nearly always is a GET. That decides how it is answered, and
/// not whether it may pass.
struct AsGet<'r>(&'r ForwardedRequest<'r>);

impl Request for AsGet<'_> {
    fn method(&self) -> Cow<'_, [u8]> {
        Method::GET.as_str().as_bytes().into()
    }

    fn target(&self) -> Cow<'_, [u8]> {
        self.0.target()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.0.header(name)
    }

    fn client_address(&self) -> Option<ClientAddress> {
        self.0.client_address()
    }
}

/// Returns whether a target is escaped as URLs are: without spaces, and with `%` before two
/// hexadecimal digits only.
fn is_escaped(target: &str) -> bool {
    let mut parts = target.split('%');
    let has_space = target.contains(' ');
    let after_percent = |part: &str| {
        let mut digits = part.bytes();
        let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        is_digit(digits.next()) && is_digit(digits.next())
    };
    !has_space && parts.next().is_some() && parts.all(after_percent)
}

impl Request for ForwardedRequest<'_> {
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

    fn client_address(&self) -> Option<ClientAddress> {
        if !self.address_is_said {
            return None;
        }
        self.trusted
            .vouched_client(self.peer, self.forwarded_for())
            .map(ClientAddress::from)
    }
}
