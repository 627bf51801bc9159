//! Request headers that applications believe since another system in front of them sets them.
//!
//! By most of them such a system names the user: an application that was behind it before may still
//! trust them, and then a client could name any user. By others it says which path or method it was
//! asked for, and an application takes these in place of the ones that were decided on. Headers that
//! applications accept from their clients on purpose (`X-Auth-Token`, `X-Auth-Key`, `X-User-Id`) are
//! not among them.

use super::shapes::{Shapes, character_bit};
use super::spelling::same_folded;

/// The prefixes of whole families of names: Gatepost's own, Authelia and CGI (`Remote-User`), Kubernetes
/// (`X-Remote-User`), Grafana and Gitea, authentik, oauth2-proxy, Vouch, Pomerium, Google's proxy,
/// Azure, AWS, Cloudflare, Tailscale, Apache's OpenID module, Kong.
pub(super) const PREFIXES: [&str; 19] = [
    "x-gatepost-",
    "remote-",
    "x-remote-",
    "x-webauth-",
    "x-authentik-",
    "x-auth-request-",
    "x-authenticated-",
    "x-vouch-",
    "x-pomerium-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-ms-client-principal-",
    "x-ms-token-",
    "x-amzn-oidc-",
    "x-consumer-",
    "x-credential-",
    "cf-access-",
    "tailscale-user-",
    "oidc-",
];

/// Names without a family, or whose families have members that proxies and clients use: those of
/// oauth2-proxy, SonarQube, Louketo, APISIX and Azure. And those by which some servers and frameworks
/// take another path: the one before a module of IIS has rewritten it (URL Rewrite, ISAPI_Rewrite), and
/// the beginning that is not the application's (`SCRIPT_NAME` of gunicorn). Those by which a proxy says the
/// client's address, host and scheme, and which Traefik neither sets nor removes: `Forwarded` (RFC 7239)
/// goes before `X-Forwarded-For` and `-Host` in Rack, `X-Forwarded-Protocol` says the scheme to gunicorn,
/// `Client-Ip` the address to Rails. `Proxy`, of which CGI makes `HTTP_PROXY`, by which programs choose the
/// proxy of their own requests (CVE-2016-5385). At last those by which a client asks for another method than
/// that of its request.
///
/// Not among them is what a network in front of Traefik sets in every request (`CF-Connecting-IP`,
/// `True-Client-IP`, `Fastly-Client-IP`): its users' applications would know no client's address.
const NAMES: [&str; 35] = [
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-login",
    "x-forwarded-name",
    "x-auth-username",
    "x-auth-groups",
    "x-auth-roles",
    "x-auth-email",
    "x-auth-name",
    "x-auth-subject",
    "x-auth-userid",
    "x-userinfo",
    "x-ms-client-principal",
    "x-original-url",
    "x-rewrite-url",
    "script-name",
    "x-script-name",
    "forwarded",
    "x-forwarded-ssl",
    "x-forwarded-scheme",
    "x-forwarded-protocol",
    "x-url-scheme",
    "x-scheme",
    "front-end-https",
    "client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-host",
    "proxy",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// How many of [`NAMES`], at the end, say another method. They count where rules ask for methods.
const METHODS: usize = 3;

/// The same for proxies that have to be given each.
pub(super) const METHOD_OVERRIDES: [&str; METHODS] = [
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
];

/// The names that most applications know, for proxies that have to be given each.
pub(super) const USUAL: [&str; 30] = [
    "X-Gatepost-Assertion",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Redirect",
    "X-Auth-Username",
    "X-Auth-Groups",
    "Remote-User",
    "Remote-Groups",
    "Remote-Email",
    "Remote-Name",
    "X-Remote-User",
    "X-Remote-Group",
    "X-Webauth-User",
    "X-Webauth-Email",
    "X-Authentik-Username",
    "X-Authentik-Groups",
    "X-Authentik-Email",
    "X-Authentik-Name",
    "X-Authentik-Uid",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Script-Name",
];

/// The patterns of [`is_alias_of_proxies`], without regard to case.
pub(super) const PROXIES_ALIASES: [&str; 5] = [
    r"x[^a-z0-9-]forwarded[\W_]",
    "x-forwarded[^a-z0-9-]",
    "x-forwarded-.*[^a-z0-9-]",
    r"x[^a-z0-9-]real[\W_]ip$",
    "x-real[^a-z0-9-]ip$",
];

/// Returns whether a name is one of those that only proxies say, in a spelling in which none does:
/// `X.Forwarded.Prefix`. Traefik's entry points look for `-` and `_` alone, and some servers read every
/// such character as `_`.
pub(super) fn is_alias_of_proxies(name: &[u8]) -> bool {
    const FAMILY: &str = "x-forwarded-";
    // The third character rules most names out, and the signs those of Traefik's own.
    match name {
        [b'x' | b'X', _, b'f' | b'F', ..] if !is_canonical(name) => name
            .get(..FAMILY.len())
            .is_some_and(|start| same_folded(start, FAMILY)),
        [b'x' | b'X', _, b'r' | b'R', ..] if !is_canonical(name) => same_folded(name, "x-real-ip"),
        _ => false,
    }
}

/// Returns whether a name has no other sign than `-`.
fn is_canonical(name: &[u8]) -> bool {
    name.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// The shapes of [`NAMES`].
pub(super) const SHAPES: Shapes = {
    let mut shapes = Shapes::NONE;
    let mut rest: &[&str] = &NAMES;
    while let [name, others @ ..] = rest {
        shapes = shapes.and(name);
        rest = others;
    }
    shapes
};

/// For each length of a name, by its lowest five bits, the first letters that [`NAMES`] of it have: rules
/// `Cache-Control` and `X-Real-Ip` out, whose shapes are those of some.
const FIRST_LETTERS: [u32; 32] = {
    let mut firsts = [0_u32; 32];
    let mut rest: &[&str] = &NAMES;
    while let [name, others @ ..] = rest {
        if let [first, ..] = name.as_bytes()
            && let Some((_, [bits, ..])) = firsts.split_at_mut_checked(name.len() & 31)
        {
            *bits |= character_bit(*first);
        }
        rest = others;
    }
    firsts
};

/// For each first letter of a prefix, the bits of the third characters: rules most headers of a
/// request out without a comparison.
const HEADS: [u32; 32] = {
    let mut heads = [0_u32; 32];
    let mut rest: &[&str] = &PREFIXES;
    while let [prefix, others @ ..] = rest {
        if let [first, _, third, ..] = prefix.as_bytes()
            && let Some((_, [bits, ..])) = heads.split_at_mut_checked((*first & 31) as usize)
        {
            *bits |= character_bit(*third);
        }
        rest = others;
    }
    heads
};

/// Returns whether a header of this name is one of [`NAMES`] in some spelling; those of methods
/// `with_methods` alone.
pub(super) fn is_name(name: &[u8], with_methods: bool) -> bool {
    let [first, ..] = name else {
        return false;
    };
    let firsts = FIRST_LETTERS.get(name.len() & 31).copied();
    if firsts.unwrap_or_default() & character_bit(*first) == 0 {
        return false;
    }
    names(with_methods).any(|own| same_folded(name, own))
}

/// Returns [`NAMES`]; those of methods `with_methods` alone.
pub(super) fn names(with_methods: bool) -> impl Iterator<Item = &'static str> {
    let left_out = if with_methods { 0 } else { METHODS };
    NAMES.into_iter().take(NAMES.len() - left_out)
}

/// Returns whether the name of a header begins as those of a family do, in some spelling.
pub(super) fn has_prefix(name: &[u8]) -> bool {
    let [first, _, third, ..] = name else {
        return false;
    };
    let heads = HEADS.get(usize::from(*first & 31)).copied();
    if heads.unwrap_or_default() & character_bit(*third) == 0 {
        return false;
    }
    let begins = |prefix: &&str| {
        let start = name.get(..prefix.len());
        start.is_some_and(|start| same_folded(start, prefix))
    };
    PREFIXES.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_by_its_first_letter() {
        for name in NAMES {
            assert!(is_name(name.as_bytes(), true), "{name}");
        }
        for name in METHOD_OVERRIDES {
            assert!(is_name(name.as_bytes(), true), "{name}");
            assert!(!is_name(name.as_bytes(), false), "{name}");
        }
    }
}
