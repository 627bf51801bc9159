//! A provider that refuses a refresh token and does not say why (no `error`, as RFC 6749 §5.2 asks
//! for). It may mean that the session is over there, or that something in between answers. The
//! browser finds out, and nothing else extends the session.

use axum::http::StatusCode;

use crate::browser::{Browser, answered, query};
use crate::forward_auth::Asked;
use crate::provider::Raw;
use crate::world::World;

const START: &str = "https://app.example.com/akprox/start?rd=/x";
const HOST: &str = "app.example.com";

const REFUSALS: &[Raw] = &[
    (400, &[], ""),
    (400, &[("content-type", "application/json")], "{{"),
    (
        400,
        &[("content-type", "application/json")],
        r#"{"error": ["invalid_grant"]}"#,
    ),
    (401, &[], ""),
    // The challenge of a gateway that protects resources, and that is no token endpoint.
    (
        401,
        &[("www-authenticate", "Bearer error=\"invalid_token\"")],
        "",
    ),
    (403, &[("content-type", "text/html")], "<h1>Forbidden</h1>"),
];

/// Signs a user in with a refresh token that the provider refuses from now on, and lets time pass
/// until the session is due for renewal.
async fn refused<'w>(world: &'w World, answer: Raw) -> Browser<'w> {
    world.find_provider().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(11 * 60);
    world.provider.script().refresh_answer = Some(answer);
    browser
}

async fn world() -> World {
    World::without_provider("session: {refreshAfter: 60s, grace: 1h}").await
}

fn is_silent(world: &World, location: &str) -> bool {
    let prompt = query(location).remove("prompt");
    location.starts_with(&world.provider.issuer) && prompt.as_deref() == Some("none")
}

async fn sessions(world: &World) -> usize {
    world.outpost.store.list(10).await.expect("listed").len()
}

#[tokio::test]
async fn a_page_load_has_the_browser_ask() {
    for answer in REFUSALS {
        let world = world().await;
        let mut alice = refused(&world, *answer).await;
        let mut bob = world.browser();
        let asked = alice.load(START).await.expect(302);
        assert!(is_silent(&world, asked.location()), "{answer:?}");
        assert!(!asked.sets_session(), "{answer:?}");
        assert_eq!(sessions(&world).await, 1, "{answer:?}");
        // Ten tabs do not ask ten times.
        let again = alice.load(START).await.expect(302);
        assert!(is_silent(&world, again.location()), "{answer:?}");
        assert_eq!(world.provider.script().refreshes, 1, "{answer:?}");

        let callback = world.provider.authorize(asked.location());
        let back = alice.load(callback.as_str()).await.expect(302);
        assert_eq!(back.location(), "https://app.example.com/x", "{answer:?}");
        assert!(back.sets_session(), "{answer:?}");
        assert_eq!(sessions(&world).await, 1, "{answer:?}");

        // The new session has a refresh token of its own, and others are asked about.
        bob.sign_in(START).await.expect(302);
        world.provider.script().refresh_answer = None;
        world.wait(11 * 60);
        let renewed = bob.load(START).await.expect(302);
        assert!(renewed.sets_session(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_session_ends_that_the_provider_no_longer_has() {
    let world = world().await;
    let mut alice = refused(&world, (400, &[], "")).await;
    let asked = alice.load(START).await.expect(302);
    let issuer = &world.provider.issuer;
    let callback = answered(asked.location(), "error=login_required", issuer);
    let reply = alice.load(&callback).await.expect(302);
    assert!(reply.location().starts_with(&world.provider.issuer));
    assert!(!is_silent(&world, reply.location()));
    assert_eq!(sessions(&world).await, 0);
}

/// What the browser brings back from the provider is its own word, which it can make up: it does not
/// extend the session.
#[tokio::test]
async fn no_answer_that_the_browser_makes_up_extends_a_session() {
    for answer in [
        "error=server_error",
        "error=temporarily_unavailable",
        "error=access_denied",
        "error=interaction_required",
        "error=invalid_scope",
        "code=made-up",
        // The firewall refuses this one code without a reason.
        "code=%3Cscript%3E",
        "",
    ] {
        let world = world().await;
        let mut alice = refused(&world, (400, &[], "")).await;
        let asked = alice.load(START).await.expect(302);
        assert!(is_silent(&world, asked.location()), "{answer}");
        // The window ends meanwhile.
        world.wait(5 * 60);
        let callback = answered(asked.location(), answer, &world.provider.issuer);
        let reply = alice.load(&callback).await.expect(302);
        assert!(!reply.sets_session(), "{answer}");
        // The user signs in, with the provider's page.
        let location = reply.location();
        assert!(location.starts_with(&world.provider.issuer), "{answer}");
        assert!(!is_silent(&world, location), "{answer}");
        assert_eq!(sessions(&world).await, 1, "{answer}: it is not over");
        let back = world.provider.authorize(location);
        let reply = alice.load(back.as_str()).await.expect(302);
        assert!(reply.sets_session(), "{answer}");
        assert_eq!(sessions(&world).await, 1, "{answer}");
    }
}

/// The window that is open stays open, to its end and not beyond.
#[tokio::test]
async fn an_answer_that_the_browser_makes_up_leaves_the_window_as_it_is() {
    for answer in ["error=server_error", "code=made-up"] {
        let world = world().await;
        world.find_provider().await;
        let mut alice = world.browser();
        alice.sign_in(START).await.expect(302);
        world.provider.script().refresh_answer = Some((400, &[], ""));
        let mut minutes = 11;
        world.wait(11 * 60);
        loop {
            let asked = alice.load(START).await.expect(302);
            assert!(is_silent(&world, asked.location()), "{answer}");
            let callback = answered(asked.location(), answer, &world.provider.issuer);
            let reply = alice.load(&callback).await.expect(302);
            if reply.location().starts_with(&world.provider.issuer) {
                break;
            }
            assert_eq!(reply.location(), "https://app.example.com/x", "{answer}");
            assert!(minutes < 20, "{answer}: the window has been put back");
            minutes += 1;
            world.wait(60);
        }
        assert!(minutes >= 15, "{answer}: the window ended after {minutes}");
        let data = Asked::fetch(HOST, "/data").by(&alice);
        data.ask(&world, "auth/traefik").await.expect(401);
    }
}

/// A firewall answers in the place of the token endpoint, to every request.
#[tokio::test]
async fn what_is_in_between_ends_no_session_within_its_grace() {
    let world = world().await;
    let mut alice = refused(&world, (403, &[], "<h1>Forbidden</h1>")).await;
    world.provider.script().token_status = StatusCode::FORBIDDEN;
    let asked = alice.load(START).await.expect(302);
    let callback = world.provider.authorize(asked.location());
    let back = alice.load(callback.as_str()).await.expect(302);
    assert_eq!(back.location(), "https://app.example.com/x");
    assert!(back.sets_session());
    assert_eq!(sessions(&world).await, 1);

    // Each page load that is due asks again, until the grace is over.
    world.wait(55 * 60);
    let asked = alice.load(START).await.expect(302);
    let callback = world.provider.authorize(asked.location());
    let reply = alice.load(callback.as_str()).await.expect(502);
    assert!(!reply.sets_session());
    assert_eq!(sessions(&world).await, 1, "it is not over");

    // The firewall lets requests pass again.
    world.provider.script().token_status = StatusCode::OK;
    let asked = alice.load(START).await.expect(302);
    let callback = world.provider.authorize(asked.location());
    assert!(
        alice
            .load(callback.as_str())
            .await
            .expect(302)
            .sets_session()
    );
}

/// Behind forward auth, a script's request renews the session on its way, but not this one.
#[tokio::test]
async fn a_script_extends_no_session_that_the_provider_refuses() {
    let world = world().await;
    let alice = refused(&world, (400, &[], "")).await;
    for _ in 0..2 {
        let reply = Asked::fetch(HOST, "/data")
            .by(&alice)
            .ask(&world, "auth/traefik")
            .await;
        let reply = reply.expect(200);
        assert!(!reply.sets_session());
        world.wait(15);
    }
    assert_eq!(world.provider.script().refreshes, 1);
    world.wait(5 * 60);
    let reply = Asked::fetch(HOST, "/data")
        .by(&alice)
        .ask(&world, "auth/traefik")
        .await;
    let reply = reply.expect(401);
    assert!(!reply.sets_session());
    // A page load has the browser ask.
    let reply = Asked::load(HOST, "/x")
        .by(&alice)
        .ask(&world, "auth/traefik")
        .await;
    reply.expect(302);
    assert_eq!(sessions(&world).await, 1);
}
