//! Finds the endpoint of a path.

use gatepost_policy::OutpostPrefix;

use super::oauth;
use super::subrequest::Subrequest;
use crate::application::Application;
use crate::application::Applications;
use crate::compat::{Conventions, SHARED_PREFIXES, Signature, is_shared_prefix};
use crate::dialect::Dialect;
use crate::origin::HostPort;

/// The name in metrics of all paths without an endpoint.
pub(super) const NO_ENDPOINT: &str = "none";

/// The path at a site's own host where browsers look, before they bind sessions of the whole site,
/// whether the origin that asks for it may.
const DEVICE_ORIGINS: &str = "/.well-known/device-bound-sessions";

/// An endpoint of the outpost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'t> {
    /// A proxy asks about a request.
    Auth(Subrequest<'t>),
    /// A browser's own request.
    Own(OwnEndpoint),
    /// The provider's logout token.
    BackchannelLogout,
    /// A browser asks who may bind sessions of a whole site to devices.
    DeviceOrigins,
    /// An application asks for the keys with which it verifies assertions.
    AssertionKeys,
    /// A health check.
    Ping,
}

/// An endpoint for browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnEndpoint {
    /// Starts a sign-in, or renews a session silently.
    Start,
    /// The provider's answer.
    Callback,
    /// Ends the session.
    SignOut,
    /// Shows users their session.
    Session,
    /// A browser renews its session beside a page.
    Renewal,
    /// A browser registers a key for its session.
    DeviceRegistration,
    /// A browser renews its session with a proof.
    DeviceRefresh,
    /// An OAuth client asks who issues tokens for the application.
    ResourceMetadata,
    /// It asks for the metadata of the provider.
    AuthorizationServer,
    /// It registers.
    ClientRegistration,
}

impl<'t> Endpoint<'t> {
    /// Returns the names of all endpoints in metrics.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let own = [
            OwnEndpoint::Start,
            OwnEndpoint::Callback,
            OwnEndpoint::SignOut,
            OwnEndpoint::Session,
            OwnEndpoint::Renewal,
            OwnEndpoint::DeviceRegistration,
            OwnEndpoint::DeviceRefresh,
            OwnEndpoint::ResourceMetadata,
            OwnEndpoint::AuthorizationServer,
            OwnEndpoint::ClientRegistration,
        ];
        let own = own.map(|own| Endpoint::Own(own).name());
        let others = [
            Endpoint::BackchannelLogout,
            Endpoint::DeviceOrigins,
            Endpoint::AssertionKeys,
            Endpoint::Ping,
        ];
        let others = others.map(Endpoint::name);
        Dialect::ALL
            .map(Dialect::name)
            .into_iter()
            .chain(own)
            .chain(others)
            .chain([NO_ENDPOINT])
    }

    /// Returns the endpoint of a request to the outpost itself by its target (path and query), if
    /// any. An endpoint for browsers is under a prefix of an application at this host.
    pub fn of(
        target: &'t str,
        applications: &'t Applications,
        host: Option<&HostPort>,
    ) -> Option<Self> {
        let own = applications.prefixes().map(OutpostPrefix::as_str);
        let found = SHARED_PREFIXES.into_iter().chain(own).find_map(|prefix| {
            let endpoint = Self::under(prefix, target)?;
            let is_here = || host.is_some_and(|host| applications.answer_under(prefix, host));
            let means = !matches!(endpoint, Self::Own(_)) || is_shared_prefix(prefix) || is_here();
            means.then_some(endpoint)
        });
        let (path, _) = target.split_once('?').unwrap_or((target, ""));
        match found {
            None if path == DEVICE_ORIGINS => Some(Self::DeviceOrigins),
            None if oauth::well_known_server(path).is_some() => {
                Some(Self::Own(OwnEndpoint::AuthorizationServer))
            }
            None if is_of_resource(path) => Some(Self::Own(OwnEndpoint::ResourceMetadata)),
            found => found.or_else(|| signed(target, applications.conventions())),
        }
    }

    /// Returns the endpoint of a target at an application.
    pub fn at(target: &'t str, application: &'t Application) -> Option<Self> {
        prefixes_of(application)
            .find_map(|prefix| Self::under(prefix, target))
            .or_else(|| signed(target, application.conventions()))
    }

    fn under(prefix: &'t str, target: &'t str) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let rest = path.strip_prefix(prefix)?.strip_prefix('/')?;
        let asks = |dialect, by_query, target| {
            Some(Self::Auth(Subrequest {
                dialect,
                prefix,
                by_query,
                target,
            }))
        };
        match rest {
            "start" => Some(Self::Own(OwnEndpoint::Start)),
            "callback" => Some(Self::Own(OwnEndpoint::Callback)),
            _ if rest.strip_prefix("callback/").is_some_and(is_segment) => {
                Some(Self::Own(OwnEndpoint::Callback))
            }
            "sign_out" => Some(Self::Own(OwnEndpoint::SignOut)),
            "session" if matches!(query, "renew" | "renew=") => {
                Some(Self::Own(OwnEndpoint::Renewal))
            }
            "session" => Some(Self::Own(OwnEndpoint::Session)),
            "device/register" => Some(Self::Own(OwnEndpoint::DeviceRegistration)),
            "device/refresh" => Some(Self::Own(OwnEndpoint::DeviceRefresh)),
            oauth::RESOURCE => Some(Self::Own(OwnEndpoint::ResourceMetadata)),
            oauth::DISCOVERY => Some(Self::Own(OwnEndpoint::AuthorizationServer)),
            oauth::REGISTER => Some(Self::Own(OwnEndpoint::ClientRegistration)),
            "backchannel_logout" => Some(Self::BackchannelLogout),
            "jwks.json" => Some(Self::AssertionKeys),
            "ping" | "ping/" => Some(Self::Ping),
            "auth/traefik" => asks(Dialect::Traefik, false, ""),
            "auth/caddy" => asks(Dialect::Caddy, false, ""),
            "auth/nginx" => asks(Dialect::Nginx, false, ""),
            "auth/envoy" => asks(Dialect::Envoy, false, ""),
            _ if rest.starts_with("auth/envoy/") => {
                let behind = target.strip_prefix(prefix)?.strip_prefix("/auth/envoy")?;
                asks(Dialect::Envoy, false, behind)
            }
            // The form of the ingress annotation. The query is exact: it is the operator's.
            "auth" if query == "nginx" => asks(Dialect::Nginx, true, ""),
            "auth" if query == "traefik" => asks(Dialect::Traefik, true, ""),
            _ => None,
        }
    }

    /// Returns its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth(subrequest) => subrequest.dialect.name(),
            Self::Own(OwnEndpoint::Start) => "start",
            Self::Own(OwnEndpoint::Callback) => "callback",
            Self::Own(OwnEndpoint::SignOut) => "sign_out",
            Self::Own(OwnEndpoint::Session) => "session",
            Self::Own(OwnEndpoint::Renewal) => "session?renew",
            Self::Own(OwnEndpoint::DeviceRegistration) => "device/register",
            Self::Own(OwnEndpoint::DeviceRefresh) => "device/refresh",
            Self::Own(OwnEndpoint::ResourceMetadata) => oauth::RESOURCE,
            Self::Own(OwnEndpoint::AuthorizationServer) => oauth::ISSUER,
            Self::Own(OwnEndpoint::ClientRegistration) => oauth::REGISTER,
            Self::DeviceOrigins => "device_origins",
            Self::BackchannelLogout => "backchannel_logout",
            Self::AssertionKeys => "jwks.json",
            Self::Ping => "ping",
        }
    }

    /// Returns whether a target lies under one of an application's prefixes, endpoint or not, or has
    /// authentik's signature in its query.
    pub fn is_outposts(target: &str, application: &Application) -> bool {
        let prefixed = prefixes_of(application).any(|prefix| {
            target
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        });
        prefixed || application.conventions().signature(target).is_some()
    }
}

/// Returns the prefixes of the endpoints at an application.
fn prefixes_of(application: &Application) -> impl Iterator<Item = &str> {
    SHARED_PREFIXES
        .into_iter()
        .chain([application.prefix().as_str()])
}

/// Returns whether a path is where OAuth clients look for the metadata of a resource.
fn is_of_resource(path: &str) -> bool {
    path.strip_prefix(oauth::WELL_KNOWN_RESOURCE)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the endpoint that a signature in a query marks.
fn signed<'t>(target: &str, conventions: Conventions) -> Option<Endpoint<'t>> {
    match conventions.signature(target)? {
        Signature::Callback => Some(Endpoint::Own(OwnEndpoint::Callback)),
        Signature::SignOut => Some(Endpoint::Own(OwnEndpoint::SignOut)),
    }
}

/// Returns the provider that the path of a callback names, where it names one.
pub(super) fn callback_name(path: &str) -> Option<&str> {
    let (callback, name) = path.rsplit_once('/')?;
    (callback.ends_with("/callback") && is_segment(name)).then_some(name)
}

fn is_segment(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn name<'t>(endpoint: Option<Endpoint<'t>>) -> Option<&'static str> {
        endpoint.map(Endpoint::name)
    }

    #[test]
    fn both_prefixes_lead_to_the_same_endpoints() {
        let none = Applications::default();
        for (target, expected) in [
            ("start?rd=%2F", Some("start")),
            ("callback?code=x", Some("callback")),
            ("callback/main?code=x", Some("callback")),
            ("callback/", None),
            ("callback/main/x", None),
            ("x/callback/main", None),
            ("sign_out", Some("sign_out")),
            ("session", Some("session")),
            ("session?renew", Some("session?renew")),
            ("session?renew=", Some("session?renew")),
            ("session?renew=x", Some("session")),
            ("device/register", Some("device/register")),
            ("device/refresh?x", Some("device/refresh")),
            ("device", None),
            ("backchannel_logout", Some("backchannel_logout")),
            ("jwks.json", Some("jwks.json")),
            ("jwks", None),
            ("ping", Some("ping")),
            ("ping/", Some("ping")),
            ("auth/traefik", Some("auth/traefik")),
            ("auth/traefik?x=1", Some("auth/traefik")),
            ("auth/envoy/any/path?x", Some("auth/envoy")),
            ("auth?nginx", Some("auth/nginx")),
            ("auth?traefik", Some("auth/traefik")),
            ("auth", None),
            ("auth?nginx&x", None),
            ("auth/nginx/x", None),
            ("starts", None),
            ("start/", None),
            ("", None),
        ] {
            for prefix in SHARED_PREFIXES {
                let target = format!("{prefix}/{target}");
                let found = Endpoint::of(&target, &none, None);
                assert_eq!(name(found), expected, "{target}");
            }
        }
        for target in [
            "/start",
            "/x/akprox/start",
            "/akproxstart",
            "/akprox",
            "/AKPROX/start",
        ] {
            assert_eq!(Endpoint::of(target, &none, None), None, "{target}");
        }
    }

    /// Row C: the prefix of one application has no endpoints at another's host.
    #[test]
    fn a_prefix_is_its_own_applications() {
        let snapshot = fixture::snapshot(&fixture::KEYS);
        let (plain, wiki) = (fixture::application("plain"), fixture::application("wiki"));
        for (target, at_plain, at_wiki) in [
            ("/sso/start", Some("start"), None),
            ("/sso/x", None, None),
            ("/akprox/start", Some("start"), Some("start")),
        ] {
            let of = |host| {
                let host = HostPort::parse(host);
                name(Endpoint::of(target, &snapshot.applications, host.as_ref()))
            };
            assert_eq!(of("app.localhost:8080"), at_plain, "{target}");
            assert_eq!(of("app.example.com"), at_wiki, "{target}");
            assert_eq!(name(Endpoint::at(target, &plain)), at_plain, "{target}");
            assert_eq!(name(Endpoint::at(target, &wiki)), at_wiki, "{target}");
        }
        assert!(Endpoint::is_outposts("/sso/x", &plain));
        assert!(!Endpoint::is_outposts("/sso/x", &wiki));
    }

    #[test]
    fn a_subrequest_keeps_the_target_that_it_asks_about() {
        let none = Applications::default();
        let asked = Endpoint::of("/akprox/auth/envoy/a/auth/envoy/b?c", &none, None);
        let Some(Endpoint::Auth(question)) = asked else {
            panic!("{asked:?}");
        };
        assert_eq!(question.target, "/a/auth/envoy/b?c");
    }
}
