//! Links of other sites to `start`, where the session is bound and another user, or the same with less,
//! is signed in at the provider.

use super::*;

const RULES: &str = "
applications:
  - name: app
    externalUrl: 'https://app.example.com'
    rules: [{paths: ['/vault/*'], require: {acr: [gold]}}]
session: {deviceBound: prefer}
";

/// Has the provider sign this user in from now on, with this class.
fn says(world: &World, user: &'static str, class: &'static str) {
    let mut script = world.provider.script();
    script.userinfo = json!({"sub": user, "groups": ["staff"]});
    script.claims = Box::new(move |claims| {
        claims["sub"] = user.into();
        claims["acr"] = class.into();
    });
}

/// Nothing is lacking, so that the provider is not asked: neither who is signed in there, nor how.
#[tokio::test]
async fn a_link_is_no_reason_to_give_up_a_session_that_suffices() {
    let world = World::with(RULES).await;
    says(&world, "alice-id", "gold");
    let mut bound = Bound::sign_in(&world).await;
    says(&world, "bob-id", "silver");
    for link in [
        "rd=/vault/x&step_up=GET",
        "rd=/vault/x&authentication=all%3Dclaim%3Aacr%3Agold",
        "rd=/vault/x",
        "rd=/vault/x&again=true",
    ] {
        let reply = bound.browser.load(&format!("{START}?{link}")).await;
        let reply = reply.expect(302);
        assert_eq!(reply.location(), "https://app.example.com/vault/x");
        assert!(!reply.sets_session(), "{link}: {reply:?}");
    }
    let asked = Asked::fetch(HOST, "/vault/x").by(&bound.browser);
    asked.ask(&world, "auth/traefik").await.expect(200);
    assert_eq!(world.provider.script().exchanges, 1);
}

/// Where it has to be asked, only the session's user comes back.
#[tokio::test]
async fn no_other_user_takes_the_place_of_a_session_that_is_bound() {
    let world = World::with(RULES).await;
    says(&world, "alice-id", "gold");
    let mut bound = Bound::sign_in(&world).await;
    world.wait(14 * MINUTE + 45);
    says(&world, "bob-id", "gold");
    let reply = bound.browser.sign_in(START).await.expect(403);
    assert!(reply.body.contains("signed in as someone else"));
    assert!(!reply.sets_session());
    // The page's link has the provider ask, whoever is signed in there.
    let again = bound.browser.load(&format!("{START}?again=true")).await;
    assert!(again.expect(302).location().contains("prompt=login"));
    says(&world, "alice-id", "gold");
    bound.refresh().await.expect(200);
    // A callback that has lost its cookie does not begin as a plain sign-in either.
    world.wait(14 * MINUTE + 45);
    let callback = bound.browser.begin(START).await;
    bound.browser.drop_cookies(|name| !name.contains("flow"));
    let reply = bound.browser.load(callback.as_str()).await;
    assert!(!leads_to_provider(&world, &reply), "{reply:?}");
    let reply = bound.browser.sign_in(START).await.expect(302);
    assert!(reply.sets_session());
}
