//! A rule that asks for a session that is bound to a device: of the application, or of a proxy.

use super::*;

/// Its own rule.
const OWN: &str = "applications:
  - {name: app, externalUrl: 'https://app.example.com', require: {deviceBound: true}, public: ['/public/*']}
session: {deviceBound: prefer}";

const RULE: &str = "all=deviceBound:true";

fn asked<'a>(kind: &str, rule: Option<&str>, browser: &Browser<'_>) -> Asked<'a> {
    let asked = match kind {
        "load" => Asked::load(HOST, "/x"),
        _ => Asked::fetch(HOST, "/x"),
    };
    let asked = match rule {
        Some(rule) => asked.with("X-Gatepost-Require", rule),
        None => asked,
    };
    asked.by(browser)
}

/// Checks that this browser's session is not taken for a bound one.
async fn is_unbound(world: &World, rule: Option<&str>, browser: &Browser<'_>, case: &str) {
    let load = asked("load", rule, browser)
        .ask(world, "auth/traefik")
        .await;
    let to = "https://app.example.com/akprox/start?rd=%2Fx&bound=true";
    let load = load.expect(302);
    assert_eq!(load.location(), to, "{case}");
    assert!(!load.sets_session(), "{case}: {load:?}");
    let fetch = asked("fetch", rule, browser)
        .ask(world, "auth/traefik")
        .await;
    let fetch = fetch.expect(403);
    assert_eq!(fetch.json()["error"], "device_not_bound", "{case}");
    assert!(!fetch.sets_session(), "{case}: {fetch:?}");
    if rule.is_none() {
        let load = asked("load", rule, browser).ask(world, "auth/nginx").await;
        assert!(!load.expect(401).sets_session(), "{case}");
        let fetch = asked("fetch", rule, browser).ask(world, "auth/nginx").await;
        assert!(!fetch.expect(403).sets_session(), "{case}");
    }
}

#[tokio::test]
async fn a_page_load_waits_for_the_browser_and_then_opens() {
    for (more, rule) in [(OWN, None), (PREFER, Some(RULE))] {
        let world = World::with(more).await;
        let mut bound = Bound::register(&world).await;
        is_unbound(&world, rule, &bound.browser, more).await;
        let start = format!("{START}?rd=%2Fx&bound=true");
        for _ in 0..10 {
            let reply = bound.browser.load(&start).await.expect(403);
            assert_eq!(reply.header("refresh"), Some("3"), "it loads itself again");
            assert!(!reply.sets_session());
        }
        let copy = bound.browser.clone();
        bound.refresh().await.expect(200);
        let reply = bound.browser.load(&start).await.expect(302);
        assert_eq!(reply.location(), "https://app.example.com/x");
        for kind in ["load", "fetch"] {
            let asked = asked(kind, rule, &bound.browser);
            asked.ask(&world, "auth/traefik").await.expect(200);
        }
        // A copy from before says nothing of a device, whatever the store knows.
        is_unbound(&world, rule, &copy, "a copy from before").await;
        world.wait(11 * MINUTE);
        is_unbound(&world, rule, &copy, "a copy from before, later").await;
        let reply = copy.clone().load(&start).await;
        assert!(leads_to_provider(&world, &reply), "{reply:?}");
    }
}

/// The header for the registration was taken away, or the browser cannot.
#[tokio::test]
async fn who_does_not_register_is_refused_with_a_page_and_no_loop() {
    for (more, rule) in [(OWN, None), (PREFER, Some(RULE))] {
        let world = World::with(more).await;
        let mut browser = world.browser();
        browser.sign_in(START).await.expect(302);
        let start = format!("{START}?rd=%2Fx&bound=true");
        let reply = browser.load(&start).await.expect(403);
        assert!(reply.header("refresh").is_some());
        for seconds in [15, 16 * MINUTE] {
            world.wait(seconds);
            if seconds == 15 {
                is_unbound(&world, rule, &browser, more).await;
            }
            for _ in 0..10 {
                let reply = browser.load(&start).await.expect(403);
                assert_eq!(reply.header("refresh"), None);
                assert!(reply.body.contains("Chrome"), "{}", reply.body);
                assert!(!reply.sets_session());
            }
        }
        if rule.is_none() {
            let asked = Asked::load(HOST, "/public/x").by(&browser);
            asked.ask(&world, "auth/traefik").await.expect(200);
        }
    }
}

/// The cookie had no room for the groups, so the store is asked for them, and for nothing else.
#[tokio::test]
async fn a_copy_with_groups_left_out_is_not_bound_by_the_store() {
    let world = World::with(PREFER).await;
    let groups: Vec<String> = (0..900).map(|at| format!("{at:060}")).collect();
    world.provider.script().userinfo = json!({"sub": "alice-id", "groups": groups});
    let mut bound = Bound::register(&world).await;
    let copy = bound.browser.clone();
    bound.refresh().await.expect(200);
    let rule = format!("any=group:{:060}&{RULE}", 7);
    is_unbound(&world, Some(&rule), &copy, "left out").await;
    let asked = asked("fetch", Some(&rule), &bound.browser);
    asked.ask(&world, "auth/traefik").await.expect(200);
}

/// A rule that this outpost does not know admits no user.
#[tokio::test]
async fn unknown_values_refuse() {
    let world = World::with(PREFER).await;
    let bound = Bound::sign_in(&world).await;
    let known = asked("fetch", Some(RULE), &bound.browser);
    known.ask(&world, "auth/traefik").await.expect(200);
    for rule in [
        "all=deviceBound:false",
        "all=deviceBound:maybe",
        "any=deviceBound:true",
        "all=device:true",
    ] {
        let asked = asked("fetch", Some(rule), &bound.browser);
        let reply = asked.ask(&world, "auth/traefik").await;
        assert!(!reply.status.is_success(), "{rule}: {reply:?}");
    }
}

/// Behind a plugin without the rule, a cookie in its window opens everything. So no cookie may come
/// after it: a copy would be worth something for as long as the session lasts.
#[tokio::test]
async fn the_applications_own_rule_holds_behind_a_plugin_that_does_not_have_it() {
    for is_from_before in [false, true] {
        for has_refresh_tokens in [true, false] {
            let case = format!("from before: {is_from_before}, tokens: {has_refresh_tokens}");
            let world = World::with(if is_from_before { PREFER } else { OWN }).await;
            if !has_refresh_tokens {
                world.provider.issue_no_refresh_tokens();
            }
            let mut browser = world.browser();
            browser.sign_in(START).await.expect(302);
            let strict = world.replica_with(OWN).await;
            let mut browser = browser.at(&strict);
            let view = browser.fetch(SESSION).await.expect(200).json();
            if !is_from_before {
                assert_eq!(view["renewsAt"], view["windowEndsAt"], "{case}");
            }
            world.wait(11 * MINUTE);
            // What the plugin hands on, if it finds that a renewal is due.
            is_unbound(&strict, None, &browser, &case).await;
            let reply = browser.load(&format!("{START}?rd=/x")).await;
            assert!(!reply.expect(403).sets_session(), "{case}");
            world.wait(5 * MINUTE);
            for kind in ["load", "fetch"] {
                let asked = asked(kind, None, &browser);
                let reply = asked.ask(&strict, "auth/traefik").await;
                assert!(!reply.status.is_success(), "{case}: {reply:?}");
                assert!(!reply.sets_session(), "{case}: {reply:?}");
            }
            let reply = browser.load(&format!("{START}?rd=/x")).await;
            assert!(!reply.expect(403).sets_session(), "{case}");
        }
    }
}

/// Whom another rule refuses at one path has a session that goes on at the others.
#[tokio::test]
async fn only_a_refusal_for_want_of_a_device_brings_no_fresh_cookie() {
    let world = World::with(PREFER).await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(11 * MINUTE);
    is_unbound(&world, Some(RULE), &browser, "due").await;
    let asked = asked("fetch", Some("any=group:nobody"), &browser);
    let reply = asked.ask(&world, "auth/traefik").await.expect(403);
    assert_eq!(reply.json()["error"], "denied");
    assert!(reply.sets_session(), "{reply:?}");
}

/// Any site can make such a link.
#[tokio::test]
async fn a_link_refuses_nobody_where_no_session_is_bound() {
    let world = World::with("").await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    for seconds in [0, 16, 11 * MINUTE] {
        world.wait(seconds);
        let reply = browser.load(&format!("{START}?rd=/x&bound=true")).await;
        let reply = reply.expect(302);
        assert_eq!(reply.location(), "https://app.example.com/x", "{seconds}");
    }
}

/// The way back does not lead here again: the cookie says that the session is bound.
#[tokio::test]
async fn a_bound_session_goes_on_in_its_window_while_the_store_is_away() {
    let world = World::with(OWN).await;
    world.provider.issue_no_refresh_tokens();
    let mut bound = Bound::sign_in(&world).await;
    let mut unbound = world.browser();
    unbound.sign_in(START).await.expect(302);
    world.wait(MINUTE);
    world.store.away.store(true, Ordering::Relaxed);
    let start = format!("{START}?rd=/x");
    let reply = bound.browser.load(&start).await.expect(302);
    assert_eq!(reply.location(), "https://app.example.com/x");
    let asked = asked("load", None, &bound.browser);
    asked.ask(&world, "auth/traefik").await.expect(200);
    unbound.load(&start).await.expect(503);
}

#[tokio::test]
async fn a_form_is_said_not_to_have_been_delivered() {
    let world = World::with(OWN).await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    let form = Asked::form(HOST, "/x").by(&browser);
    let reply = form.ask(&world, "auth/traefik").await.expect(403);
    assert!(
        reply.body.contains("has not been delivered"),
        "{}",
        reply.body
    );
    assert_eq!(reply.header("refresh"), None, "it would not be sent again");
    let load = browser.load(&format!("{START}?rd=/x")).await.expect(403);
    assert!(load.header("refresh").is_some());
    world.wait(20);
    let load = browser.load(&format!("{START}?rd=/x")).await.expect(403);
    assert!(
        load.body.contains("needs a session that is bound"),
        "{}",
        load.body
    );
}
