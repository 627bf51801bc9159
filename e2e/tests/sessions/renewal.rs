//! Renewals: the provider's responses about a session after it has begun.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{ApplicationSpec, Client, Stack, at_once, pass, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{PATIENCE, another_page, grants, short_windows, visited};

/// Takes a person's groups away at the provider.
fn take_groups(stack: &Stack, login: &str) -> Result<()> {
    let file = stack.folder().join("provider.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    config["users"][login]["groups"] = json!([]);
    fs::write(file, config.to_string())?;
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_renewal_brings_the_groups_of_the_moment() -> Result<()> {
    let app = ApplicationSpec::new("app").set("require", &json!({ "groups": ["admins"] }));
    let stack = Stack::builder()
        .application(app)
        .outpost(&short_windows())
        .start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    // Each refresh token serves once, so a second and a third time say that rotation works.
    until("three renewals", PATIENCE, || {
        let journey = alice.open(&another_page(&stack))?;
        assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
        assert!(!visited(&journey, &stack), "{journey}");
        Ok((grants(&stack, "refresh_token") >= 3).then_some(()))
    })?;
    take_groups(&stack, "alice")?;
    until("the groups to be gone", PATIENCE, || {
        let journey = alice.open(&another_page(&stack))?;
        Ok((journey.landed.status == StatusCode::FORBIDDEN).then_some(()))
    })
}

/// Row A14: behind a plugin without a rule, a session whose groups are gone ends at its renewal.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_session_that_the_outposts_rule_refuses_ends_at_its_renewal() -> Result<()> {
    let rule = json!({ "groups": ["admins"] });
    let app = ApplicationSpec::new("app")
        .set_in_plugin("require", &Value::Null)
        .set_in_outpost("require", &rule);
    let stack = Stack::builder()
        .application(app)
        .outpost(&short_windows())
        .revoked_file()
        .start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    let journey = alice.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    take_groups(&stack, "alice")?;
    until("the session to end", PATIENCE, || {
        let journey = alice.open(&another_page(&stack))?;
        Ok((journey.landed.status == StatusCode::FORBIDDEN).then_some(()))
    })?;
    let status = alice.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    Ok(())
}

/// Row B9: the provider resets each of the outpost's connections on which a second request comes.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_connection_that_is_closed_in_the_moment_of_its_use_loses_nothing() -> Result<()> {
    let stack = Stack::builder()
        .outpost(&short_windows())
        .provider(&json!({ "resetsKeptConnections": true, "groupsIn": "userinfo" }))
        .start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    let journey = alice.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    until("three renewals", PATIENCE, || {
        let journey = alice.open(&another_page(&stack))?;
        assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
        assert!(!visited(&journey, &stack), "{journey}");
        Ok((grants(&stack, "refresh_token") >= 3).then_some(()))
    })?;
    let reset = stack.provider().output().matches("reset a kept").count();
    assert!(reset >= 4, "{}", stack.provider().output());
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn one_of_many_tabs_renews_and_the_others_get_what_came_of_it() -> Result<()> {
    let times = json!({ "session": { "window": "1h", "refreshAfter": "5s" } });
    let stack = Stack::builder().outpost(&times).start()?;
    let alice = Client::new()?;
    alice.sign_in(&stack.app().url("/"), &ALICE)?;
    pass(Duration::from_secs(6));
    let start = stack.app().url("/akprox/start?rd=/");
    let statuses = at_once(0..8, |_| {
        Ok(alice.page_load(Method::GET, &start).send()?.status())
    });
    for status in statuses {
        assert_eq!(status?, StatusCode::FOUND);
    }
    assert_eq!(grants(&stack, "refresh_token"), 1);
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn sessions_go_on_while_the_provider_is_away_and_end_when_it_no_longer_knows_them() -> Result<()> {
    let stack = Stack::builder().outpost(&short_windows()).start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    stack.provider().stop();
    for _ in 0..3 {
        pass(Duration::from_secs(3));
        let journey = alice.open(&another_page(&stack))?;
        assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
        assert!(journey.passed("/akprox/start"), "{journey}");
    }
    let log = stack.outpost().output();
    assert!(log.contains("a session goes on without asking it"), "{log}");

    // The provider keeps nothing on disk: after its restart it does not know the token.
    stack.provider().start()?;
    until("a sign-in form", PATIENCE, || {
        let journey = alice.open(&another_page(&stack))?;
        Ok(journey.landed.body.contains("password").then_some(()))
    })?;
    // Requests that do not load a page may go on to the end of the window.
    until("the window to end", PATIENCE, || {
        let status = alice.fetch(Method::GET, &page).send()?.status();
        Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
    })?;
    let journey = alice.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn without_refresh_tokens_the_browser_asks_unnoticed() -> Result<()> {
    let stack = Stack::builder()
        .outpost(&json!({
            "session": { "window": "16s", "renewAfter": "2s", "refreshAfter": "1s" },
        }))
        .provider(&json!({ "refreshTokens": false }))
        .start()?;
    let page = stack.app().url("/a?b=c");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    // The last quarter of a window, before which no page load waits for the provider.
    let last_quarter = Duration::from_secs(13);
    pass(last_quarter);
    let journey = alice.open(&page)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert!(visited(&journey, &stack), "{journey}");
    assert!(journey.passed("/akprox/callback"), "{journey}");

    // No browser is sent to a provider that is unavailable.
    stack.provider().stop();
    pass(last_quarter);
    let journey = alice.open(&page)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert!(journey.passed("/akprox/start"), "{journey}");

    // And one that has forgotten the person asks for the password, once and not in circles.
    stack.provider().start()?;
    until("a sign-in form", PATIENCE, || {
        let journey = alice.open(&another_page(&stack))?;
        Ok(journey.landed.body.contains("password").then_some(()))
    })?;
    let journey = alice.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    Ok(())
}
