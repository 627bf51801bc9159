//! The addresses at which authentik's own proxy outposts answer, and at which this outpost answers
//! as well: their path prefix, and the parameters that mark a request as an endpoint's on any path.

use std::borrow::Cow;

use url::form_urlencoded;

/// The path prefix of authentik's outposts.
pub(crate) const AUTHENTIK_PREFIX: &str = "/outpost.goauthentik.io";

/// The prefixes that the outpost answers under for every application: Gatepost's own default, and
/// that of authentik's outposts. Any other is one application's, and no endpoint at another's host.
pub(crate) const SHARED_PREFIXES: [&str; 2] = ["/akprox", AUTHENTIK_PREFIX];

/// Returns whether the outpost answers under `prefix` for every application, so that no application
/// can have it for itself.
pub(crate) fn is_shared_prefix(prefix: &str) -> bool {
    SHARED_PREFIXES.contains(&prefix)
}

/// Where health checks of authentik's outposts ask, on their metrics listener.
pub(crate) const AUTHENTIK_PING: &str = "/outpost.goauthentik.io/ping";

/// The same as health checks of Kubernetes manifests write it.
pub(crate) const AUTHENTIK_PING_WITH_SLASH: &str = "/outpost.goauthentik.io/ping/";

/// The query that authentik registers in the redirect URIs of its outposts.
pub(crate) const CALLBACK_QUERY: &str = "X-authentik-auth-callback=true";

/// The parameter that [`CALLBACK_QUERY`] consists of.
const CALLBACK: (&str, &str) = ("X-authentik-auth-callback", "true");

/// The parameter that marks a request as a sign-out.
const SIGN_OUT: (&str, &str) = ("X-authentik-logout", "true");

/// The endpoint that a parameter of a query names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// The provider's answer to a sign-in.
    Callback,
    /// A sign-out.
    SignOut,
}

/// Whose addresses and proxy recipes an application is used with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conventions {
    /// Endpoints are known by their paths, and proxies are set up by Gatepost's recipes.
    #[default]
    Gatepost,
    /// Signatures in the query mark endpoints too, and proxies are set up by authentik's recipes.
    Authentik,
}

impl Conventions {
    /// Returns the signature in a target's query, where signatures mark endpoints.
    pub fn signature(self, target: &str) -> Option<Signature> {
        match self {
            Self::Gatepost => None,
            Self::Authentik => signature(target),
        }
    }
}

/// Returns the first signature in a target's query (path and query, or a whole URL).
pub(crate) fn signature(target: &str) -> Option<Signature> {
    let (_, query) = target.split_once('?')?;
    let says = |(name, value): &(Cow<'_, str>, Cow<'_, str>), (own, expected): (&str, &str)| {
        name == own && value.eq_ignore_ascii_case(expected)
    };
    form_urlencoded::parse(query.as_bytes()).find_map(|parameter| match parameter {
        parameter if says(&parameter, CALLBACK) => Some(Signature::Callback),
        parameter if says(&parameter, SIGN_OUT) => Some(Signature::SignOut),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_a_whole_parameter_of_the_query() {
        for (target, expected) in [
            (
                "/x?X-authentik-auth-callback=true",
                Some(Signature::Callback),
            ),
            (
                "/x?code=1&X-authentik-auth-callback=true&state=2",
                Some(Signature::Callback),
            ),
            ("/?X-authentik-logout=true", Some(Signature::SignOut)),
            ("/?X-authentik-logout=TRUE", Some(Signature::SignOut)),
            ("/?X-authentik-logout=truE%20", None),
            ("/x?X-authentik-auth-callback=false", None),
            ("/x?X-authentik-auth-callback", None),
            ("/x?y=X-authentik-logout=true", None),
            ("/x?x-authentik-logout=true", None),
            ("/X-authentik-logout=true", None),
            ("", None),
        ] {
            assert_eq!(signature(target), expected, "{target}");
        }
    }

    #[test]
    fn the_registered_query_is_the_signature_of_a_callback() {
        let target = format!("/?{CALLBACK_QUERY}");
        assert_eq!(signature(&target), Some(Signature::Callback));
    }
}
