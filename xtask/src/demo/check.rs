//! `cargo xtask demo --check`: signs in through real Traefik and tries requests that must not pass.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Stack, forge};
use reqwest::{Method, StatusCode};

/// Tries what a person would try first, and prints the results.
pub(crate) fn run(stack: &Stack) -> Result<ExitCode> {
    let mut outcome = ExitCode::SUCCESS;
    for (name, result) in [
        ("sign-in", sign_in(stack)),
        ("the app without a session", no_session(stack)),
        ("cookies that must not pass", bad_cookies(stack)),
    ] {
        match result {
            Ok(()) => println!("ok      {name}"),
            Err(error) => {
                println!("FAILED  {name}: {error:#}");
                outcome = ExitCode::FAILURE;
            }
        }
    }
    Ok(outcome)
}

fn sign_in(stack: &Stack) -> Result<()> {
    let app = stack.app();
    let page = app.url("/reports?year=2026");
    let journey = Client::new()?.sign_in(&page, &ALICE)?;
    println!("{} opens {page}:{journey}", ALICE.login);
    ensure!(journey.landed.url == page, "did not come back to the page");
    ensure!(
        journey.landed.status == StatusCode::OK,
        "the app did not answer"
    );
    let requests = app.requests();
    let seen = requests.last().context("the app was not asked")?;
    println!("the app was asked {} {} with", seen.method, seen.uri);
    for (name, values) in &seen.headers {
        println!("  {name}: {}", values.join(", "));
    }
    ensure!(
        seen.header("x-auth-username") == Some(ALICE.login),
        "the app received no identity"
    );
    Ok(())
}

fn no_session(stack: &Stack) -> Result<()> {
    refused(stack, "no cookie", None)
}

fn bad_cookies(stack: &Stack) -> Result<()> {
    let audience = stack.app().name();
    let ring = stack.keys().ring()?;
    for (name, cookie) in [
        ("a made-up cookie", forge::MADE_UP.to_owned()),
        ("a cookie of another key", forge::wrong_key(audience)?),
        ("an expired cookie", forge::expired(&ring, audience)?),
        (
            "a cookie of another application",
            forge::valid(&ring, "another")?,
        ),
    ] {
        refused(stack, name, Some(&cookie))?;
    }
    Ok(())
}

/// Asks as a browser and as `curl` would; neither may reach the app.
fn refused(stack: &Stack, name: &str, cookie: Option<&str>) -> Result<()> {
    let app = stack.app();
    let client = Client::new()?;
    let url = app.url("/");
    let before = app.requests().len();
    let page = [StatusCode::FOUND];
    let data = [StatusCode::UNAUTHORIZED];
    let either = [StatusCode::FOUND, StatusCode::UNAUTHORIZED];
    for (who, request, expected) in [
        ("browser", client.page_load(Method::GET, &url), &page[..]),
        ("script", client.fetch(Method::GET, &url), &data[..]),
        ("curl", client.bare(Method::GET, &url), &either[..]),
    ] {
        let request = match cookie {
            Some(cookie) => {
                let pair = format!("{}={cookie}", app.cookie_name().as_str());
                request.header("Cookie", pair)
            }
            None => request,
        };
        let status = request.send()?.status();
        println!("{name}, {who}: {status}");
        ensure!(
            expected.contains(&status),
            "{name}, {who}: expected {expected:?}"
        );
    }
    ensure!(
        app.requests().len() == before,
        "{name}: the request reached the app"
    );
    Ok(())
}
