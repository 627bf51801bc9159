//! Redis, and several outposts on it.

use std::time::Duration;

use anyhow::Result;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Redis, Stack, until};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{PATIENCE, pass, visited};

fn settings(url: &str) -> serde_json::Value {
    json!({
        "session": { "window": "8s", "renewAfter": "2s", "refreshAfter": "1s" },
        "store": { "kind": "redis", "path": null, "url": url },
    })
}

#[test]
fn whoever_is_signed_in_does_not_notice_that_redis_restarts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path(), &[])?;
    let stack = Stack::builder().outpost(&settings(&redis.url())).start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    redis.stop();
    let status = alice.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::OK, "the window is open");
    let answer = Client::new()?.open(&page)?;
    assert!(!answer.landed.body.contains("stack"), "{answer}");
    redis.start_again()?;
    pass(Duration::from_secs(9))?;
    let journey = until("the store to be back", PATIENCE, || {
        let journey = alice.open(&page)?;
        Ok((journey.landed.status == StatusCode::OK).then_some(journey))
    })?;
    assert!(!visited(&journey, &stack), "the session is kept: {journey}");
    Ok(())
}

#[test]
fn keys_expire_by_themselves_and_tell_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(
        folder.path(),
        &["--user", "gate", "on", ">open", "~gatepost:*", "+@all"],
    )?;
    let url = format!("redis://gate:open@127.0.0.1:{}", redis.port());
    let stack = Stack::builder().outpost(&settings(&url)).start()?;
    let page = stack.app().url("/");
    Client::new()?.sign_in(&page, &ALICE)?;
    let keys = redis.ask("KEYS *")?;
    assert!(keys.contains("gatepost:session:"), "{keys}");
    assert!(!keys.contains("alice"), "{keys}");
    for key in keys.lines().filter(|line| line.contains(":session:")) {
        let left = redis.ask(&format!("TTL {}", key.trim()))?;
        let left: i64 = left.trim().trim_start_matches(':').parse()?;
        assert!((1..=86_400).contains(&left), "{key}: {left} s");
    }
    Ok(())
}
