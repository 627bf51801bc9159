//! Identity headers that a client sends itself.

use anyhow::Result;
use gatepost_e2e::{ApplicationSpec, Client, Stack, forge};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// Every byte that servers of the CGI family fold to the same as `-`, and some mixes.
const ALIASES: &[&str] = &[
    "X-Auth-Username",
    "x-auth-username",
    "X_Auth_Username",
    "X.Auth.Username",
    "X!Auth!Username",
    "X#Auth#Username",
    "X$Auth$Username",
    "X%Auth%Username",
    "X&Auth&Username",
    "X'Auth'Username",
    "X*Auth*Username",
    "X+Auth+Username",
    "X^Auth^Username",
    "X`Auth`Username",
    "X|Auth|Username",
    "X~Auth~Username",
    "X_Auth-Username",
    "X~Auth+Username",
];

fn folded(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect()
}

#[test]
fn spoofed_identity_never_reaches_the_app() -> Result<()> {
    let app = ApplicationSpec::new("app").set("public", &json!(["/public/*"]));
    let stack = Stack::builder().application(app).start()?;
    let app = stack.app();
    let cookie = forge::valid(&stack.keys().ring()?, app.name())?;
    let client = Client::new()?;
    for alias in ALIASES {
        // Signed in: the app gets the one true value.
        let request = client
            .page_load(Method::GET, &app.url("/"))
            .header("Cookie", format!("{}={cookie}", app.cookie_name().as_str()))
            .header(*alias, "mallory");
        assert_eq!(request.send()?.status(), StatusCode::OK, "{alias}");
        // On a public path without a session: it gets none.
        let request = client
            .page_load(Method::GET, &app.url("/public/page"))
            .header(*alias, "mallory");
        assert_eq!(request.send()?.status(), StatusCode::OK, "{alias}, public");

        let requests = app.requests();
        for (request, expected) in requests.iter().rev().zip([&[][..], &["alice"][..]]) {
            let identity: Vec<&str> = request
                .headers
                .iter()
                .filter(|(name, _)| folded(name) == "x-auth-username")
                .flat_map(|(_, values)| values.iter().map(String::as_str))
                .collect();
            assert_eq!(identity, expected, "{alias} on {}", request.uri);
        }
    }
    Ok(())
}

#[test]
fn identity_cannot_be_taken_away_through_connection() -> Result<()> {
    let stack = Stack::builder().start()?;
    let app = stack.app();
    let cookie = forge::valid(&stack.keys().ring()?, app.name())?;
    let request = Client::new()?
        .page_load(Method::GET, &app.url("/"))
        .header("Cookie", format!("{}={cookie}", app.cookie_name().as_str()))
        .header("Connection", "close, X-Auth-Username, x_auth_groups");
    assert_eq!(request.send()?.status(), StatusCode::OK);
    let requests = app.requests();
    assert_eq!(requests[0].header("x-auth-username"), Some("alice"));
    assert_eq!(requests[0].header("x-auth-groups"), Some("staff|admins"));
    Ok(())
}
