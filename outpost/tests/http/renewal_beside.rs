//! `session?renew`: a browser renews its session beside a page.

use std::sync::atomic::Ordering;

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::browser::{Browser, Reply, answered};
use crate::forward_auth::Asked;
use crate::world::World;

const START: &str = "https://app.example.com/akprox/start";
const SESSION: &str = "https://app.example.com/akprox/session";
const RENEW: &str = "https://app.example.com/akprox/session?renew";
const MINUTE: u64 = 60;
/// By how much a proxy's clock may be ahead.
const CLOCK_SKEW: u64 = 30;

/// Fetches as a browser does for a `Link` of a page at this origin.
async fn renew(browser: &mut Browser<'_>, from: &[(&str, &str)]) -> Reply {
    let mut headers = vec![("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")];
    headers.extend_from_slice(from);
    browser.request(Method::GET, RENEW, &headers).await
}

async fn beside(browser: &mut Browser<'_>) -> Reply {
    renew(browser, &[("Sec-Fetch-Site", "same-origin")]).await
}

async fn window_ends(browser: &Browser<'_>) -> u64 {
    let view = browser.clone().fetch(SESSION).await.expect(200).json();
    view["windowEndsAt"].as_u64().expect("a time")
}

#[tokio::test]
async fn it_is_renewed_where_that_is_due_and_the_provider_is_asked() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let reply = beside(&mut browser).await.expect(204);
    assert!(!reply.sets_session(), "not due");
    for group in ["a", "b", "c"] {
        world.wait(11 * MINUTE);
        world.provider.script().userinfo = json!({"sub": "alice-id", "groups": [group]});
        let before = window_ends(&browser).await;
        let reply = beside(&mut browser).await.expect(204);
        assert!(reply.sets_session());
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("access-control-allow-origin"), None);
        assert_eq!(reply.body, "");
        assert!(window_ends(&browser).await > before + 10 * MINUTE);
        let view = browser.fetch(SESSION).await.expect(200).json();
        assert_eq!(view["groups"], json!([group]));
    }
    assert_eq!(world.provider.script().exchanges, 1, "no sign-in");
}

/// By default a cookie is renewed from a third of its window on, and the provider asked after two.
#[tokio::test]
async fn in_between_it_is_renewed_from_the_store() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    for (wait, renewed, refreshes) in [
        (5 * MINUTE - CLOCK_SKEW - 1, false, 0),
        // A plugin's clock may be ahead, and the browser would ask with each page until then.
        (1, true, 0),
        (5 * MINUTE, true, 0),
        (5 * MINUTE, true, 1),
        (5 * MINUTE, true, 1),
        (5 * MINUTE, true, 2),
    ] {
        world.wait(wait);
        let reply = beside(&mut browser).await.expect(204);
        assert_eq!(reply.sets_session(), renewed, "{wait} {refreshes}");
        assert_eq!(world.provider.script().refreshes, refreshes, "{wait}");
    }
    assert_eq!(world.provider.script().exchanges, 1, "no sign-in");
}

/// Also with a renewal that comes early for a plugin's clock.
#[tokio::test]
async fn where_every_renewal_asks_the_provider_an_early_one_does() {
    let world = World::with("session: {renewAfter: 10m}").await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    for refreshes in 1..4 {
        world.wait(10 * MINUTE - CLOCK_SKEW);
        assert!(beside(&mut browser).await.expect(204).sets_session());
        assert_eq!(world.provider.script().refreshes, refreshes);
    }
}

/// What another site's page can cause: nothing, whatever it has the browser send.
#[tokio::test]
async fn other_sites_cause_nothing() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(11 * MINUTE);
    let before = window_ends(&browser).await;
    for from in [
        &[("Sec-Fetch-Site", "cross-site")][..],
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "https://evil.example"),
        ],
        &[
            ("Sec-Fetch-Site", "same-site"),
            ("Origin", "https://evil.example.com"),
        ],
        &[
            ("Sec-Fetch-Site", "same-site"),
            ("Origin", "https://app.example.com"),
        ],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", "https://app.example.com")],
        &[],
    ] {
        let reply = renew(&mut browser, from).await.expect(403);
        assert!(!reply.sets_session(), "{from:?}");
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    for method in [Method::POST, Method::HEAD, Method::OPTIONS] {
        let from = [("Sec-Fetch-Site", "same-origin")];
        let reply = browser.request(method, RENEW, &from).await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert_eq!(window_ends(&browser).await, before);
}

/// A session that has ended, that the provider or the rule refuses, or whose window is over.
#[tokio::test]
async fn what_is_over_stays_over() {
    let world = World::new().await;
    let mut nobody = world.browser();
    assert!(!beside(&mut nobody).await.expect(204).sets_session());

    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(16 * MINUTE);
    let reply = beside(&mut browser).await.expect(204);
    assert!(!reply.sets_session(), "its window is over");
    assert!(browser.load(START).await.expect(302).sets_session());

    world.wait(11 * MINUTE);
    let refusal = (
        400,
        &[("Content-Type", "application/json")][..],
        r#"{"error":"invalid_grant"}"#,
    );
    world.provider.script().refresh_answer = Some(refusal);
    assert!(!beside(&mut browser).await.expect(204).sets_session());
    world.provider.script().refresh_answer = None;
    assert!(!beside(&mut browser).await.expect(204).sets_session());
    browser.fetch(SESSION).await.expect(401);

    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(11 * MINUTE);
    world.store.forget();
    assert!(!beside(&mut browser).await.expect(204).sets_session());
}

#[tokio::test]
async fn a_user_whom_the_rule_no_longer_admits_loses_the_session() {
    let world = World::with(
        "applications: [{name: app, externalUrl: 'https://app.example.com', require: {groups: [staff]}}]",
    )
    .await;
    world.provider.script().userinfo = json!({"sub": "alice-id", "groups": ["staff"]});
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(11 * MINUTE);
    world.provider.script().userinfo = json!({"sub": "alice-id", "groups": []});
    let reply = beside(&mut browser).await.expect(403);
    assert!(!reply.sets_session());
    browser.fetch(SESSION).await.expect(401);
    world.until_no_session_is_left("refused by the rule").await;
}

/// Only a page load can ask the provider, so nothing extends the session before.
#[tokio::test]
async fn without_a_refresh_token_nothing_is_renewed() {
    let world = World::new().await;
    world.provider.issue_no_refresh_tokens();
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(11 * MINUTE);
    assert!(!beside(&mut browser).await.expect(204).sets_session());
    let reply = browser.load(START).await.expect(302);
    assert!(reply.location().starts_with(&world.provider.issuer));
}

/// A plugin that knew no better would have browsers ask in vain until the last quarter of the window.
/// Forward auth sends page loads to the provider as soon as it is to be asked.
#[tokio::test]
async fn without_a_refresh_token_browsers_do_not_ask_in_vain() {
    let world = World::new().await;
    world.provider.issue_no_refresh_tokens();
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let renews_after = async |browser: &Browser<'_>| {
        let view = browser.clone().fetch(SESSION).await.expect(200).json();
        let time = |name: &str| view[name].as_u64().expect("a time");
        let begun = time("windowEndsAt") - 15 * MINUTE;
        time("renewsAt") - begun
    };
    assert_eq!(renews_after(&browser).await, 300, "from the store");
    world.wait(6 * MINUTE);
    assert!(beside(&mut browser).await.expect(204).sets_session());
    assert_eq!(renews_after(&browser).await, 675, "by the provider");

    world.wait(6 * MINUTE);
    assert!(!beside(&mut browser).await.expect(204).sets_session());
    let due = Asked::load("app.example.com", "/x").by(&browser);
    let reply = due.ask(&world, "auth/traefik").await.expect(302);
    assert!(reply.location().contains("/akprox/start"), "{reply:?}");

    // The provider cannot say, and the page opens: the renewal waits, and leads in no circle.
    let asked = browser.load(START).await.expect(302);
    let callback = answered(
        asked.location(),
        "error=server_error",
        &world.provider.issuer,
    );
    let reply = browser.load(&callback).await.expect(302);
    assert!(reply.sets_session(), "postponed");
    let postponed = Asked::load("app.example.com", "/x").by(&browser);
    postponed.ask(&world, "auth/traefik").await.expect(200);
    world.wait(MINUTE);
    postponed.ask(&world, "auth/traefik").await.expect(302);
}

#[tokio::test]
async fn an_outpost_without_its_store_or_provider_says_nothing_and_the_window_goes_on() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(11 * MINUTE);
    world.store.away.store(true, Ordering::Relaxed);
    assert!(!beside(&mut browser).await.expect(204).sets_session());
    world.store.away.store(false, Ordering::Relaxed);
    assert!(beside(&mut browser).await.expect(204).sets_session());
}

/// A session that is bound to a device is renewed by a proof alone.
#[tokio::test]
async fn a_session_that_needs_a_proof_is_not_renewed() {
    let world = World::with(
        "applications: [{name: app, externalUrl: 'https://app.example.com'}]
session: {deviceBound: require}",
    )
    .await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(14 * MINUTE);
    assert!(!beside(&mut browser).await.expect(204).sets_session());
}

/// In domain mode the page is on another host of the site.
#[tokio::test]
async fn pages_of_a_domain_renew_at_the_outposts_host() {
    let world = World::new().await;
    let mut browser = world.browser();
    let start = "https://auth.example.org/akprox/start";
    browser.sign_in(start).await.expect(302);
    let renew = "https://auth.example.org/akprox/session?renew";
    for (number, (site, origin, allowed)) in [
        ("same-site", Some("https://wiki.example.org"), true),
        ("same-origin", None, true),
        ("same-site", Some("https://evil.example.com"), false),
        ("same-site", Some("http://wiki.example.org"), false),
        ("same-site", Some("https://wiki.example.org/x"), false),
        ("same-site", Some("null"), false),
        ("same-site", None, false),
        ("cross-site", Some("https://wiki.example.org"), false),
    ]
    .into_iter()
    .enumerate()
    {
        world.wait(11 * MINUTE);
        let mut headers = vec![("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", site)];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let reply = browser.request(Method::GET, renew, &headers).await;
        let case = format!("{site} {origin:?}");
        assert_eq!(reply.sets_session(), allowed, "{case}: {reply:?}");
        let shown = origin.filter(|_| allowed);
        assert_eq!(reply.header("access-control-allow-origin"), shown, "{case}");
        let credentials = reply.header("access-control-allow-credentials");
        assert_eq!(credentials, shown.map(|_| "true"), "{case}");
        if !allowed {
            let start = format!("{start}?rd=https://wiki.example.org/{number}");
            browser.load(&start).await.expect(302);
        }
    }
}
