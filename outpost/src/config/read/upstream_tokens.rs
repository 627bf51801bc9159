//! `upstreamTokens`: which headers carry the provider's tokens of a user to the application.

use gatepost_policy::config::{Fields, has_a_meaning};
use gatepost_policy::{HeaderName, HeaderRules};

use crate::application::{
    AccessTokenHeader, ApplicationSettings, MachineClientSettings, UpstreamTokens,
};

/// A header of this kind that proxies know as one for a token.
const FORWARDED_TOKEN: &str = "X-Forwarded-Access-Token";

/// Reads the section. `headers` are the identity headers, none of which may be one of a token.
pub(super) fn upstream_tokens(
    fields: &mut Fields<'_>,
    headers: &HeaderRules,
    machine_clients: Option<&MachineClientSettings>,
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
            let message =
                "`Authorization` is for `accessToken`: an ID token gives access to nothing";
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
    if has_a_meaning(&name) && name.as_str() != FORWARDED_TOKEN {
        return problem(format!(
            "`{name}` has another meaning to proxies or to the outpost"
        ));
    }
    Some(name)
}

/// Reports the applications whose tokens no request would bring along: those that Traefik is to serve by
/// the plugin alone.
pub(super) fn report_unasked(applications: &[ApplicationSettings], fields: &Fields<'_>) {
    for (at, application) in applications.iter().enumerate() {
        if application.capabilities.token_headers.is_some() {
            let path = format!("applications[{at}].upstreamTokens");
            let problem = "needs the outpost to be asked about each request, and the plugin of \
                           `traefik.plugin` lets signed-in users pass by itself: leave `plugin` out, \
                           so that Traefik asks (`forwardAuth`), or route this application by hand \
                           with `fallback: route`";
            fields.problems().add(path, problem);
        }
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
                    "idToken: `Authorization` is for `accessToken`: an ID token gives access to nothing",
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
}
