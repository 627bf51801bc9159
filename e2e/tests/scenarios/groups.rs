//! Who may pass, by group.

use anyhow::Result;
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Answer, ApplicationSpec, Client, Stack};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::shared;

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn only_members_of_a_required_group_pass() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("admins")?;
    let page = app.url("/admin");

    let bob = Client::new()?;
    let journey = bob.sign_in(&page, &BOB)?;
    assert_eq!(journey.landed.status, StatusCode::FORBIDDEN, "{journey}");
    assert_eq!(app.requests(), [], "nothing reached the app");
    let answer = Answer::read(bob.fetch(Method::GET, &page).send()?)?;
    // A user whom the outpost's own rule refuses has no session.
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    answer.json()?;
    assert_eq!(app.requests(), [], "nothing reached the app");

    let journey = Client::new()?.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn groups_are_found_wherever_the_provider_puts_them() -> Result<()> {
    for place in ["id_token", "userinfo"] {
        let app = ApplicationSpec::new("app").set("require", &json!({ "groups": ["admins"] }));
        let stack = Stack::builder()
            .application(app)
            .provider(&json!({ "groupsIn": place }))
            .start()?;
        let journey = Client::new()?.sign_in(&stack.app().url("/"), &ALICE)?;
        assert_eq!(journey.landed.status, StatusCode::OK, "{place}: {journey}");
        let requests = stack.app().requests();
        assert_eq!(
            requests[0].header("x-auth-groups"),
            Some("staff|admins"),
            "{place}"
        );
    }
    Ok(())
}
