//! Which endpoint a path means.

use gatepost_policy::OutpostPrefix;

use crate::applications::Applications;
use crate::authentik;

/// The prefixes that are always understood: Gatepost's own, and that of authentik's outposts.
const PREFIXES: [&str; 2] = ["/akprox", "/outpost.goauthentik.io"];

/// What a path that is no endpoint's is called in metrics.
pub(super) const NO_ENDPOINT: &str = "none";

/// An endpoint of the outpost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A proxy asks about a request.
    Auth(Dialect),
    /// A browser comes for itself.
    Own(OwnEndpoint),
    /// The provider says that somebody has signed out.
    BackchannelLogout,
    /// Whether anybody is there.
    Ping,
}

/// An endpoint that a browser comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnEndpoint {
    /// Begins a sign-in, or renews a session silently.
    Start,
    /// The provider's answer.
    Callback,
    /// Ends the session.
    SignOut,
    /// Shows the session to whose it is.
    Session,
}

/// How a proxy asks, and which answers it understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Traefik's `forwardAuth`: `X-Forwarded-{Method,Proto,Host,Uri}`; any answer but 2xx reaches
    /// the browser as it is.
    Traefik,
    /// Caddy's `forward_auth`: like Traefik, but headers that are absent from the answer stay as
    /// the client sent them.
    Caddy,
    /// Envoy's `ext_authz` over HTTP: the request itself with the endpoint's path in front.
    Envoy,
    /// nginx's `auth_request`: `X-Original-URL`, or `X-Original-URI` and the host; takes 2xx, 401
    /// and 403, and makes an error of the rest.
    Nginx,
}

impl Endpoint {
    /// What every path is called in metrics.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let auth = [
            Dialect::Traefik,
            Dialect::Caddy,
            Dialect::Envoy,
            Dialect::Nginx,
        ];
        let own = [
            OwnEndpoint::Start,
            OwnEndpoint::Callback,
            OwnEndpoint::SignOut,
            OwnEndpoint::Session,
        ];
        auth.map(Self::Auth)
            .into_iter()
            .chain(own.map(Self::Own))
            .chain([Self::BackchannelLogout, Self::Ping])
            .map(Self::name)
            .chain([NO_ENDPOINT])
    }

    /// The endpoint that a request target (path and query) means, if it is one of the outpost's.
    pub fn of(target: &str, applications: &Applications) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let own = applications.prefixes().map(OutpostPrefix::as_str);
        let signed = || authentik::signed(target).filter(|_| applications.are_authentiks());
        let Some(rest) = PREFIXES.into_iter().chain(own).find_map(|prefix| {
            path.strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix('/'))
        }) else {
            return signed().map(Self::Own);
        };
        Some(match rest {
            "start" => Self::Own(OwnEndpoint::Start),
            "callback" => Self::Own(OwnEndpoint::Callback),
            _ if rest.strip_prefix("callback/").is_some_and(is_segment) => {
                Self::Own(OwnEndpoint::Callback)
            }
            "sign_out" => Self::Own(OwnEndpoint::SignOut),
            "session" => Self::Own(OwnEndpoint::Session),
            "backchannel_logout" => Self::BackchannelLogout,
            "ping" => Self::Ping,
            "auth/traefik" => Self::Auth(Dialect::Traefik),
            "auth/caddy" => Self::Auth(Dialect::Caddy),
            "auth/nginx" => Self::Auth(Dialect::Nginx),
            "auth/envoy" => Self::Auth(Dialect::Envoy),
            _ if rest.starts_with("auth/envoy/") => Self::Auth(Dialect::Envoy),
            // The form of the ingress annotation. The query is exact: it is the operator's.
            "auth" if query == "nginx" => Self::Auth(Dialect::Nginx),
            "auth" if query == "traefik" => Self::Auth(Dialect::Traefik),
            _ => return signed().map(Self::Own),
        })
    }

    /// What it is called in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth(Dialect::Traefik) => "auth/traefik",
            Self::Auth(Dialect::Caddy) => "auth/caddy",
            Self::Auth(Dialect::Envoy) => "auth/envoy",
            Self::Auth(Dialect::Nginx) => "auth/nginx",
            Self::Own(OwnEndpoint::Start) => "start",
            Self::Own(OwnEndpoint::Callback) => "callback",
            Self::Own(OwnEndpoint::SignOut) => "sign_out",
            Self::Own(OwnEndpoint::Session) => "session",
            Self::BackchannelLogout => "backchannel_logout",
            Self::Ping => "ping",
        }
    }

    /// Whether a target lies under one of the prefixes, endpoint or not, or is the outpost's by
    /// authentik's signature in its query.
    pub fn is_outposts(path: &str, applications: &Applications) -> bool {
        let own = applications.prefixes().map(OutpostPrefix::as_str);
        let prefixed = PREFIXES.into_iter().chain(own).any(|prefix| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        });
        prefixed || (applications.are_authentiks() && authentik::signed(path).is_some())
    }
}

/// The provider that the path of a callback names, where it names one.
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

    #[test]
    fn both_prefixes_lead_to_the_same_endpoints() {
        let none = Applications::default();
        for (target, expected) in [
            ("start?rd=%2F", Some(Endpoint::Own(OwnEndpoint::Start))),
            (
                "callback?code=x",
                Some(Endpoint::Own(OwnEndpoint::Callback)),
            ),
            (
                "callback/main?code=x",
                Some(Endpoint::Own(OwnEndpoint::Callback)),
            ),
            ("callback/", None),
            ("callback/main/x", None),
            ("x/callback/main", None),
            ("sign_out", Some(Endpoint::Own(OwnEndpoint::SignOut))),
            ("session", Some(Endpoint::Own(OwnEndpoint::Session))),
            ("backchannel_logout", Some(Endpoint::BackchannelLogout)),
            ("ping", Some(Endpoint::Ping)),
            ("auth/traefik", Some(Endpoint::Auth(Dialect::Traefik))),
            ("auth/traefik?x=1", Some(Endpoint::Auth(Dialect::Traefik))),
            (
                "auth/envoy/any/path?x",
                Some(Endpoint::Auth(Dialect::Envoy)),
            ),
            ("auth?nginx", Some(Endpoint::Auth(Dialect::Nginx))),
            ("auth?traefik", Some(Endpoint::Auth(Dialect::Traefik))),
            ("auth", None),
            ("auth?nginx&x", None),
            ("auth/nginx/x", None),
            ("starts", None),
            ("start/", None),
            ("", None),
        ] {
            for prefix in PREFIXES {
                let target = format!("{prefix}/{target}");
                assert_eq!(Endpoint::of(&target, &none), expected, "{target}");
            }
        }
        for target in [
            "/start",
            "/x/akprox/start",
            "/akproxstart",
            "/akprox",
            "/AKPROX/start",
        ] {
            assert_eq!(Endpoint::of(target, &none), None, "{target}");
        }
    }
}
