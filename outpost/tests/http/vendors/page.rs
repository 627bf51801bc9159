//! What the answers lead to besides a sign-in, and the table of the providers' page that is made of
//! it. `GATEPOST_UPDATE_DOCS=1` writes the table.

use std::path::{Path, PathBuf};

use gatepost_base::Secret;
use gatepost_oidc::{Provider, SignedIn, UnverifiedLogoutToken};
use serde_json::{Value, json};

use super::{CLIENT_ID, files, members, provider, sign_in, signed};
use crate::world::now;

const BEGIN: &str = "<!-- written by outpost/tests/http/vendors/page.rs: begin -->\n";
const END: &str = "<!-- written by outpost/tests/http/vendors/page.rs: end -->\n";

const HEAD: &str = "\
| provider | sign-in | groups | renewal by refresh token | sign-out at the provider | back-channel logout |
| --- | --- | --- | --- | --- | --- |
";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers/README.md")
}

/// Returns the word for something that works, or that the answers have not got.
fn word(has: bool) -> &'static str {
    if has { "yes" } else { "–" }
}

/// Renews the session with a refresh token, where the answers have one: the user is the same.
async fn renews(name: &str, file: &Value, provider: &Provider, signed_in: &SignedIn) -> bool {
    let Some(token) = file["tokenResponse"]["refresh_token"].as_str() else {
        return false;
    };
    let token = Secret::new(token.to_owned());
    let refreshed = provider.refresh(&token, &signed_in.identity, &[]).await;
    assert_eq!(
        refreshed.expect(name).identity,
        signed_in.identity,
        "{name}"
    );
    true
}

/// Verifies the provider's logout token, where its metadata say that it sends such: it is of the
/// session that the ID token names.
async fn is_logged_out(name: &str, file: &Value, provider: &Provider) -> bool {
    let supported = file["discovery"]["backchannel_logout_supported"] == json!(true);
    assert_eq!(supported, file["logoutToken"].is_object(), "{name}");
    if !supported {
        return false;
    }
    let now = now();
    let mut claims = json!({"aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": "made-up"});
    let own = members(&file["logoutToken"]);
    claims.as_object_mut().expect("an object").extend(own);
    let token = signed("logout+jwt", &claims);
    let token = UnverifiedLogoutToken::parse(&token).expect(name);
    let logout = provider.verify_logout_token(&token).await.expect(name);
    assert_eq!(
        logout.session.as_deref(),
        file["idToken"]["sid"].as_str(),
        "{name}"
    );
    true
}

#[tokio::test]
async fn the_page_shows_what_the_answers_lead_to() {
    let mut table = HEAD.to_owned();
    for (name, file) in files() {
        let (provider, _) = provider(&name, &file).await;
        let signed_in = sign_in(&provider).await.expect(&name);
        let cells = [
            word(true),
            word(!signed_in.identity.groups.is_empty()),
            word(renews(&name, &file, &provider, &signed_in).await),
            word(
                provider
                    .sign_out_url(None, "https://wiki.example.com/")
                    .is_some(),
            ),
            word(is_logged_out(&name, &file, &provider).await),
        ];
        // The tests of real providers have rows of their own.
        if let Some(link) = file["page"].as_str() {
            let title = file["provider"].as_str().expect(&name);
            table.push_str(&format!("| [{title}]({link}) | {} |\n", cells.join(" | ")));
        }
    }
    let text = std::fs::read_to_string(page()).expect("the page");
    let (before, rest) = text.split_once(BEGIN).expect(BEGIN);
    let (shown, after) = rest.split_once(END).expect(END);
    if shown == table {
        return;
    }
    assert!(
        std::env::var_os("GATEPOST_UPDATE_DOCS").is_some(),
        "the page does not show what the answers lead to; GATEPOST_UPDATE_DOCS=1 writes:\n{table}"
    );
    let text = [before, BEGIN, &table, END, after].concat();
    std::fs::write(page(), text).expect("written");
}
