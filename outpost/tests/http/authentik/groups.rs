//! Users with many groups.

use super::*;

/// The most bytes that a browser keeps of a cookie.
const COOKIE_BYTES: usize = 4096;

#[tokio::test]
async fn three_hundred_groups_stay_in_the_store_and_the_application_learns_of_each() {
    let world = world(json!({})).await;
    let groups: Vec<String> = (0..300).map(|n| format!("department-{n:0>24}")).collect();
    let known = groups.clone();
    world.provider.script().claims = Box::new(move |claims| claims["groups"] = json!(known));
    world.provider.script().userinfo = json!({"sub": "alice-id", "groups": groups});
    let alice = signed_in(&world, APP).await;
    let url = format!("https://{APP}/x").parse().expect("a URL");
    let cookies = alice.cookie_line(&url);
    assert!(cookies.len() < COOKIE_BYTES, "{}", cookies.len());
    for dialect in ["auth/traefik", "auth?nginx"] {
        let asked = Asked::fetch(APP, "/x").by(&alice);
        let reply = asked.ask(&world, dialect).await.expect(200);
        let told = reply.header("x-authentik-groups").expect("groups");
        assert_eq!(told, groups.join("|"), "{dialect}");
    }
    // While the store is away, the session goes on, with the groups that the cookie has.
    let away = &world.store.away;
    away.store(true, std::sync::atomic::Ordering::Relaxed);
    let asked = Asked::fetch(APP, "/x").by(&alice);
    let reply = asked.ask(&world, "auth/traefik").await.expect(200);
    assert_eq!(reply.header("x-authentik-username"), Some("alice"));
}

/// For recipes that take `Cookie` over from the answer.
#[tokio::test]
async fn the_answer_has_the_cookies_without_the_outposts() {
    let world = world(json!({})).await;
    let alice = signed_in(&world, APP).await;
    let url = format!("https://{APP}/x").parse().expect("a URL");
    let cookies = format!("theme=dark; {}; lang=en", alice.cookie_line(&url));
    let asked = Asked::fetch(APP, "/x").with("Cookie", &cookies);
    let reply = asked.ask(&world, "auth/traefik").await.expect(200);
    assert_eq!(reply.header("cookie"), Some("theme=dark; lang=en"));
}
