//! Renewals that no user notices, and endings when it is time.

use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost::config::Config;
use serde_json::Value;

use crate::browser::Reply;
use crate::forward_auth::Asked;
use crate::world::{KEY_A, World, configuration};

const START: &str = "https://app.example.com/akprox/start";
const SESSION: &str = "https://app.example.com/akprox/session";
const KEY_B: &str = "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=";

#[tokio::test]
async fn a_live_session_is_renewed_without_the_provider() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    for _ in 0..3 {
        world.wait(8 * 3_600 - 60);
        browser.fetch(SESSION).await.expect(401);
        let reply = browser.load(&format!("{START}?rd=/x?y")).await.expect(302);
        assert_eq!(reply.location(), "https://app.example.com/x?y");
        assert!(reply.sets_session());
        browser.fetch(SESSION).await.expect(200);
    }
    assert_eq!(world.provider.script().exchanges, 1);
}

/// Returns the claims of the session cookie that a reply sets.
fn claims(reply: &Reply) -> Value {
    let mut lines = reply.set_cookies().into_iter();
    let session = lines.find_map(|line| line.strip_prefix("__Host-gatepost="));
    let claims = session.and_then(|token| token.split('.').nth(1));
    let claims = claims.expect("a session");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    serde_json::from_slice(&claims).expect("JSON")
}

#[tokio::test]
async fn whose_window_is_open_goes_on_in_it_while_the_store_is_away() {
    let world = World::new().await;
    let mut browser = world.browser();
    let before = claims(&browser.sign_in(START).await.expect(302));
    world.store.away.store(true, Ordering::Relaxed);
    world.wait(11 * 60);
    let reply = browser.load(&format!("{START}?rd=/x")).await.expect(302);
    assert_eq!(reply.location(), "https://app.example.com/x");
    let after = claims(&reply);
    // The plugin does not send the browser here again immediately, and the window is not longer
    // than before.
    let due = |claims: &Value| claims["rnw"].as_u64().expect("a time");
    assert!(due(&after) > due(&before), "{after}");
    for same in ["exp", "iat", "sid", "sub", "groups"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    world.wait(4 * 60);
    let reply = browser.load(START).await.expect(503);
    assert!(!reply.sets_session());
    world.store.away.store(false, Ordering::Relaxed);
    assert!(browser.load(START).await.expect(302).sets_session());
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_the_end_of_its_life() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(8 * 3_600);
    let reply = browser.load(START).await.expect(302);
    assert!(
        reply.location().starts_with(&world.provider.issuer),
        "{}",
        reply.location()
    );

    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    for _ in 0..4 {
        world.wait(5 * 3_600);
        assert!(browser.load(START).await.expect(302).sets_session());
    }
    world.wait(4 * 3_600);
    let reply = browser.load(START).await.expect(302);
    assert!(!reply.sets_session(), "24 hours are over");
}

#[tokio::test]
async fn a_cookie_never_outlives_its_session() {
    let world = World::with("session: {window: 2h, idle: 3h, lifetime: 3h}").await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(2 * 3_600 + 1_800);
    let reply = browser.load(START).await.expect(302);
    let session = reply
        .set_cookies()
        .into_iter()
        .find(|line| line.contains("gatepost=ey"));
    let session = session.expect("a session");
    let max_age = session.split("Max-Age=").nth(1);
    let max_age = max_age.and_then(|rest| rest.split(';').next()?.parse().ok());
    // The half hour that is left, less what the test itself takes.
    let half_an_hour = 1_740..=1_800;
    assert!(
        max_age.is_some_and(|seconds: u32| half_an_hour.contains(&seconds)),
        "{session}"
    );
    let view = browser.fetch(SESSION).await.expect(200).body;
    let view: serde_json::Value = serde_json::from_str(&view).expect("JSON");
    assert_eq!(view["windowEndsAt"], view["endsAt"]);
}

#[tokio::test]
async fn keys_rotate_while_the_outpost_runs() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let under_way = world.browser().begin(START).await;
    let redeploy = |keys: &str| {
        let yaml = configuration(&world.provider, keys, "");
        world
            .outpost
            .reconfigure(&Config::parse(&yaml, []).expect("right"))
            .expect("deployed");
    };
    redeploy(&format!("{KEY_B}', '{KEY_A}"));
    browser.fetch(SESSION).await.expect(200);
    let reply = browser.load(START).await.expect(302);
    assert!(
        reply.sets_session(),
        "the provider is still known, the old key still verifies"
    );
    browser.load(under_way.as_str()).await.expect(302);

    redeploy(KEY_B);
    browser.fetch(SESSION).await.expect(200);
    let mut old = world.browser();
    redeploy(KEY_A);
    old.sign_in(START).await.expect(302);
    redeploy(KEY_B);
    old.fetch(SESSION).await.expect(401);
}

#[tokio::test]
async fn five_hundred_groups_fit_the_session_and_decide_as_all_of_them() {
    let world = World::new().await;
    let groups: Vec<String> = (0..500)
        .map(|n| format!("{n:0>57}-{}", "x".repeat(2)))
        .chain(["admins".into()])
        .collect();
    world.provider.script().userinfo = serde_json::json!({"sub": "alice-id", "groups": groups});
    let root = "https://root.example.com/akprox/start";
    let refused = world.browser().sign_in(root).await.expect(403);
    assert!(!refused.sets_session());
    for (host, rule, status) in [
        ("app", None, 200),
        ("admin", None, 200),
        ("app", Some("any=group:root"), 403),
    ] {
        let origin = format!("https://{host}.example.com");
        let mut browser = world.browser();
        let reply = browser
            .sign_in(&format!("{origin}/akprox/start"))
            .await
            .expect(302);
        let total: usize = reply.set_cookies().iter().map(|line| line.len()).sum();
        assert!(total < 20_000 && reply.sets_session(), "{host}: {total}");
        let cookies = browser.cookie_line(&url::Url::parse(&origin).expect("a URL"));
        let mut headers = headers(&origin, &cookies).to_vec();
        headers.extend(rule.map(|rule| ("X-Gatepost-Require", rule)));
        let asked = world.ask("auth/traefik", &headers).await;
        assert_eq!(asked.status.as_u16(), status, "{host}: {asked:?}");
        let away = |away| {
            world
                .store
                .away
                .store(away, std::sync::atomic::Ordering::Relaxed)
        };
        away(true);
        let asked = world.ask("auth/traefik", &headers).await;
        // Only a rule that hangs on a group which the cookie leaves out needs the store.
        let without = if rule.is_some() { 503 } else { 200 };
        assert_eq!(
            asked.status.as_u16(),
            without,
            "{host} without the store: {asked:?}"
        );
        away(false);
    }
}

fn headers<'h>(origin: &'h str, cookies: &'h str) -> [(&'static str, &'h str); 5] {
    [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", &origin["https://".len()..]),
        ("X-Forwarded-Uri", "/x"),
        ("Cookie", cookies),
    ]
}

#[tokio::test]
async fn a_provider_can_be_asked_less_often_than_others() {
    let provider = crate::provider::Provider::start().await;
    let more = "session: {window: 10m, renewAfter: 5m, refreshAfter: 5m}";
    let yaml = configuration(&provider, KEY_A, more)
        .replace("{name: main,", "{name: main, refreshAfter: 2h,");
    let world = World::configured(provider, &yaml);
    world.find_provider().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    for (minutes, refreshes) in [(6, 0), (60, 0), (60, 1), (60, 1)] {
        world.wait(minutes * 60);
        let reply = browser.load(&format!("{START}?rd=/x")).await.expect(302);
        assert_eq!(reply.location(), "https://app.example.com/x");
        assert_eq!(world.provider.script().refreshes, refreshes, "{minutes}");
    }
}

/// RFC 9111 §7.3: a shared cache may store a response with its `Set-Cookie`, and what everyone may see
/// is often `public` there. The plugin renews nothing on public paths either.
#[tokio::test]
async fn a_public_path_renews_no_session() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let ask = async |path| {
        let asked = Asked::program("app.example.com", path).by(&browser);
        asked.ask(&world, "auth/traefik").await
    };
    world.wait(700);
    let reply = ask("/public/logo.png").await.expect(200);
    assert!(!reply.sets_session());
    assert_eq!(
        reply.header("x-auth-username"),
        Some("alice"),
        "in its window"
    );
    assert!(ask("/").await.expect(200).sets_session());
    world.wait(3_600);
    let reply = ask("/public/logo.png").await.expect(200);
    assert!(!reply.sets_session());
    assert_eq!(reply.header("x-auth-username"), None, "after it");
    assert!(ask("/").await.expect(200).sets_session());
}
