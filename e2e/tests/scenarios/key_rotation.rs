//! Keys are changed while everything runs and people are signed in.

use std::time::{Duration, Instant};

use anyhow::Result;
use gatepost_e2e::{Application, Client, Stack, forge, until};
use gatepost_session::KeyRing;
use reqwest::{Method, StatusCode};

/// The plugin looks at its keys file at most every 10 s; the rest is for a busy machine.
const TAKEN_UP: Duration = Duration::from_secs(60);

/// After which every instance of the plugin has looked, or looks before it serves again.
const EVERYBODY_LOOKED: Duration = Duration::from_secs(11);

fn status(client: &Client, app: &Application, cookie: &str) -> Result<StatusCode> {
    let request = client
        .fetch(Method::GET, &app.url("/"))
        .header("Cookie", format!("{}={cookie}", app.cookie_name().as_str()));
    Ok(request.send()?.status())
}

fn wait_for(
    client: &Client,
    app: &Application,
    what: &str,
    cookie: &str,
    expected: StatusCode,
) -> Result<()> {
    until(what, TAKEN_UP, || {
        Ok((status(client, app, cookie)? == expected).then_some(()))
    })
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn rotated_keys_are_taken_up_without_a_restart() -> Result<()> {
    let stack = Stack::builder().start()?;
    let app = stack.app();
    let client = Client::new()?;
    let cookie = |ring: &KeyRing| forge::valid(ring, app.name());

    let old = cookie(&stack.keys().ring()?)?;
    assert_eq!(status(&client, app, &old)?, StatusCode::OK);

    stack.keys().rotate("second")?;
    let rotated = Instant::now();
    let new = cookie(&stack.keys().ring()?)?;
    wait_for(&client, app, "the new key", &new, StatusCode::OK)?;
    assert_eq!(
        status(&client, app, &old)?,
        StatusCode::OK,
        "the old key is still in the ring"
    );

    // Traefik may have several instances, and one that has not looked yet refuses the new key.
    until("every instance to have looked", TAKEN_UP, || {
        Ok((rotated.elapsed() > EVERYBODY_LOOKED).then_some(()))
    })?;
    stack.keys().retire_oldest()?;
    wait_for(
        &client,
        app,
        "the old key's end",
        &old,
        StatusCode::UNAUTHORIZED,
    )?;
    assert_eq!(status(&client, app, &new)?, StatusCode::OK);
    Ok(())
}
