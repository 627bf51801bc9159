//! What a request without a session is asked for, in `WWW-Authenticate`.

use gatepost_policy::{Presentation, Request};

use super::request::ForwardedRequest;
use crate::application::Application;
use crate::compat::Conventions;

/// Returns the challenges for a request without a session and without credentials.
pub(super) fn for_nothing(
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Vec<String> {
    let realm = application.audience();
    let mut challenges = Vec::new();
    if request.presentation() == Presentation::Data
        // authentik's outposts ask for no password.
        && application.conventions() == Conventions::Gatepost
        && application.policy().machine_clients.basic
        && is_of_no_browser(request)
    {
        challenges.push(basic(realm.as_str()));
    }
    if challenges.is_empty() {
        challenges.push(sign_in_only(application));
    }
    challenges
}

/// Returns a challenge of a scheme on which no browser and no client acts: a user has to sign in.
pub(super) fn sign_in_only(application: &Application) -> String {
    format!("Gatepost realm=\"{}\"", application.audience())
}

/// Returns the challenge for a name and a password (RFC 7617 §2).
pub(super) fn basic(realm: &str) -> String {
    format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")
}

/// Returns whether a request names its program, and shows no sign of a browser. A browser would ask its
/// user for a password, also where a script has sent the request.
fn is_of_no_browser(request: &impl Request) -> bool {
    let signs = [
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-dest",
        "x-requested-with",
    ];
    let has_sign = signs.iter().any(|name| request.header(name).is_some());
    // Over plain http, browsers send none of these. All of them name themselves `Mozilla/5.0`.
    let program = request.header("user-agent");
    !has_sign && program.is_some_and(|name| !name.is_empty() && !is_browsers_name(&name))
}

fn is_browsers_name(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    let families: [&[u8]; 2] = [b"mozilla", b"opera"];
    families
        .iter()
        .any(|family| name.windows(family.len()).any(|part| part == *family))
}
