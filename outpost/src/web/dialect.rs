//! The ways in which proxies ask.

/// How a proxy asks, and which responses it understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Traefik's `forwardAuth`: `X-Forwarded-{Method,Proto,Host,Uri}`; any response but 2xx reaches
    /// the browser unchanged.
    Traefik,
    /// Caddy's `forward_auth`: like Traefik, but headers that the response lacks stay as the
    /// client sent them.
    Caddy,
    /// Envoy's `ext_authz` over HTTP: the request itself with the endpoint's path in front.
    Envoy,
    /// nginx's `auth_request`: `X-Original-URL` and `X-Original-Method`; understands 2xx,
    /// 401 and 403, and fails at the rest.
    Nginx,
}

impl Dialect {
    pub(super) const ALL: [Self; 4] = [Self::Traefik, Self::Caddy, Self::Envoy, Self::Nginx];

    /// Returns the name of its endpoint in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Traefik => "auth/traefik",
            Self::Caddy => "auth/caddy",
            Self::Envoy => "auth/envoy",
            Self::Nginx => "auth/nginx",
        }
    }
}
