//! Logout tokens: which are valid, and which sessions they end.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::browser::Reply;
use crate::provider::CLIENT_ID;
use crate::world::{World, now};

const START: &str = "https://app.example.com/akprox/start";
const SESSION: &str = "https://app.example.com/akprox/session";
const FORM: &str = "application/x-www-form-urlencoded";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

pub(crate) fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "key-1", "typ": "logout+jwt"})
}

/// Returns the claims of a valid token about all of Alice's sessions.
pub(crate) fn claims(world: &World, id: &str) -> Value {
    let now = now();
    json!({
        "iss": world.provider.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 120,
        "jti": id, "sub": "alice-id", "events": {EVENT: {}},
    })
}

async fn post(world: &World, media_type: &str, body: String) -> Reply {
    let request = Request::post("/akprox/backchannel_logout")
        .header("Host", "outpost:9000")
        .header("Content-Type", media_type)
        .body(Body::from(body))
        .expect("a request");
    world.send_from("192.0.2.1:4000", request).await
}

pub(crate) async fn log_out(world: &World, header: &Value, claims: &Value) -> Reply {
    let token = world.provider.sign(header, claims);
    post(world, FORM, format!("logout_token={token}")).await
}

/// Changes a member, or removes it.
pub(crate) fn with(value: &Value, member: &str, change: Value) -> Value {
    let mut changed = value.clone();
    let map = changed.as_object_mut().expect("an object");
    if change.is_null() {
        map.remove(member);
    } else {
        map.insert(member.to_owned(), change);
    }
    changed
}

#[tokio::test]
async fn only_a_valid_logout_token_ends_sessions() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let good = claims(&world, "good");
    let now = now();
    for (case, header, claims) in [
        ("no events", header(), with(&good, "events", Value::Null)),
        (
            "other event",
            header(),
            with(&good, "events", json!({"x": {}})),
        ),
        (
            "event is no object",
            header(),
            with(&good, "events", json!({EVENT: true})),
        ),
        ("a nonce", header(), with(&good, "nonce", json!("n"))),
        ("no subject", header(), with(&good, "sub", Value::Null)),
        ("wrong aud", header(), with(&good, "aud", json!("other"))),
        ("no aud", header(), with(&good, "aud", Value::Null)),
        (
            "wrong iss",
            header(),
            with(&good, "iss", json!("https://evil.example")),
        ),
        ("no iat", header(), with(&good, "iat", Value::Null)),
        ("old", header(), with(&good, "iat", json!(now - 121))),
        (
            "of the future",
            header(),
            with(&good, "iat", json!(now + 120)),
        ),
        ("exp is text", header(), with(&good, "exp", json!("soon"))),
        ("expired", header(), with(&good, "exp", json!(now - 61))),
        ("iat is text", header(), with(&good, "iat", json!("now"))),
        ("no jti", header(), with(&good, "jti", Value::Null)),
        (
            "typ of access tokens",
            with(&header(), "typ", json!("at+jwt")),
            good.clone(),
        ),
        (
            "alg none",
            with(&header(), "alg", json!("none")),
            good.clone(),
        ),
        (
            "alg HS256",
            with(&header(), "alg", json!("HS256")),
            good.clone(),
        ),
        (
            "alg of another key",
            with(&header(), "alg", json!("RS256")),
            good.clone(),
        ),
        (
            "unknown kid",
            with(&header(), "kid", json!("key-9")),
            good.clone(),
        ),
        ("crit", with(&header(), "crit", json!(["x"])), good.clone()),
    ] {
        let reply = log_out(&world, &header, &claims).await;
        assert_eq!(reply.status.as_u16(), 400, "{case}: {}", reply.body);
        assert!(
            reply.body.contains("invalid_request"),
            "{case}: {}",
            reply.body
        );
    }
    let token = world.provider.sign(&header(), &good);
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    for (case, media_type, body, status) in [
        ("no signature", FORM, format!("logout_token={signed}."), 400),
        ("no token", FORM, String::new(), 400),
        (
            "two tokens",
            FORM,
            format!("logout_token={token}&logout_token={token}"),
            400,
        ),
        (
            "JSON",
            "application/json",
            json!({"logout_token": token}).to_string(),
            400,
        ),
        (
            "a large body",
            FORM,
            format!("logout_token={}", "a".repeat(1 << 20)),
            400,
        ),
    ] {
        let reply = post(&world, media_type, body).await;
        assert_eq!(reply.status.as_u16(), status, "{case}: {}", reply.body);
    }
    browser.fetch(SESSION).await.expect(200);
    log_out(&world, &header(), &good).await.expect(200);
    browser.fetch(SESSION).await.expect(401);
}

#[tokio::test]
async fn a_token_serves_once_and_ends_whose_sessions_it_names() {
    let world = World::new().await;
    let sign_in = async |sid: &'static str| {
        world.provider.script().claims = Box::new(move |claims| claims["sid"] = json!(sid));
        let mut browser = world.browser();
        browser.sign_in(START).await.expect(302);
        browser
    };
    let mut work = sign_in("at-work").await;
    let mut home = sign_in("at-home").await;
    let good = claims(&world, "1");
    let of_work = with(&with(&good, "sub", Value::Null), "sid", json!("at-work"));
    log_out(&world, &header(), &of_work).await.expect(200);
    work.fetch(SESSION).await.expect(401);
    home.fetch(SESSION).await.expect(200);
    log_out(&world, &header(), &of_work).await.expect(400);

    // The response does not show whether there is such a session.
    let unknown = with(&with(&good, "sid", json!("nowhere")), "jti", json!("2"));
    log_out(&world, &header(), &unknown).await.expect(200);
    home.fetch(SESSION).await.expect(200);

    // A session that has no id there is ended by its user.
    world.provider.script().claims = Box::new(|_| ());
    let mut without_id = world.browser();
    without_id.sign_in(START).await.expect(302);
    let elsewhere = with(&with(&good, "sid", json!("elsewhere")), "jti", json!("2b"));
    log_out(&world, &header(), &elsewhere).await.expect(200);
    without_id.fetch(SESSION).await.expect(401);
    home.fetch(SESSION).await.expect(200);

    // Ory Hydra's have no `exp`, and older ones no type.
    let untyped = with(&header(), "typ", Value::Null);
    let of_alice = with(&with(&good, "exp", Value::Null), "jti", json!("3"));
    log_out(&world, &untyped, &of_alice).await.expect(200);
    home.fetch(SESSION).await.expect(401);
    world.store.away.store(true, Ordering::Relaxed);
    let again = with(&good, "jti", json!("4"));
    log_out(&world, &header(), &again).await.expect(503);
}

#[tokio::test]
async fn a_logout_token_that_the_store_failed_can_be_sent_again() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    // What providers state who are older than the type of its own.
    let header = with(&header(), "typ", json!("JWT"));
    let logout = claims(&world, "1");
    world.store.keeps_all.store(true, Ordering::Relaxed);
    log_out(&world, &header, &logout).await.expect(503);
    // This replica refuses the session immediately, whatever the store has done.
    browser.fetch(SESSION).await.expect(401);
    world.store.keeps_all.store(false, Ordering::Relaxed);
    log_out(&world, &header, &logout).await.expect(200);
    browser.fetch(SESSION).await.expect(401);
    log_out(&world, &header, &logout).await.expect(400);
}
