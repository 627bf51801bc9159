//! `deviceBound: require`: a session without a proof ends with its first window.

use super::*;

/// One application, since no browser binds the sessions of one without TLS.
const REQUIRE: &str = "applications: [{name: app, externalUrl: 'https://app.example.com'}]
session: {deviceBound: require}";

/// Returns where the page for a session that is not bound leads.
fn again(page: &Reply) -> String {
    let link = page.body.split("class=\"action\" href=\"").nth(1);
    let link = link.and_then(|link| link.split('"').next());
    let link = link
        .expect("a link")
        .replace("&amp;", "&")
        .replace("&#x2f;", "/");
    assert!(
        link.contains("rd=") && link.contains("again=true"),
        "{link}"
    );
    link
}

/// What a client gets that did not register: a page that says which browsers do, and no loop.
async fn is_refused(world: &World, browser: &Browser<'_>, case: &str) {
    for proxy in ["auth/traefik", "auth/caddy", "auth/envoy", "auth/nginx"] {
        let load = Asked::load(HOST, "/x").by(browser).ask(world, proxy).await;
        let expected = if proxy == "auth/nginx" { 401 } else { 302 };
        assert_eq!(load.status.as_u16(), expected, "{case}, {proxy}");
        assert!(!load.sets_session(), "{case}, {proxy}: {load:?}");
        let fetch = Asked::fetch(HOST, "/x").by(browser).ask(world, proxy).await;
        assert!(!fetch.expect(401).sets_session(), "{case}, {proxy}");
    }
    // However often a user tries, it is the same page.
    let mut browser = browser.clone();
    for _ in 0..20 {
        let reply = browser.load(&format!("{START}?rd=/x")).await.expect(403);
        assert!(!reply.sets_session(), "{case}: {reply:?}");
        assert!(reply.body.contains("Chrome"), "{case}: {}", reply.body);
        assert!(again(&reply).starts_with(START), "{case}: {}", reply.body);
    }
    let reply = browser.fetch(SESSION).await.expect(401);
    assert!(!reply.sets_session(), "{case}");
}

/// An attacker on the path removes `Secure-Session-Registration`, or the client does not know it:
/// what it has ends with the window, in every way.
#[tokio::test]
async fn without_a_registration_nothing_outlives_the_first_window() {
    let world = World::with(REQUIRE).await;
    let mut browser = world.browser();
    let reply = browser.sign_in(START).await.expect(302);
    assert!(reply.header("secure-session-registration").is_some());
    for (minutes, case) in [(0, "at once"), (11, "when a renewal would be due")] {
        world.wait(minutes * MINUTE);
        for asked in [Asked::load(HOST, "/x"), Asked::fetch(HOST, "/x")] {
            let reply = asked.by(&browser).ask(&world, "auth/traefik").await;
            assert!(!reply.expect(200).sets_session(), "{case}");
        }
        let view = browser.fetch(SESSION).await.expect(200).json();
        assert_eq!(
            view["renewsAt"], view["windowEndsAt"],
            "no page load renews"
        );
    }
    // A browser that asks for a renewal does not get it, and loses nothing.
    let reply = browser.load(&format!("{START}?rd=/x")).await.expect(302);
    assert_eq!(reply.location(), "https://app.example.com/x");
    world.wait(5 * MINUTE);
    is_refused(&world, &browser, "not registered").await;
}

/// A new sign-in is a new session, which a user begins on purpose. It ends the one that it replaces,
/// and no session of the user's at another device, whatever signing out would end.
#[tokio::test]
async fn the_page_leads_to_another_session_and_back_to_what_was_asked_for() {
    let everywhere =
        "applications: [{name: app, externalUrl: 'https://app.example.com', signOut: everywhere}]
session: {deviceBound: require}";
    let world = World::with(everywhere).await;
    let mut elsewhere = Bound::sign_in(&world).await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(9 * MINUTE);
    elsewhere.refresh().await.expect(200);
    world.wait(7 * MINUTE);
    let mut before = browser.clone();
    let page = browser.load(&format!("{START}?rd=/x")).await.expect(403);
    let again = again(&page);
    // It does nothing for a session that may go on.
    let mut fresh = world.browser();
    fresh.sign_in(START).await.expect(302);
    let reply = fresh.load(&again).await.expect(302);
    assert_eq!(reply.location(), "https://app.example.com/x");
    let reply = browser.sign_in(&again).await.expect(302);
    assert_eq!(reply.location(), "https://app.example.com/x");
    assert!(reply.sets_session() && reply.header("secure-session-registration").is_some());
    let asked = Asked::load(HOST, "/x").by(&browser);
    asked.ask(&world, "auth/traefik").await.expect(200);
    let reply = before.load(&format!("{START}?rd=/x")).await;
    assert!(leads_to_provider(&world, &reply), "it has ended: {reply:?}");
    elsewhere.refresh().await.expect(200);
}

/// A plugin whose clock is ahead sends the browser here again at once.
#[tokio::test]
async fn in_the_last_seconds_of_a_window_no_browser_goes_to_and_fro() {
    let own = "applications: [{name: app, externalUrl: 'https://app.example.com', require: {deviceBound: true}}]
session: {deviceBound: prefer}";
    for more in [REQUIRE, own] {
        let world = World::with(more).await;
        let mut unbound = world.browser();
        unbound.sign_in(START).await.expect(302);
        let mut bound = Bound::sign_in(&world).await;
        world.wait(14 * MINUTE);
        let start = format!("{START}?rd=/x");
        if more == own {
            let reply = bound.browser.load(&start).await.expect(302);
            assert_eq!(reply.location(), "https://app.example.com/x");
        }
        world.wait(40);
        unbound.load(&start).await.expect(403);
        let reply = bound.browser.load(&start).await;
        assert!(leads_to_provider(&world, &reply), "{more}: {reply:?}");
    }
}

/// The key alone is no proof.
#[tokio::test]
async fn a_registration_without_a_proof_does_not_do_until_the_proof_comes() {
    let world = World::with(REQUIRE).await;
    let mut bound = Bound::register(&world).await;
    world.wait(16 * MINUTE);
    is_refused(&world, &bound.browser, "registered only").await;
    assert!(bound.refresh().await.expect(200).sets_session());
    let asked = Asked::load(HOST, "/x").by(&bound.browser);
    asked.ask(&world, "auth/traefik").await.expect(200);
}

#[tokio::test]
async fn a_browser_that_binds_its_session_goes_on() {
    let world = World::with(REQUIRE).await;
    let mut bound = Bound::sign_in(&world).await;
    let copy = bound.browser.clone();
    for _ in 0..3 {
        world.wait(9 * MINUTE);
        assert!(bound.refresh().await.expect(200).sets_session());
        let asked = Asked::load(HOST, "/x").by(&bound.browser);
        asked.ask(&world, "auth/traefik").await.expect(200);
    }
    let reply = copy.clone().load(START).await;
    assert!(leads_to_provider(&world, &reply), "{reply:?}");
    assert_eq!(world.provider.script().exchanges, 1);
}

/// A session from before the operator required it, and one of a provider without refresh tokens.
#[tokio::test]
async fn sessions_from_before_are_not_renewed_either() {
    for has_refresh_tokens in [true, false] {
        let world = World::with(PREFER).await;
        if !has_refresh_tokens {
            world.provider.issue_no_refresh_tokens();
        }
        let mut browser = world.browser();
        browser.sign_in(START).await.expect(302);
        let strict = world.replica_with(REQUIRE).await;
        world.wait(11 * MINUTE);
        let mut there = browser.clone().at(&strict);
        let reply = there.load(&format!("{START}?rd=/x")).await.expect(302);
        assert_eq!(reply.location(), "https://app.example.com/x");
        world.wait(5 * MINUTE);
        is_refused(&strict, &browser.at(&strict), "from before").await;
    }
}

#[test]
fn what_no_browser_can_bind_cannot_be_required() {
    use gatepost::config::Config;
    let base = |more: &str| {
        format!(
            "keys: ['{}']\nproviders: [{{name: main, issuer: 'https://id.example.com', clientId: a, \
             clientSecret: b}}]\n{more}",
            crate::world::KEY_A
        )
    };
    for (more, path) in [
        (
            "applications: [{name: a, externalUrl: 'http://app.localhost:8080'}]\nsession: {deviceBound: require}",
            "applications[0].deviceBound",
        ),
        (
            "applications: [{name: a, externalUrl: 'http://app.localhost:8080', deviceBound: require}]",
            "applications[0].deviceBound",
        ),
        (
            "applications: [{name: a, mode: domain, externalUrl: 'https://auth.home.example.org', cookieDomain: home.example.org, deviceBound: require}]",
            "applications[0].deviceBound",
        ),
        (
            "applications: [{name: a, externalUrl: 'https://app.example.com', require: {deviceBound: true}}]",
            "applications[0].require.deviceBound",
        ),
        (
            "applications: [{name: a, externalUrl: 'http://app.localhost:8080', require: {deviceBound: true}}]\nsession: {deviceBound: prefer}",
            "applications[0].deviceBound",
        ),
        (
            "applications: [{name: a, externalUrl: 'https://app.example.com'}]\nsession: {deviceBound: require, window: 5m}",
            "session.renewAfter",
        ),
    ] {
        let error = Config::parse(&base(more), []).expect_err(more).to_string();
        assert!(error.contains(path), "{more}: {error}");
    }
    for more in [
        "applications: [{name: a, externalUrl: 'https://app.example.com'}]\nsession: {deviceBound: require}",
        "applications: [{name: a, externalUrl: 'http://app.localhost:8080', deviceBound: off}]\nsession: {deviceBound: require}",
        "applications: [{name: a, mode: domain, externalUrl: 'https://auth.example.org', cookieDomain: example.org, deviceBound: require}]",
    ] {
        Config::parse(&base(more), []).expect(more);
    }
}
