//! Users whom the application's rule at the outpost refuses, behind a plugin without a rule.

use anyhow::Result;
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Answer, ApplicationSpec, Client, Stack};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

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
