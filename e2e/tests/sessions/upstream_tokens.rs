//! Tokens for an application in Redis, which several outposts share.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{ApplicationSpec, Client, at_once, pass};
use reqwest::StatusCode;
use serde_json::json;
use url::Url;

use crate::grants;
use crate::replicas::{self, Replicas};

/// The provider takes each refresh token once: a second renewal with it would end the session.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn two_replicas_renew_a_token_once() -> Result<()> {
    let session = json!({ "window": "1h", "renewAfter": "50m", "refreshAfter": "1h" });
    let tokens = json!({ "accessToken": "X-Forwarded-Access-Token" });
    let application = ApplicationSpec::new("app").set_in_outpost("upstreamTokens", &tokens);
    let short_lived = json!({ "lifetimes": { "accessToken": 12 } });
    let replicas = replicas::start_at(&session, application, &short_lived)?;
    let page = replicas.stack.app().url("/");
    let alice = Client::new()?;
    let journey = alice.sign_in(&page, &ALICE)?;
    ensure!(journey.landed.status == StatusCode::OK, "{journey}");
    let cookie = alice.cookie(&page, "gatepost").context("a session")?;
    let outposts = [
        replicas.stack.outpost_url().clone(),
        replicas.second_url.clone(),
    ];
    let first = token(&replicas, &outposts[0], &cookie)?;
    ensure!(token(&replicas, &outposts[1], &cookie)? == first);
    // Past its end, so that every request needs the next one.
    pass(Duration::from_secs(13));
    let in_turns = outposts.iter().cycle().take(8);
    let next = at_once(in_turns, |outpost| token(&replicas, outpost, &cookie));
    let next: Vec<String> = next.into_iter().collect::<Result<_>>()?;
    for token in &next {
        ensure!(*token != first && *token == next[0], "{next:?}");
    }
    ensure!(grants(&replicas.stack, "refresh_token") == 1);
    Ok(())
}

/// Asks an outpost about a call, and returns the token that the application would get.
fn token(replicas: &Replicas, outpost: &Url, cookie: &str) -> Result<String> {
    let answer = replicas.ask(outpost, "Cookie", &format!("gatepost={cookie}"))?;
    ensure!(
        answer.status == StatusCode::OK,
        "{} {}",
        answer.status,
        answer.body
    );
    let token = answer.header("x-forwarded-access-token");
    Ok(token.context("a token")?.to_owned())
}
