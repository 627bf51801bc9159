//! Signing out.

use std::sync::atomic::Ordering;

use super::*;

const OTHER: &str = "other.example.com";

/// Starts an outpost with an application at [`APP`] and one at [`OTHER`], and returns it with the
/// provider of the other one.
async fn world_of_two() -> (World, Provider) {
    let (provider, second) = (Provider::start().await, Provider::start().await);
    for provider in [&provider, &second] {
        provider.script().secret_in_form = true;
    }
    let other = json!({
        "pk": 8,
        "name": "other-provider",
        "external_host": format!("https://{OTHER}"),
        "assigned_application_slug": "other",
        "cookie_secret": "543210ZYXWVUTSRQPONMLKJIHGFEDCBA",
    });
    let applications = vec![
        application(&provider, json!({})),
        application(&second, other),
    ];
    (world_of(provider, applications, &[]).await, second)
}

/// Each of authentik's providers is an issuer of its own, and names a user by the same subject.
#[tokio::test]
async fn signing_out_at_one_application_ends_the_users_sessions_at_all() {
    let (world, second) = world_of_two().await;
    let at_other = async |subject: &'static str| {
        second.script().claims = Box::new(move |claims| claims["sub"] = json!(subject));
        second.script().userinfo = json!({"sub": subject, "groups": []});
        let mut browser = world.browser();
        let start = format!("https://{OTHER}/akprox/start");
        let reply = browser.load(&start).await.expect(302);
        let callback = second.authorize(reply.location());
        browser.load(callback.as_str()).await.expect(302);
        let session = format!("https://{OTHER}/akprox/session");
        browser.fetch(&session).await.expect(200);
        browser
    };
    let session = format!("https://{OTHER}/akprox/session");
    let (mut alice, mut bob) = (at_other("alice-id").await, at_other("bob-id").await);
    let mut elsewhere = signed_in(&world, APP).await;
    let out = format!("https://{APP}/akprox/sign_out");
    let reply = elsewhere.load(&out).await.expect(302);
    let ends_at = format!("{}/logout", world.provider.issuer);
    assert!(reply.location().starts_with(&ends_at), "{reply:?}");
    alice.fetch(&session).await.expect(401);
    bob.fetch(&session).await.expect(200);
}

/// The store fails while sessions at several applications are to end.
#[tokio::test]
async fn a_sign_out_that_the_store_hinders_ends_the_users_sessions_at_all_later() {
    for is_away in [false, true] {
        let (world, second) = world_of_two().await;
        let mut at_other = world.browser();
        let start = format!("https://{OTHER}/akprox/start");
        let reply = at_other.load(&start).await.expect(302);
        let callback = second.authorize(reply.location());
        at_other.load(callback.as_str()).await.expect(302);
        let mut own = signed_in(&world, APP).await;
        let failing = if is_away {
            &world.store.away
        } else {
            &world.store.keeps_all
        };
        failing.store(true, Ordering::Relaxed);
        let out = format!("https://{APP}/akprox/sign_out");
        own.load(&out).await.expect(503);
        failing.store(false, Ordering::Relaxed);
        // This replica does not wait for the store in order to refuse them.
        for (browser, host) in [(&mut own, APP), (&mut at_other, OTHER)] {
            let session = format!("https://{host}/akprox/session");
            browser.fetch(&session).await.expect(401);
        }
        world.outpost.start();
        let case = format!("away: {is_away}");
        world.until_no_session_is_left(&case).await;
    }
}
