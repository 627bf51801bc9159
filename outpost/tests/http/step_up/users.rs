//! Who has authenticated: the user of the session, another, or one who is not admitted any more.

use super::*;

const SIGN_OUT: &str = "akprox&#x2f;sign_out";

/// Has the provider sign Bob in from now on, with this class.
pub(super) fn bob(world: &World, acr: &str) -> Value {
    world.provider.script().userinfo = json!({"sub": "bob-id", "groups": ["staff"]});
    json!({"sub": "bob-id", "preferred_username": "bob", "acr": acr})
}

/// Has the provider sign Alice in again.
pub(super) fn alice(world: &World, acr: &str) -> Value {
    world.provider.script().userinfo = json!({"sub": "alice-id", "groups": ["staff"]});
    json!({"sub": "alice-id", "preferred_username": "alice", "acr": acr})
}

pub(super) async fn user_of(world: &World, browser: &Browser<'_>) -> Option<String> {
    let asked = Asked::fetch(HOST, "/x").by(browser);
    let reply = asked.ask(world, "auth/traefik").await;
    reply.header("x-auth-username").map(str::to_owned)
}

#[track_caller]
fn is_for_another(reply: &Reply, case: &str) {
    assert_eq!(reply.status, 403, "{case}: {reply:?}");
    assert!(reply.body.contains("signed in as someone else"), "{case}");
    assert!(reply.body.contains("again=true"), "{case}: {}", reply.body);
    assert!(reply.body.contains(SIGN_OUT), "{case}: {}", reply.body);
    assert!(!reply.sets_session(), "{case}: {reply:?}");
    let touched = reply.set_cookies();
    let touched = touched
        .iter()
        .any(|line| line.starts_with("__Host-gatepost="));
    assert!(!touched, "{case}: {reply:?}");
}

/// Any site can make a link that has a browser step up, and another user may be signed in at the
/// provider: by an attacker, too.
#[tokio::test]
async fn another_user_changes_nothing() {
    let world = World::with(RULES).await;
    for link in [
        "rd=/vault/x",
        "rd=/x&authentication=all%3Dclaim%3Aacr%3Agold",
    ] {
        let start = format!("{START}?{link}");
        for acr in ["silver", "gold"] {
            let first = alice(&world, "silver");
            let mut browser = signed_in(&world, first).await;
            let claims = bob(&world, acr);
            let start = match link.contains("authentication") {
                true => links::vouched(&browser, &start).await,
                false => start.clone(),
            };
            let reply = step_up(&world, &mut browser, &start, claims).await;
            is_for_another(&reply, link);
            let user = user_of(&world, &browser).await;
            assert_eq!(user.as_deref(), Some("alice"), "{link} {acr}");
        }
    }
}

/// Alice begins a step-up, Bob signs in in another tab, and Alice comes back from the provider.
#[tokio::test]
async fn the_session_of_another_who_has_signed_in_meanwhile_stays() {
    let world = World::with(RULES).await;
    let first = alice(&world, "silver");
    let mut browser = signed_in(&world, first).await;
    let callback = browser.begin(&format!("{START}?rd=/vault/x")).await;
    browser.drop_cookies(|name| name.contains("flow"));
    let claims = bob(&world, "silver");
    says(&world, claims);
    browser.sign_in(START).await.expect(302);
    assert_eq!(user_of(&world, &browser).await.as_deref(), Some("bob"));
    let claims = alice(&world, "gold");
    says(&world, claims);
    is_for_another(&browser.load(callback.as_str()).await, "Bob's");
    assert_eq!(user_of(&world, &browser).await.as_deref(), Some("bob"));
}

/// The same user may go on where the session is over by now: it is a sign-in like any other.
#[tokio::test]
async fn the_same_user_begins_a_session_where_the_one_before_is_over() {
    let world = World::with(RULES).await;
    let first = alice(&world, "silver");
    let mut browser = signed_in(&world, first).await;
    let callback = browser.begin(&format!("{START}?rd=/vault/x")).await;
    browser.drop_cookies(|name| name.contains("flow"));
    let claims = alice(&world, "gold");
    says(&world, claims);
    let reply = browser.load(callback.as_str()).await.expect(302);
    assert!(reply.sets_session());
    assert_eq!(user_of(&world, &browser).await.as_deref(), Some("alice"));
}

/// Alice begins a step-up and signs out in another tab. She is still signed in at the provider, so that
/// no page would show that a session begins.
#[tokio::test]
async fn a_session_that_was_ended_during_a_step_up_does_not_begin_again() {
    let world = World::with(RULES).await;
    for keeps_cookie in [true, false] {
        let first = alice(&world, "silver");
        let mut browser = signed_in(&world, first).await;
        let session = browser.clone();
        let callback = browser.begin(&format!("{START}?rd=/vault/x")).await;
        browser.load(&format!("{ORIGIN}/akprox/sign_out")).await;
        if keeps_cookie {
            browser.copy_cookies(&session, |_| true);
        }
        let claims = alice(&world, "gold");
        says(&world, claims);
        let reply = browser.load(callback.as_str()).await;
        assert!(!reply.sets_session(), "{reply:?}");
        assert!(reply.body.contains("This sign-in has ended"), "{reply:?}");
        assert_eq!(user_of(&world, &browser).await, None);
    }
}

/// What the provider says now may refuse the user by the rule for the request: no success, so that the
/// session before goes on.
#[tokio::test]
async fn a_user_who_is_refused_by_now_keeps_the_session_before() {
    let world = World::with(RULES).await;
    let first = alice(&world, "silver");
    let mut browser = signed_in(&world, first).await;
    let mut claims = alice(&world, "gold");
    claims["groups"] = json!(["guests"]);
    let start = format!("{START}?rd=/vault/x");
    let reply = step_up(&world, &mut browser, &start, claims)
        .await
        .expect(403);
    assert!(reply.body.contains("not admitted"), "{}", reply.body);
    assert!(
        reply
            .set_cookies()
            .iter()
            .all(|line| !line.starts_with("__Host-gatepost="))
    );
    assert_eq!(user_of(&world, &browser).await.as_deref(), Some("alice"));
}

/// Where no rule admits the user any more, the session ends, as at a renewal.
#[tokio::test]
async fn the_session_of_a_user_whom_no_rule_admits_any_more_ends() {
    let world = World::with(
        "applications:
  - {name: app, externalUrl: 'https://app.example.com',
     rules: [{paths: ['/vault/*'], require: {groups: [staff], acr: [gold]}}],
     require: {groups: [staff]}}",
    )
    .await;
    let first = alice(&world, "silver");
    let mut browser = signed_in(&world, first).await;
    let before = browser.clone();
    let mut claims = alice(&world, "gold");
    claims["groups"] = json!(["guests"]);
    let start = format!("{START}?rd=/vault/x");
    let reply = step_up(&world, &mut browser, &start, claims)
        .await
        .expect(403);
    assert!(!reply.sets_session());
    let asked = Asked::fetch(HOST, "/x").by(&before);
    asked.ask(&world, "auth/traefik").await.expect(401);
}

/// An authentication would not help.
#[tokio::test]
async fn a_user_who_is_not_admitted_is_refused_and_not_sent_to_the_provider() {
    let world = World::with(RULES).await;
    let mut browser = signed_in(&world, json!({"acr": "silver"})).await;
    let asked = Asked::load(HOST, "/root/x").by(&browser);
    asked.ask(&world, "auth/traefik").await.expect(403);
    // By a proxy whose own rules say less, and by one that has older rules.
    for more in ["&step_up=GET", "&authentication=all%3Dclaim%3Aacr%3Agold"] {
        let start = format!("{START}?rd=/root/x{more}");
        let reply = browser.load(&start).await.expect(403);
        assert!(reply.body.contains("not admitted"), "{}", reply.body);
    }
}
