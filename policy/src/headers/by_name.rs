//! Names to list one by one for a proxy that matches no patterns.

/// Members of the families ([`PREFIXES`](super::other_systems::PREFIXES)) that the systems' documentation
/// names, for a proxy that can remove no family.
pub(super) const MEMBERS: [&str; 59] = [
    "X-Gatepost-Verdict",
    "X-Gatepost-Require",
    "Remote-Roles",
    "X-Remote-Groups",
    "X-Remote-Uid",
    "X-Remote-Email",
    "X-Remote-Name",
    "X-Webauth-Name",
    "X-Webauth-Fullname",
    "X-Webauth-Groups",
    "X-Webauth-Role",
    "X-Authentik-Entitlements",
    "X-Authentik-Jwt",
    "X-Auth-Request-Roles",
    "X-Authenticated-User",
    "X-Authenticated-Userid",
    "X-Authenticated-Email",
    "X-Authenticated-Groups",
    "X-Authenticated-Scope",
    "X-Vouch-User",
    "X-Vouch-Success",
    "X-Vouch-Idp-Claims-Email",
    "X-Vouch-Idp-Claims-Groups",
    "X-Vouch-Idp-Accesstoken",
    "X-Vouch-Idp-Idtoken",
    "X-Pomerium-Jwt-Assertion",
    "X-Pomerium-Claim-Email",
    "X-Pomerium-Claim-Groups",
    "X-Pomerium-Claim-Name",
    "X-Pomerium-Claim-User",
    "X-Goog-Authenticated-User-Email",
    "X-Goog-Authenticated-User-Id",
    "X-Goog-Iap-Jwt-Assertion",
    "X-Ms-Client-Principal-Id",
    "X-Ms-Client-Principal-Idp",
    "X-Ms-Client-Principal-Name",
    "X-Ms-Token-Aad-Access-Token",
    "X-Ms-Token-Aad-Id-Token",
    "X-Amzn-Oidc-Accesstoken",
    "X-Amzn-Oidc-Data",
    "X-Amzn-Oidc-Identity",
    "X-Consumer-Id",
    "X-Consumer-Username",
    "X-Consumer-Custom-Id",
    "X-Consumer-Groups",
    "X-Credential-Identifier",
    "X-Credential-Username",
    "Cf-Access-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "Tailscale-User-Login",
    "Tailscale-User-Name",
    "Oidc-Claim-Sub",
    "Oidc-Claim-Email",
    "Oidc-Claim-Groups",
    "Oidc-Claim-Name",
    "Oidc-Claim-Preferred-Username",
    "Oidc-Claim-Roles",
    "Oidc-Access-Token",
    "Oidc-Id-Token",
];

/// Headers that proxies say to each other and to applications: a prefix, path, method, scheme, host or
/// address. Traefik's entry points remove those in `X-Forwarded-…` from peers that they do not trust,
/// and Traefik sets some of them itself, so the plugin leaves them alone in this spelling; another
/// proxy has to remove or set them.
pub(super) const FORWARDED: [&str; 6] = [
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Server",
    "X-Forwarded-Port",
    "X-Real-Ip",
];

#[cfg(test)]
mod tests {
    use super::super::other_systems::has_prefix;
    use super::*;

    #[test]
    fn each_member_is_of_a_family() {
        for name in MEMBERS {
            assert!(has_prefix(name.as_bytes()), "{name}");
        }
    }
}
