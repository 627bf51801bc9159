//! Renewal by the browser, for sessions without a refresh token, and what else an authorization
//! request says.

use serde_json::json;

use crate::browser::{answered, query};
use crate::world::World;

const START: &str = "https://app.example.com/akprox/start";

/// Starts an outpost whose provider issues no refresh tokens.
async fn world() -> World {
    let world = World::new().await;
    world.provider.issue_no_refresh_tokens();
    world
}

#[tokio::test]
async fn a_silent_renewal_says_whose_session_it_is() {
    let world = world().await;
    let mut browser = world.browser();
    let first = browser.load(START).await.expect(302);
    assert!(!query(first.location()).contains_key("login_hint"));
    browser.sign_in(START).await.expect(302);
    world.wait(700);
    let silent = browser.load(START).await.expect(302);
    let sent = query(silent.location());
    assert_eq!(sent["prompt"], "none");
    assert_eq!(sent["login_hint"], "alice");
    assert_eq!(sent["id_token_hint"].split('.').count(), 3);
}

#[tokio::test]
async fn a_session_ends_only_where_the_provider_says_that_its_user_is_gone() {
    for (code, sessions) in [
        ("login_required", 0),
        ("interaction_required", 1),
        ("account_selection_required", 1),
        ("consent_required", 1),
    ] {
        let world = world().await;
        let mut browser = world.browser();
        browser.sign_in(START).await.expect(302);
        world.wait(700);
        let silent = browser.load(START).await.expect(302);
        let back = answered(
            silent.location(),
            &format!("error={code}"),
            &world.provider.issuer,
        );
        // In each case the user sees the provider's page next.
        let reply = browser.load(&back).await.expect(302);
        let location = reply.location();
        assert!(
            location.starts_with(&world.provider.issuer),
            "{code}: {location}"
        );
        assert!(
            !query(location).contains_key("prompt"),
            "{code}: {location}"
        );
        let kept = world.outpost.store.list(10).await.expect("listed");
        assert_eq!(kept.len(), sessions, "{code}");
        // Who signs in there has one session, and not two.
        let callback = world.provider.authorize(location);
        let reply = browser.load(callback.as_str()).await.expect(302);
        assert!(reply.sets_session(), "{code}");
        let kept = world.outpost.store.list(10).await.expect("listed");
        assert_eq!(kept.len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_link_sets_the_parameters_that_the_operator_lets_it() {
    let provider = crate::provider::Provider::start().await;
    let yaml = crate::world::configuration(&provider, crate::world::KEY_A, "").replace(
        "{name: main,",
        "{name: main, parametersFromLink: [login_hint], \
         authorizationParameters: {acr_values: gold},",
    );
    let world = World::configured(provider, &yaml);
    world.find_provider().await;
    let link = format!("{START}?rd=/x&login_hint=alice%40example.com&acr_values=low&nonce=n");
    let reply = world.browser().load(&link).await.expect(302);
    let sent = query(reply.location());
    assert_eq!(sent["login_hint"], "alice@example.com");
    assert_eq!(sent["acr_values"], "gold");
    assert_ne!(json!(sent["nonce"]), json!("n"));

    // nginx passes the target on unescaped: the text after the target's own `?` belongs to the
    // target.
    let link = format!("{START}?rd=/x?a=1&login_hint=alice%40example.com");
    let reply = world.browser().load(&link).await.expect(302);
    assert_eq!(query(reply.location()).get("login_hint"), None);
}

/// In this browser another user is signed in at the provider by now.
#[tokio::test]
async fn a_silent_renewal_begins_no_session_of_another_user() {
    let world = world().await;
    let mut browser = world.browser();
    browser.sign_in(START).await.expect(302);
    world.wait(700);
    let silent = browser.load(START).await.expect(302);
    assert_eq!(query(silent.location())["prompt"], "none");
    world.provider.script().claims = Box::new(|claims| claims["sub"] = json!("bob-id"));
    world.provider.script().userinfo = json!({"sub": "bob-id", "groups": ["staff"]});
    let callback = world.provider.authorize(silent.location());
    let reply = browser.load(callback.as_str()).await.expect(302);
    assert!(!reply.sets_session());
    // As where the provider says that no user is signed in: Alice's session is over.
    let location = reply.location();
    assert!(location.starts_with(&world.provider.issuer), "{location}");
    assert!(!query(location).contains_key("prompt"), "{location}");
    let kept = world.outpost.store.list(10).await.expect("listed");
    assert_eq!(kept.len(), 0);
}
