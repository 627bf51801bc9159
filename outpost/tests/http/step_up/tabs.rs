//! Sign-ins in several tabs: one that began before a session comes back after it.

use super::users::{alice, bob, user_of};
use super::*;
use crate::browser::answered;
use crate::world::wait;

/// Begins a sign-in, whose user the provider describes so, and gives the URL that leads back.
async fn begin(world: &World, browser: &mut Browser<'_>, path: &str, claims: Value) -> String {
    says(world, claims);
    let start = format!("{START}?rd={path}");
    browser.begin(&start).await.as_str().to_owned()
}

/// The callback that comes last does not take a second factor away, nor a recent sign-in.
#[tokio::test]
async fn a_sign_in_that_began_before_takes_no_stronger_sessions_place() {
    for (strong, weak, path) in [
        (json!({"acr": "gold"}), json!({"acr": "silver"}), "/vault/x"),
        (json!({"amr": ["otp"]}), json!({"amr": ["pwd"]}), "/otp/x"),
    ] {
        let world = World::with(RULES).await;
        let mut browser = world.browser();
        let late = begin(&world, &mut browser, "/late", weak.clone()).await;
        world.wait(5);
        says(&world, strong);
        browser.sign_in(START).await.expect(302);
        opens(&world, &browser, path).await;
        says(&world, weak);
        let reply = browser.load(&late).await.expect(302);
        assert_eq!(reply.location(), format!("{ORIGIN}/late"));
        assert!(!reply.sets_session(), "{reply:?}");
        opens(&world, &browser, path).await;
    }
}

/// A session from before did not suffice, or its user would not sign in now: the new one takes its place,
/// however weak it is.
#[tokio::test]
async fn a_sign_in_that_began_after_takes_a_stronger_sessions_place() {
    let world = World::with(RULES).await;
    world.provider.issue_no_refresh_tokens();
    let mut browser = world.browser();
    says(&world, json!({"acr": "gold"}));
    browser.sign_in(START).await.expect(302);
    opens(&world, &browser, "/vault/x").await;
    world.wait(700);
    let silent = browser.load(START).await.expect(302);
    let issuer = &world.provider.issuer;
    let back = answered(silent.location(), "error=interaction_required", issuer);
    let plain = browser.load(&back).await.expect(302);
    world.provider.script().claims = Box::new(|claims| claims["acr"] = "silver".into());
    let back = world.provider.authorize(plain.location());
    let reply = browser.load(back.as_str()).await.expect(302);
    assert!(reply.sets_session(), "{reply:?}");
    let asked = Asked::fetch(HOST, "/vault/x").by(&browser);
    let reply = asked.ask(&world, "auth/traefik").await;
    assert_ne!(reply.status, 200, "{reply:?}");
}

/// The same where another tab has stepped up the session.
#[tokio::test]
async fn a_sign_in_that_began_before_takes_no_step_ups_place() {
    let world = World::with(RULES).await;
    let mut browser = world.browser();
    let late = begin(&world, &mut browser, "/late", json!({"acr": "silver"})).await;
    browser.sign_in(START).await.expect(302);
    let start = format!("{START}?rd=/vault/x&step_up=GET");
    let reply = step_up(&world, &mut browser, &start, json!({"acr": "gold"})).await;
    assert!(reply.expect(302).sets_session());
    says(&world, json!({"acr": "silver"}));
    let reply = browser.load(&late).await.expect(302);
    assert_eq!(reply.location(), format!("{ORIGIN}/late"));
    opens(&world, &browser, "/vault/x").await;
}

/// The same for a silent renewal of the session from before.
#[tokio::test]
async fn a_silent_renewal_that_began_before_takes_no_step_ups_place() {
    let world = World::with(RULES).await;
    world.provider.issue_no_refresh_tokens();
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    world.wait(700);
    let silent = browser.load(&format!("{START}?rd=/late")).await.expect(302);
    assert_eq!(query(silent.location())["prompt"], "none");
    let late = world.provider.authorize(silent.location());
    let start = format!("{START}?rd=/vault/x&step_up=GET");
    let reply = step_up(&world, &mut browser, &start, json!({"acr": "gold"})).await;
    assert!(reply.expect(302).sets_session());
    opens(&world, &browser, "/vault/x").await;
    says(&world, json!({"acr": "silver"}));
    let reply = browser.load(late.as_str()).await.expect(302);
    assert!(!reply.sets_session(), "{reply:?}");
    opens(&world, &browser, "/vault/x").await;
    // And the tab comes to its page.
    let reply = browser.load(reply.location()).await.expect(302);
    assert_eq!(reply.location(), format!("{ORIGIN}/late"));
    opens(&world, &browser, "/vault/x").await;
}

/// A provider that takes its time over the code makes no session that began meanwhile an earlier one.
#[tokio::test]
async fn a_slow_provider_has_no_sign_in_take_a_stronger_sessions_place() {
    let world = World::with(RULES).await;
    let mut browser = world.browser();
    let late = begin(&world, &mut browser, "/late", json!({"acr": "silver"})).await;
    says(&world, json!({"acr": "gold"}));
    browser.sign_in(START).await.expect(302);
    let at = now();
    world.provider.script().claims = Box::new(move |claims| {
        wait(20);
        claims["iat"] = at.into();
        claims["exp"] = (at + 300).into();
        claims["acr"] = "silver".into();
    });
    let reply = browser.load(&late).await.expect(302);
    assert!(!reply.sets_session(), "{reply:?}");
    opens(&world, &browser, "/vault/x").await;
}

/// What is no less takes the session's place, as ever.
#[tokio::test]
async fn a_sign_in_that_began_before_and_is_stronger_takes_the_place() {
    let world = World::with(RULES).await;
    let mut browser = world.browser();
    let late = begin(&world, &mut browser, "/late", json!({"acr": "gold"})).await;
    says(&world, json!({"acr": "silver"}));
    browser.sign_in(START).await.expect(302);
    says(&world, json!({"acr": "gold"}));
    let reply = browser.load(&late).await.expect(302);
    assert!(reply.sets_session(), "{reply:?}");
    opens(&world, &browser, "/vault/x").await;
}

/// Another user takes no session away without a question.
#[tokio::test]
async fn a_sign_in_of_another_user_that_began_before_changes_nothing() {
    let world = World::with(RULES).await;
    let mut browser = world.browser();
    let claims = bob(&world, "silver");
    let late = begin(&world, &mut browser, "/late", claims).await;
    let claims = alice(&world, "silver");
    says(&world, claims);
    browser.sign_in(START).await.expect(302);
    let claims = bob(&world, "silver");
    says(&world, claims);
    let reply = browser.load(&late).await;
    assert_eq!(reply.status, 403, "{reply:?}");
    assert!(
        reply.body.contains("signed in as someone else"),
        "{reply:?}"
    );
    assert!(!reply.sets_session(), "{reply:?}");
    assert_eq!(user_of(&world, &browser).await.as_deref(), Some("alice"));
}
