//! Step-up with one configuration: the plugin has the rules from the outpost's folder, so that a link
//! says which request was refused, and `start` finds what to ask for.

use anyhow::{Context as _, Result};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{ApplicationSpec, Client, Stack};
use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn stack(router: &Value) -> Result<Stack> {
    let rules = json!([
        { "name": "vault", "paths": ["/vault/*"], "require": { "acr": ["gold"] } },
        { "name": "write", "paths": ["/write/*"], "methods": ["POST"],
          "require": { "acr": ["gold"] } },
    ]);
    let mut app = ApplicationSpec::new("app").set_in_outpost("rules", &rules);
    if !router.is_null() {
        app = app.set_in_plugin("require", router);
    }
    Stack::builder()
        .application(app)
        .provider(&json!({ "levels": ["silver", "gold"] }))
        .state_dir()
        .start()
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_link_says_which_request_was_refused_and_start_what_to_ask_for() -> Result<()> {
    let stack = stack(&Value::Null)?;
    let alice = Client::new()?;
    alice.sign_in(&stack.app().url("/"), &ALICE)?;
    let vault = stack.app().url("/vault/x?y=1");
    let refused = alice.page_load(Method::GET, &vault).send()?;
    let location = refused.headers().get(LOCATION).context("a redirect")?;
    let start = "/akprox/start?rd=%2Fvault%2Fx%3Fy%3D1&step_up=GET";
    assert_eq!(location.to_str()?, start);

    // A form whose page needs nothing.
    let form = stack.app().url("/write/x");
    let page = alice.open(&form)?;
    assert_eq!(page.landed.status, StatusCode::OK, "{page}");
    let refused = alice.page_load(Method::POST, &form).send()?;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let link = "/akprox/start?step_up=POST%20%2Fwrite%2Fx";
    let body = refused.text()?;
    assert!(body.contains(&format!("\"{link}\"")), "{body}");
    let (path, query) = link.split_once('?').context("a query")?;
    let mut start = stack.app().url(path);
    start.set_query(Some(query));
    let journey = alice.sign_in(&start, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert_eq!(journey.landed.url, stack.app().url("/"), "{journey}");
    let sent = alice.page_load(Method::POST, &form).send()?;
    assert_eq!(sent.status(), StatusCode::OK);
    let journey = alice.open(&vault)?;
    assert_eq!(journey.earlier.len(), 0, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

/// The outpost does not have the rule of the router.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn what_a_router_asks_besides_is_in_the_link() -> Result<()> {
    let stack = stack(&json!({ "acr": ["gold"] }))?;
    let alice = Client::new()?;
    let page = stack.app().url("/x");
    let journey = alice.sign_in(&page, &ALICE)?;
    assert!(journey.passed("/akprox/start"), "{journey}");
    // Signed in, and led to the provider once more.
    let journey = alice.fill_in(journey, "input[type=password]", &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert_eq!(journey.landed.url, page, "{journey}");
    let journey = alice.open(&page)?;
    assert_eq!(journey.earlier.len(), 0, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}
