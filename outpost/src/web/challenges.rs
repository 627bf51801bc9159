//! What a request without a session is asked for, in `WWW-Authenticate`.

use gatepost_policy::{Presentation, Request, Scheme, StepUp};

use super::oauth;
use super::request::ForwardedRequest;
use super::urls::endpoint_url_at;
use crate::application::Application;
use crate::compat::Conventions;
use crate::machine_clients::DpopProof;
use crate::pages::FailureCode;

/// Returns the challenges for a request without a session and without credentials.
pub(super) fn for_nothing(
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Vec<String> {
    let mut challenges = Vec::new();
    // authentik's outposts ask for none of these.
    if request.presentation() == Presentation::Data
        && application.conventions() == Conventions::Gatepost
    {
        let allowed = &application.policy().machine_clients;
        // The first: many clients read no other.
        if allowed.bearer
            && let Some(metadata) = metadata(application, request)
        {
            let realm = application.audience();
            challenges.push(format!("Bearer realm=\"{realm}\"{metadata}"));
        }
        if allowed.dpop {
            challenges.push(dpop(application, request, ""));
        }
        if allowed.basic && is_of_no_browser(request) {
            challenges.push(basic(application));
        }
    }
    if challenges.is_empty() {
        challenges.push(sign_in_only(application));
    }
    challenges
}

/// Returns the challenge for a request with invalid credentials of this scheme.
pub(super) fn for_invalid(
    application: &Application,
    request: &ForwardedRequest<'_>,
    scheme: Scheme,
) -> String {
    match scheme {
        Scheme::Bearer | Scheme::ApiKey => {
            let realm = application.audience();
            // Where only keys are accepted, no client is to fetch a token.
            let takes_tokens = application.policy().machine_clients.bearer;
            let metadata = metadata(application, request).filter(|_| takes_tokens);
            let metadata = metadata.unwrap_or_default();
            format!("Bearer realm=\"{realm}\", error=\"invalid_token\"{metadata}")
        }
        Scheme::Dpop => dpop(application, request, ", error=\"invalid_token\""),
        Scheme::Basic => basic(application),
    }
}

/// Returns the challenge for a request whose proof of a key is invalid (RFC 9449 §7.1).
pub(super) fn for_invalid_proof(
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> String {
    dpop(application, request, ", error=\"invalid_dpop_proof\"")
}

/// Returns the challenge for a script of a user who has to authenticate again, or in another way (RFC
/// 9470 §3).
pub(super) fn for_step_up(application: &Application, step_up: &StepUp<'_>) -> String {
    step_up.challenge(application.audience().as_str())
}

/// Returns the same for a client with a token of this scheme.
pub(super) fn for_weak_token(
    application: &Application,
    request: &ForwardedRequest<'_>,
    scheme: Scheme,
    step_up: &StepUp<'_>,
) -> String {
    if scheme == Scheme::Dpop {
        let bearer = for_step_up(application, step_up);
        let parameters = bearer
            .split_once(", ")
            .map_or("", |(_, parameters)| parameters);
        return dpop(application, request, &format!(", {parameters}"));
    }
    let metadata = metadata(application, request).unwrap_or_default();
    format!("{}{metadata}", for_step_up(application, step_up))
}

/// Returns the challenge for a token with a proof.
fn dpop(application: &Application, request: &ForwardedRequest<'_>, error: &str) -> String {
    let realm = application.audience();
    let algorithms = DpopProof::ALGORITHMS.join(" ");
    let metadata = metadata(application, request).unwrap_or_default();
    format!("DPoP realm=\"{realm}\"{error}, algs=\"{algorithms}\"{metadata}")
}

/// Returns a challenge of a scheme on which no browser and no client acts: a user has to sign in.
pub(super) fn sign_in_only(application: &Application) -> String {
    format!("Gatepost realm=\"{}\"", application.audience())
}

/// Returns the challenge in a refusal of a request that failed, which no client can meet either.
pub(super) fn for_failure(code: FailureCode) -> String {
    format!("Gatepost error=\"{}\"", code.as_str())
}

/// Returns the challenge for a name and a password (RFC 7617 §2).
fn basic(application: &Application) -> String {
    format!(
        "Basic realm=\"{}\", charset=\"UTF-8\"",
        application.audience()
    )
}

/// Returns the parameters that lead a client to tokens for the resource at the request's host (RFC 9728
/// §5.1, RFC 6750 §3).
fn metadata(application: &Application, request: &ForwardedRequest<'_>) -> Option<String> {
    let resource = request.resource(application)?;
    let url = endpoint_url_at(resource, application, oauth::RESOURCE);
    let mut parameters = format!(", resource_metadata=\"{url}\"");
    let scopes = application.resource_scopes();
    if !scopes.is_empty() {
        // The configuration has no scope with a quote.
        parameters.push_str(&format!(", scope=\"{}\"", scopes.join(" ")));
    }
    Some(parameters)
}

/// Returns whether a request names its program, and shows no sign of a browser. A browser would ask its
/// user for a password, also where a script has sent the request.
fn is_of_no_browser(request: &impl Request) -> bool {
    let signs = [
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-dest",
        "x-requested-with",
        // What loaders of media and scripts send, also where they hide the browser's name.
        "range",
        "referer",
        "origin",
    ];
    let has_sign = signs.iter().any(|name| request.header(name).is_some());
    // Over plain http, browsers send no `Sec-Fetch-*`. Pages are loaded by `Mozilla/5.0`.
    let program = request.header("user-agent");
    !has_sign && program.is_some_and(|name| !name.is_empty() && !is_browsers_name(&name))
}

fn is_browsers_name(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    // The last three load media and icons for browsers.
    let families: [&[u8]; 5] = [
        b"mozilla",
        b"opera",
        b"applecoremedia",
        b"stagefright",
        b"safari",
    ];
    families
        .iter()
        .any(|family| name.windows(family.len()).any(|part| part == *family))
}

#[cfg(test)]
mod tests {
    use super::is_browsers_name;

    #[test]
    fn loaders_of_a_browsers_media_are_browsers() {
        for name in [
            "Mozilla/5.0 (X11; Linux x86_64)",
            "AppleCoreMedia/1.0.0.21E219 (iPhone; U; CPU OS 17_4 like Mac OS X; en_us)",
            "stagefright/1.2 (Linux;Android 13)",
            "Safari/19618 CFNetwork/1494 Darwin/23.4.0",
        ] {
            assert!(is_browsers_name(name.as_bytes()), "{name}");
        }
        for name in ["git/2.47.0", "DAVx5/4.4", "curl/8.5.0"] {
            assert!(!is_browsers_name(name.as_bytes()), "{name}");
        }
    }
}
