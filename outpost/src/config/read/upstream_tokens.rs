//! `upstreamTokens`: which headers carry the provider's tokens of a user to the application.

use gatepost_oidc::ProviderSettings;
use gatepost_policy::config::{Fields, has_a_meaning};
use gatepost_policy::{HeaderName, HeaderRules};

use crate::application::{
    AccessTokenHeader, ApplicationSettings, MachineClientSettings, UpstreamTokens,
};

/// A header of this kind that proxies know as one for a token.
const FORWARDED_TOKEN: &str = "X-Forwarded-Access-Token";

/// Names by which a response tells a browser or a proxy to do something. The outpost's response to the
/// proxy has the token, and proxies act on such a header there, or hand it to the browser.
const OF_RESPONSES: [&str; 33] = [
    "Accept-",
    "Age",
    "Allow",
    "Alt-Svc",
    "Cache-",
    "Cdn-",
    "Clear-Site-",
    "Content-",
    "Cross-Origin-",
    "Date",
    "Etag",
    "Expires",
    "Feature-",
    "Last-Modified",
    "Link",
    "Location",
    "Nel",
    "Origin-Agent-",
    "Permissions-",
    "Pragma",
    "Refresh",
    "Report",
    "Retry-After",
    "Server",
    "Set-",
    "Strict-Transport-",
    "Surrogate-",
    "Vary",
    "Www-Authenticate",
    "X-Accel-",
    "X-Content-Type-",
    "X-Frame-",
    "X-Sendfile",
];

/// Reads the section. `headers` are the identity headers, none of which may be one of a token.
pub(super) fn upstream_tokens(
    fields: &mut Fields<'_>,
    headers: &HeaderRules,
    machine_clients: Option<&MachineClientSettings>,
    domain_mode: bool,
) -> Option<UpstreamTokens> {
    let mut section = fields.section("upstreamTokens")?;
    let access = section.text("accessToken");
    let access = access.and_then(|text| {
        if text.eq_ignore_ascii_case("authorization") {
            return Some(AccessTokenHeader::Authorization);
        }
        header(&section, "accessToken", &text, headers).map(AccessTokenHeader::Named)
    });
    let id = section.text("idToken");
    let id = id.and_then(|text| {
        if text.eq_ignore_ascii_case("authorization") {
            let message = "`Authorization` is for `accessToken`: an ID token says who the user is";
            section.problem("idToken", message);
            return None;
        }
        header(&section, "idToken", &text, headers)
    });
    let tokens = UpstreamTokens { access, id };
    if let [first, second] = tokens.names().collect::<Vec<_>>()[..]
        && first == second
    {
        section.problem(
            "idToken",
            format!("`{first}` is the header of `accessToken`"),
        );
    }
    if domain_mode {
        let message = "needs `mode: single`: in domain mode, every host below `cookieDomain` would get \
                       every visitor's tokens. Give the application that needs them a section of its own";
        fields.problem("upstreamTokens", message);
    }
    let is_authorization = tokens.access == Some(AccessTokenHeader::Authorization);
    if is_authorization && machine_clients.is_some_and(|own| own.forward) {
        let message = "cannot be `Authorization` with `machineTokens.forward`: the token of a machine \
                       client goes on there anyway, and no other credentials may";
        section.problem("accessToken", message);
    }
    let is_empty = ["accessToken", "idToken"].map(|key| section.value(key).is_none()) == [true; 2];
    if is_empty {
        section.problem("accessToken", "missing: write it, `idToken`, or both");
    }
    section.finish();
    Some(tokens)
}

/// Reads the name of a header for a token.
fn header(
    section: &Fields<'_>,
    key: &'static str,
    text: &str,
    headers: &HeaderRules,
) -> Option<HeaderName> {
    let problem = |message: String| {
        section.problem(key, message);
        None
    };
    let name = match HeaderName::new(text) {
        Ok(name) => name,
        Err(error) => return problem(format!("`{text}` is {error}")),
    };
    let bytes = name.as_str().as_bytes();
    if headers.sets(bytes) {
        return problem(format!("`{name}` names the user to the application"));
    }
    if headers.carries_api_key(bytes) {
        return problem(format!("`{name}` is `apiKeyHeader`"));
    }
    if OF_RESPONSES
        .iter()
        .any(|start| name.as_str().starts_with(start))
    {
        return problem(format!(
            "`{name}` has a meaning in responses, and the outpost's response to the proxy has the token"
        ));
    }
    if has_a_meaning(&name) && name.as_str() != FORWARDED_TOKEN {
        return problem(format!(
            "`{name}` has another meaning to proxies or to the outpost"
        ));
    }
    Some(name)
}

/// Has each provider, and each further issuer of machine clients' tokens, know the clients whose access
/// tokens applications get, so that none of them counts as a machine client's.
pub(super) fn note_clients(
    providers: &mut [ProviderSettings],
    applications: &mut [ApplicationSettings],
) {
    let mut handed_on: Vec<(ProviderSettings, String)> = Vec::new();
    for application in &*applications {
        let tokens = application.capabilities.token_headers.as_ref();
        if !tokens.is_some_and(|own| own.hand_on_access_tokens()) {
            continue;
        }
        let names = &application.providers;
        let own = providers.iter().filter(|one| names.contains(&one.name));
        handed_on.extend(own.map(|one| (one.clone(), one.client_id.to_string())));
    }
    let clients_at = |issuer: &str| -> Vec<String> {
        let are_there = |own: &&(ProviderSettings, String)| own.0.may_issue_as(issuer);
        let clients = handed_on.iter().filter(are_there);
        clients.map(|(_, client)| client.clone()).collect()
    };
    for provider in providers {
        provider.handed_on = clients_at(provider.issuer.as_str());
    }
    let machines = applications.iter_mut();
    let machines = machines.filter_map(|own| own.machine_clients.as_mut());
    for issuer in machines.flat_map(|own| &mut own.issuers) {
        issuer.tokens.handed_on = clients_at(&issuer.tokens.issuer);
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::problems;

    #[test]
    fn a_header_that_cannot_carry_a_token_is_named() {
        for (keys, expected) in [
            (
                "upstreamTokens: {accessToken: Authorization, idToken: X-Id-Token}",
                None,
            ),
            (
                "upstreamTokens: {accessToken: X-Forwarded-Access-Token}",
                None,
            ),
            ("upstreamTokens: {idToken: X-Auth-Request-Id-Token}", None),
            (
                "upstreamTokens: {}",
                Some("accessToken: missing: write it, `idToken`, or both"),
            ),
            (
                "upstreamTokens: {idToken: authorization}",
                Some(
                    "idToken: `Authorization` is for `accessToken`: an ID token says who the user is",
                ),
            ),
            (
                "upstreamTokens: {accessToken: X-Token, idToken: x-token}",
                Some("idToken: `X-Token` is the header of `accessToken`"),
            ),
            (
                "upstreamTokens: {accessToken: X_Token}",
                Some(
                    "accessToken: `X_Token` is not a name for an identity header: expected letters, \
                     digits and `-`, and none that HTTP itself uses, such as Host, Cookie or \
                     Authorization",
                ),
            ),
            (
                "upstreamTokens: {accessToken: x-auth-username}",
                Some("accessToken: `X-Auth-Username` names the user to the application"),
            ),
            (
                "upstreamTokens: {idToken: X-Forwarded-Host}",
                Some(
                    "idToken: `X-Forwarded-Host` has another meaning to proxies or to the outpost",
                ),
            ),
            (
                "upstreamTokens: {accessToken: set-cookie}",
                Some(
                    "accessToken: `Set-Cookie` has a meaning in responses, and the outpost's response \
                     to the proxy has the token",
                ),
            ),
            (
                "upstreamTokens: {idToken: X-Accel-Redirect}",
                Some(
                    "idToken: `X-Accel-Redirect` has a meaning in responses, and the outpost's \
                     response to the proxy has the token",
                ),
            ),
            (
                "machines: [apiKey], apiKeyHeader: X-Api-Key, upstreamTokens: {idToken: X-Api-Key}",
                Some("idToken: `X-Api-Key` is `apiKeyHeader`"),
            ),
            (
                "upstreamTokens: {refreshToken: X-Refresh, idToken: X-Id}",
                Some("refreshToken: unknown key: expected accessToken, idToken"),
            ),
            (
                "machines: [bearer], machineTokens: {audience: x, forward: true}, \
                 upstreamTokens: {accessToken: Authorization}",
                Some(
                    "accessToken: cannot be `Authorization` with `machineTokens.forward`: the token of \
                     a machine client goes on there anyway, and no other credentials may",
                ),
            ),
        ] {
            let found = problems(&format!(
                "  - {{name: wiki, externalUrl: 'https://wiki.example.com', {keys}}}\n"
            ));
            let expected: Vec<String> = expected
                .iter()
                .map(|text| format!("applications[0].upstreamTokens.{text}"))
                .collect();
            assert_eq!(found, expected, "{keys}");
        }
    }

    #[test]
    fn no_application_in_domain_mode_gets_tokens() {
        let found = problems(
            "  - {name: wiki, externalUrl: 'https://wiki.example.com', mode: domain,
     cookieDomain: example.com, upstreamTokens: {idToken: X-Id-Token}}\n",
        );
        let expected = "applications[0].upstreamTokens: needs `mode: single`: in domain mode";
        assert!(
            matches!(&found[..], [one] if one.starts_with(expected)),
            "{found:?}"
        );
    }
}
