//! Users whom the application's rule at the outpost refuses, behind a plugin without a rule.

use anyhow::{Context as _, Result};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Answer, ApplicationSpec, Client, Site, Stack};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shown;
use crate::spellings::{WIKI, session};

/// Row A14: a rule that is written at the outpost applies, although the plugin does not know it.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_rule_at_the_outpost_applies_behind_a_plugin_without_one() -> Result<()> {
    let app = ApplicationSpec::new("app")
        .set("public", &json!(["/public/*"]))
        .set_in_plugin("require", &Value::Null)
        .set_in_outpost("require", &json!({ "groups": ["admins"] }));
    let stack = Stack::builder().application(app).start()?;
    let page = stack.app().url("/admin");

    let bob = Client::new()?;
    let mut journey = bob.sign_in(&page, &BOB)?;
    // Each time, without a form: the provider knows the user.
    for _ in 0..8 {
        assert_eq!(journey.landed.status, StatusCode::FORBIDDEN, "{journey}");
        for text in ["bob", "group:admins", "sign_out"] {
            assert!(journey.landed.body.contains(text), "{text}: {journey}");
        }
        journey = bob.open(&page)?;
    }
    let answer = Answer::read(bob.fetch(Method::GET, &page).send()?)?;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "no session");
    assert_eq!(stack.app().requests(), [], "nothing reached the app");
    // Public paths still pass, without an identity.
    let public = stack.app().url("/public/x");
    let answer = bob.fetch(Method::GET, &public).send()?;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(stack.app().requests()[0].header("x-auth-username"), None);

    let journey = Client::new()?.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

/// A script of the application says in the plugin's place what a request needs, which Traefik hands on where
/// the outpost is asked without the plugin. No link that comes of it leads to the provider unasked.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_client_has_the_outpost_vouch_for_another_authentication() -> Result<()> {
    let site = Site::builder(shown::SINGLE).start()?;
    let _traefik = shown::forward_auth(&site)?;
    let cookie = session(&site, "wiki")?;
    let host = format!("{WIKI}:{}", site.ports().web);
    let load = |target: &str, more: &[(&str, &str)]| -> Result<_> {
        let own = [
            ("Host", &*host),
            ("Cookie", &cookie),
            ("Accept", "text/html"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ];
        let mut connection = RawConnection::connect(site.ports().web)?;
        connection.request(&format!("GET {target}"), &[&own, more].concat())?;
        connection.head()
    };
    let demand = ("X-Gatepost-Require", "all=claim:acr:tenant%3Aevil:bronze");
    for word in ["", "AAAAAAAAAAAAAAAAAAAAAA"] {
        let head = load("/x", &[demand, ("X-Gatepost-Require-Proof", word)])?;
        assert_eq!(head.status, 302, "{head:?}");
        let location = head.header("location").context("a location")?;
        assert!(location.contains("authentication="), "{location}");
        assert!(!location.contains("proof="), "{location}");
        let (_, path) = location.split_once("/akprox/").context("of the outpost")?;
        let path = format!("/akprox/{path}");
        let head = load(&path, &[("Sec-Fetch-Site", "cross-site")])?;
        assert_eq!(head.status, 403, "not the provider: {head:?}");
    }
    Ok(())
}
