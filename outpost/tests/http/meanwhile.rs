//! What ends while something else is under way, and which of a browser's sessions end with it.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use gatepost_store::SessionSelector;
use serde_json::json;

use crate::backchannel_logout::{claims, header, log_out};
use crate::browser::Browser;
use crate::forward_auth::Asked;
use crate::world::{World, now};

const HOST: &str = "app.example.com";
const APP: &str = "https://app.example.com/";
const START: &str = "https://app.example.com/akprox/start";
const SIGN_OUT: &str = "https://app.example.com/akprox/sign_out";

fn cookies(browser: &Browser<'_>) -> String {
    browser.cookie_line(&APP.parse().expect("a URL"))
}

async fn status(world: &World, cookies: &str) -> u16 {
    let asked = Asked::fetch(HOST, "/").with("Cookie", cookies);
    asked.ask(world, "auth/traefik").await.status.as_u16()
}

/// Row B2: the session has no refresh token, and so is renewed by way of the provider. It ends
/// while the browser is there, or while the code is exchanged; the answer begins no other session.
#[tokio::test]
async fn a_silent_renewal_begins_no_session_in_the_place_of_one_that_ended_meanwhile() {
    for (by_provider, during_exchange) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let case = format!("by provider: {by_provider}, during exchange: {during_exchange}");
        let world = World::new().await;
        world.provider.issue_no_refresh_tokens();
        let mut browser = world.browser();
        browser.sign_in(START).await.expect(302);
        world.wait(700);
        let reply = browser.load(START).await.expect(302);
        assert!(reply.location().contains("prompt=none"), "{case}");
        let back = world.provider.authorize(reply.location());
        let mut other_tab = browser.clone();
        let end = async {
            if by_provider {
                let now = now();
                let mut token = claims(&world, "1");
                (token["iat"], token["exp"]) = (json!(now), json!(now + 120));
                log_out(&world, &header(), &token).await.expect(200);
            } else {
                other_tab.load(SIGN_OUT).await.expect(302);
            }
        };
        let reply = if during_exchange {
            let gate = world.provider.hold_exchanges();
            let ending = async {
                gate.reached().await;
                end.await;
                gate.open();
            };
            tokio::join!(browser.load(back.as_str()), ending).0
        } else {
            end.await;
            if !by_provider {
                browser.drop_cookies(|name| name != "__Host-gatepost");
            }
            browser.load(back.as_str()).await
        };
        assert!(!reply.sets_session(), "{case}: {reply:?}");
        let location = reply.expect(302).location().to_owned();
        assert!(location.starts_with(&world.provider.issuer), "{case}");
        assert!(!location.contains("prompt=none"), "{case}: {location}");
        let kept = world.outpost.store.list(10).await.expect("listed");
        assert_eq!(kept, [], "{case}");
    }
}

/// Row B1: two values of one name, of which another host of the domain may have set the first.
#[tokio::test]
async fn every_session_that_a_browser_brings_ends_with_a_sign_out_and_a_sign_in() {
    let world = World::new().await;
    for path in ["sign_out", "callback"] {
        let (mut planted, mut own) = (world.browser(), world.browser());
        planted.sign_in(START).await.expect(302);
        own.sign_in(START).await.expect(302);
        let (planted, own) = (cookies(&planted), cookies(&own));
        assert_eq!(status(&world, &planted).await, 200);
        assert_eq!(status(&world, &own).await, 200);
        let mut third = world.browser();
        let (target, flow) = if path == "callback" {
            let back = third.begin(START).await;
            let target = back[url::Position::BeforePath..].to_owned();
            (target, third.cookie_line(&back))
        } else {
            ("/akprox/sign_out".to_owned(), String::new())
        };
        let request = Request::get(target)
            .header("Host", HOST)
            .header("Sec-Fetch-Mode", "navigate")
            .header("Cookie", format!("{planted}; {own}; {flow}"))
            .body(Body::empty())
            .expect("a request");
        world.send_from("192.0.2.1:1", request).await.expect(302);
        assert_eq!(status(&world, &planted).await, 401, "{path}");
        assert_eq!(status(&world, &own).await, 401, "{path}");
    }
}

/// Has the provider say at each sign-in of which of its sessions the user is, or not.
fn name_sessions(world: &World, has_session: bool) {
    world.provider.script().claims = Box::new(move |claims| {
        if has_session {
            claims["sid"] = json!("at-work");
        }
    });
}

/// Row B2: a sign-in whose code is being exchanged has no session yet that an ending could find.
#[tokio::test]
async fn a_first_sign_in_begins_no_session_that_was_ended_while_its_code_was_exchanged() {
    let endings = [
        "sid",
        "sub",
        "sub, without sid",
        "subject",
        "everyone",
        "other person",
    ];
    let both = |ending| [(ending, false), (ending, true)];
    for (ending, is_elsewhere) in endings.into_iter().flat_map(both) {
        let world = World::new().await;
        // The ending may come to another replica.
        let replica = world.replica().await;
        let at = if is_elsewhere { &replica } else { &world };
        let case = format!("{ending}, elsewhere: {is_elsewhere}");
        let has_session = ending != "sub, without sid";
        name_sessions(&world, has_session);
        let mut browser = world.browser();
        let back = browser.begin(START).await;
        let gate = world.provider.hold_exchanges();
        let issuer = world.provider.issuer.clone();
        let revoke = |subject: &str| SessionSelector::Subject {
            issuer: issuer.clone(),
            subject: subject.into(),
        };
        let end = async {
            gate.reached().await;
            let mut token = claims(&world, "1");
            let times = world.outpost.snapshot().times;
            let revoker = at.outpost.sessions.revoker();
            match ending {
                "sid" => {
                    token.as_object_mut().expect("claims").remove("sub");
                    token["sid"] = json!("at-work");
                    log_out(at, &header(), &token).await.expect(200);
                }
                // Names a session that the provider did not name at the sign-in.
                "sub, without sid" => {
                    token["sid"] = json!("at-work");
                    log_out(at, &header(), &token).await.expect(200);
                }
                "sub" => drop(log_out(at, &header(), &token).await.expect(200)),
                "subject" => drop(revoker.revoke(&revoke("alice-id"), &times).await),
                "everyone" => drop(revoker.revoke(&SessionSelector::All, &times).await),
                _ => drop(revoker.revoke(&revoke("bob-id"), &times).await),
            }
            gate.open();
        };
        let (reply, ()) = tokio::join!(browser.load(back.as_str()), end);
        let kept = world.outpost.store.list(10).await.expect("listed").len();
        if ending == "other person" {
            assert!(reply.sets_session(), "{case}: {reply:?}");
            assert_eq!(kept, 1, "{case}");
        } else {
            assert!(!reply.sets_session(), "{case}: {reply:?}");
            assert_eq!(reply.status, 400, "{case}");
            assert_eq!(kept, 0, "{case}");
        }
        // The next sign-in is a new one.
        let mut again = world.browser();
        again.sign_in(START).await.expect(302);
        assert_eq!(status(&world, &cookies(&again)).await, 200, "{case}");
    }
}

/// A code of a session at the provider that has ended since, and with it what the user had there: a
/// second tab may bring it back for as long as it lasts.
#[tokio::test]
async fn a_code_from_before_a_logout_begins_no_session() {
    let endings = [
        "sid",
        "sub",
        "sub, without sid",
        "other session",
        "other person",
    ];
    let both = |ending| [(ending, false), (ending, true)];
    for (ending, is_elsewhere) in endings.into_iter().flat_map(both) {
        let world = World::with("session: {window: 1m}").await;
        let replica = world.replica_with("session: {window: 1m}").await;
        let at = if is_elsewhere { &replica } else { &world };
        let case = format!("{ending}, elsewhere: {is_elsewhere}");
        let has_session = ending != "sub, without sid";
        name_sessions(&world, has_session);
        let mut browser = world.browser();
        let back = browser.begin(START).await;
        let mut token = claims(&world, "1");
        (token["iat"], token["exp"]) = (json!(now()), json!(now() + 120));
        match ending {
            "sid" => {
                token.as_object_mut().expect("claims").remove("sub");
                token["sid"] = json!("at-work");
            }
            "sub, without sid" => token["sid"] = json!("at-work"),
            "other session" => token["sid"] = json!("at-home"),
            "other person" => token["sub"] = json!("bob-id"),
            _ => {}
        }
        log_out(at, &header(), &token).await.expect(200);
        let is_other = ending.starts_with("other");
        // At once, and for as long as the sign-in may last.
        let mut late = browser.clone();
        let reply = browser.load(back.as_str()).await;
        assert_eq!(reply.sets_session(), is_other, "{case}: {reply:?}");
        assert_eq!(reply.status, if is_other { 302 } else { 400 }, "{case}");
        if is_other {
            continue;
        }
        // A sign-in that begins now is none of them, also with the `sid` of before.
        let mut again = world.browser();
        again.sign_in(START).await.expect(302);
        assert_eq!(status(&world, &cookies(&again)).await, 200, "{case}");
        // Nor has the list forgotten it before the sign-in is over.
        let back = late.begin(START).await;
        world.wait(1);
        (token["iat"], token["exp"], token["jti"]) = (json!(now()), json!(now() + 120), json!("2"));
        log_out(at, &header(), &token).await.expect(200);
        world.wait(34 * 60);
        let revocations = world.outpost.sessions.revoker().revocations();
        revocations.remove_expired(world.outpost.clock.now());
        let reply = late.load(back.as_str()).await;
        assert!(!reply.sets_session(), "{case}: {reply:?}");
    }
}

/// Row B2: the provider has taken the old refresh token back, and the store cannot keep the new one
/// for longer than requests wait for it.
#[tokio::test]
async fn a_rotated_refresh_token_outlives_an_absence_of_the_store() {
    let world = World::with("session: {refreshAfter: 60s}").await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(1_000);
    let gate = world.provider.hold_exchanges();
    let mut renewing = browser.clone();
    let away = async {
        gate.reached().await;
        world.store.away.store(true, Ordering::Relaxed);
        gate.open();
    };
    let (reply, ()) = tokio::join!(renewing.load(START), away);
    reply.expect(503);
    let refreshes = world.provider.script().refreshes;
    world.store.away.store(false, Ordering::Relaxed);
    // Immediately, and without asking the provider again with a token that it has replaced.
    let reply = renewing.load(START).await.expect(302);
    assert!(reply.sets_session(), "{reply:?}");
    assert_eq!(world.provider.script().refreshes, refreshes);
    world.wait(700);
    let reply = renewing.load(START).await.expect(302);
    assert!(reply.sets_session(), "{reply:?}");
    assert_eq!(world.provider.script().refreshes, refreshes + 1);
}
