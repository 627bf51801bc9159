//! What an `auth-url` leads to today.

use std::fmt;

use url::Url;

/// An authentication service, as its path gives it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthService {
    OAuth2Proxy,
    Authelia,
    Authentik,
    Vouch,
    Gatepost,
    Unknown,
}

impl AuthService {
    pub(super) fn of(url: &str) -> Self {
        let path = path(url);
        if path.ends_with("/oauth2/auth") {
            Self::OAuth2Proxy
        } else if path.ends_with("/api/verify") || path.contains("/api/authz/") {
            Self::Authelia
        } else if path.contains("/outpost.goauthentik.io/") {
            Self::Authentik
        } else if path.ends_with("/akprox/auth") || path.contains("/akprox/auth/") {
            Self::Gatepost
        } else if path.ends_with("/validate") {
            Self::Vouch
        } else {
            Self::Unknown
        }
    }

    /// Returns where clients reach its own pages at an application's host.
    pub(super) fn own_path(self) -> Option<&'static str> {
        match self {
            Self::OAuth2Proxy => Some("/oauth2"),
            Self::Authentik => Some("/outpost.goauthentik.io"),
            Self::Gatepost => Some("/akprox"),
            Self::Authelia | Self::Vouch | Self::Unknown => None,
        }
    }

    /// Says what changes with Gatepost in its place.
    pub(super) fn changes(self) -> &'static [&'static str] {
        match self {
            Self::OAuth2Proxy => &[
                "`X-Auth-Request-*` and `X-Forwarded-*` mean the same; `Authorization` with the ID token has no equal",
                "at the provider, register `/akprox/callback` in place of `/oauth2/callback`; links to `/oauth2/sign_out` become `/akprox/sign_out`; remove the Ingress for `/oauth2`",
                "its own rules (`--allowed-group`, `--email-domain`, `--authenticated-emails-file`, `--skip-auth-route`) become `require` and `public`",
            ],
            Self::Authelia => &[
                "`Remote-User`, `Remote-Groups`, `Remote-Email` and `Remote-Name` are not set unless `headers.set` names them",
                "Authelia stays the provider (OpenID Connect); its `access_control` becomes `require` and `public`; a second factor is a matter of its client's `authorization_policy`",
            ],
            Self::Authentik => &[
                "`X-authentik-*` are set with `headers: {preset: authentik}`",
                "bindings of the application in authentik become `require`; or let the outpost take its configuration from authentik, which keeps them: docs/authentik.md",
                "links to `/outpost.goauthentik.io/sign_out` become `/akprox/sign_out`; remove the Ingress for `/outpost.goauthentik.io`",
            ],
            Self::Vouch => &[
                "`X-Vouch-*` has no equal unless `headers.set` names it",
                "its `whitelist`, `domains` and `teamWhitelist` become `require`; remove the Ingress for vouch's own host",
            ],
            Self::Gatepost => {
                &["Traefik asks at `auth/traefik`, and leaves `auth-signin` to the outpost"]
            }
            Self::Unknown => {
                &["compare who may enter there with `require`, and open paths with `public`"]
            }
        }
    }
}

impl fmt::Display for AuthService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OAuth2Proxy => "oauth2-proxy",
            Self::Authelia => "Authelia",
            Self::Authentik => "authentik's outpost",
            Self::Vouch => "Vouch Proxy",
            Self::Gatepost => "Gatepost",
            Self::Unknown => "a service that this import does not know",
        })
    }
}

/// Returns the path of an address that may have variables of nginx in it.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("");
    let path = path.split(['?', '#']).next().unwrap_or(path);
    path.trim_end_matches('/')
}

/// Returns an address without what may be secret: name, password and query.
pub(super) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => "an address without a scheme".to_owned(),
    }
}

/// Returns the rules that oauth2-proxy reads from the query of its address.
pub(super) fn rules_in_the_query(url: &str) -> Vec<String> {
    let Ok(url) = Url::parse(url) else {
        return Vec::new();
    };
    url.query_pairs()
        .filter(|(key, _)| {
            matches!(
                &**key,
                "allowed_groups" | "allowed_emails" | "allowed_email_domains"
            )
        })
        .map(|(key, value)| format!("`{key}={value}`"))
        .collect()
}
