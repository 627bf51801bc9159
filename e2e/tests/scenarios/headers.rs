//! Identity headers that a client sends itself.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{ApplicationSpec, Client, Stack, forge, pass};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::shared;

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
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn spoofed_identity_never_reaches_the_app() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("spoofed")?;
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
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn identity_cannot_be_taken_away_through_connection() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("connection")?;
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

/// Row A9: headers in which other systems name the user. An application that was behind one of them
/// trusts these headers, and a client could name any user.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn identity_headers_of_other_systems_never_come_from_a_client() -> Result<()> {
    const NAMES: &[&str] = &[
        "X-Forwarded-Groups",
        "X-Forwarded-Access-Token",
        "X-Forwarded-Login",
        "X-Auth-Request-User",
        "X-Auth-Request-Email",
        "X-Auth-Request-Groups",
        "X-Auth-Request-Preferred-Username",
        "X-Auth-Request-Access-Token",
        "X-Auth-Request-Redirect",
        "x_auth_request.user",
        "Remote-User",
        "Remote_Groups",
        "X-Remote-User",
        "X-WEBAUTH-USER",
        "X-authentik-username",
        "X-Vouch-User",
        "Cf-Access-Authenticated-User-Email",
        "X-MS-CLIENT-PRINCIPAL",
        "OIDC_CLAIM_sub",
        // Another path, by which some applications route.
        "X-Original-URL",
        "x_original.url",
        "X-Rewrite-Url",
        "SCRIPT_NAME",
        "X-Script-Name",
    ];
    // What applications take from clients on purpose.
    const KEPT: &[&str] = &["X-Auth-Token", "X-Auth-Key", "X-Auth-User", "X-User-Id"];
    let stack = shared()?;
    let client = Client::new()?;
    for name in ["identities", "kept"] {
        let app = stack.application(name)?;
        let cookie = forge::valid(&stack.keys().ring()?, app.name())?;
        for path in ["/", "/public/page"] {
            let mut request = client.page_load(Method::GET, &app.url(path));
            for name in NAMES.iter().chain(KEPT) {
                request = request.header(*name, "mallory");
            }
            if path == "/" {
                let pair = format!("{}={cookie}", app.cookie_name().as_str());
                request = request.header("Cookie", pair);
            }
            assert_eq!(request.send()?.status(), StatusCode::OK, "{path}");
        }
        let requests = app.requests();
        for request in &requests {
            let mallory: Vec<&str> = request
                .headers
                .iter()
                .filter(|(_, values)| values.iter().any(|value| value == "mallory"))
                .map(|(name, _)| name.as_str())
                .collect();
            let mut expected: Vec<String> = KEPT.iter().map(|name| folded(name)).collect();
            if name == "kept" {
                expected.push("remote-user".to_owned());
            }
            expected.sort();
            let mut mallory: Vec<String> = mallory.iter().map(|name| folded(name)).collect();
            mallory.sort();
            assert_eq!(mallory, expected, "{} on {}", app.name(), request.uri);
        }
        let groups = requests
            .first()
            .and_then(|seen| seen.header("x-forwarded-groups"));
        let expected = (name == "identities").then_some("staff,admins");
        assert_eq!(groups, expected, "{}", app.name());
    }
    Ok(())
}

/// Row A9: some frameworks serve `DELETE /items/1` where a client sends `POST` and this header, which the
/// rule for `POST` is not about.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn no_client_says_another_method_than_the_one_that_rules_ask_for() -> Result<()> {
    const NAMES: [&str; 4] = [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "x_http_method.override",
    ];
    let rule = json!([{ "paths": ["/items/*"], "methods": ["POST"], "public": true }]);
    let keep = json!({ "keep": ["X-HTTP-Method-Override"] });
    let stack = Stack::builder()
        .application(ApplicationSpec::new("rules").set("rules", &rule))
        .application(ApplicationSpec::new("paths").set("public", &json!(["POST=/items/*"])))
        .application(
            ApplicationSpec::new("kept")
                .set("rules", &rule)
                .set("headers", &keep),
        )
        .application(ApplicationSpec::new("preflights").set("allowPreflight", &json!(true)))
        // Without rules by methods, they are between client and application.
        .application(ApplicationSpec::new("none").set("public", &json!(["/items/*"])))
        .start()?;
    let client = Client::new()?;
    for (name, expected) in [
        ("rules", 0),
        ("paths", 0),
        // In that spelling alone.
        ("kept", 1),
        ("none", NAMES.len()),
    ] {
        let app = stack.application(name)?;
        let mut request = client.page_load(Method::POST, &app.url("/items/1"));
        for header in NAMES {
            request = request.header(header, "DELETE");
        }
        assert_eq!(request.send()?.status(), StatusCode::OK, "{name}");
        let requests = app.requests();
        let seen = requests.last().with_context(|| name)?;
        let said = seen
            .headers
            .iter()
            .filter(|(_, values)| values.iter().any(|v| v == "DELETE"));
        assert_eq!(said.count(), expected, "{name}: {:?}", seen.headers);
    }
    // An application may take any method from the header, that of a preflight too.
    let app = stack.application("preflights")?;
    let preflight = client
        .fetch(Method::OPTIONS, &app.url("/items/1"))
        .header("Origin", "https://other.example")
        .header("Access-Control-Request-Method", "GET");
    let preflight = NAMES
        .iter()
        .fold(preflight, |request, name| request.header(*name, "DELETE"));
    assert_eq!(preflight.send()?.status(), StatusCode::OK);
    let requests = app.requests();
    let seen = requests.last().context("the app was asked")?;
    let mut values = seen.headers.values().flatten();
    assert!(values.all(|value| value != "DELETE"), "{:?}", seen.headers);
    Ok(())
}

/// What the plugin has browsers fetch beside a page stands beside what the application has.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn the_link_for_a_renewal_leaves_the_applications_own() -> Result<()> {
    let times = json!({ "session": { "window": "1h", "renewAfter": "1s" } });
    let stack = Stack::builder().outpost(&times).start()?;
    let alice = Client::new()?;
    let page = stack.app().url("/upstream/linked");
    alice.sign_in(&page, &ALICE)?;
    pass(Duration::from_secs(2));
    let asked = alice.page_load(Method::GET, &page);
    let answer = asked.header("Sec-Fetch-Dest", "document").send()?;
    assert_eq!(answer.status(), StatusCode::OK);
    let links = answer.headers().get_all("link").iter();
    let mut links: Vec<&str> = links.filter_map(|line| line.to_str().ok()).collect();
    links.sort_unstable();
    let expected = [
        "</akprox/session?renew>; rel=preload; as=fetch; crossorigin",
        "</style.css>; rel=preload; as=style",
    ];
    assert_eq!(links, expected);
    // Without it, as from a program, the renewal comes first.
    let answer = alice.page_load(Method::GET, &page).send()?;
    assert_eq!(answer.status(), StatusCode::FOUND);
    Ok(())
}
