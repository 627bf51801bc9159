//! Checks which parts keep working, and which recover, while a part is down.

use std::time::Duration;

use anyhow::Result;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Stack, until};
use reqwest::{Method, StatusCode};

/// For the outpost to try its provider again.
const RECOVERED: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn signed_in_people_do_not_notice_that_outpost_and_provider_are_down() -> Result<()> {
    let stack = Stack::builder().start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    stack.outpost().stop();
    stack.provider().stop();

    let journey = alice.open(&page)?;
    assert_eq!(journey.earlier.len(), 0, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    // And no client without a session gets in because of it.
    let status = Client::new()?.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn outpost_starts_without_its_provider_and_recovers() -> Result<()> {
    let stack = Stack::builder().provider_down().start()?;
    let page = stack.app().url("/");
    let journey = Client::new()?.open(&page)?;
    assert!(
        journey.landed.status.is_server_error(),
        "no provider, yet {journey}"
    );
    assert_eq!(stack.app().requests(), [], "nothing reached the app");
    assert!(
        stack.outpost().output().contains("provider"),
        "the log does not say what is missing"
    );

    stack.provider().start()?;
    until("sign-in to work", RECOVERED, || {
        let journey = Client::new()?.open(&page)?;
        Ok((journey.landed.status == StatusCode::OK).then_some(()))
    })?;
    let journey = Client::new()?.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn provider_with_new_keys_is_believed() -> Result<()> {
    let stack = Stack::builder().start()?;
    let page = stack.app().url("/");
    Client::new()?.sign_in(&page, &ALICE)?;
    // It draws new keys at every start.
    stack.provider().stop();
    stack.provider().start()?;
    let journey = Client::new()?.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}
