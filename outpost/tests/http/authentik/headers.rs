//! What the application gets to know of the user.

use super::*;

#[tokio::test]
async fn a_path_that_needs_no_session_has_the_identity_of_a_signed_in_user() {
    let world = world(json!({})).await;
    let alice = signed_in(&world, APP).await;
    let reply = Asked::load(APP, SKIPPED).by(&alice);
    let reply = reply.ask(&world, "auth/traefik").await.expect(200);
    assert_eq!(reply.header("x-authentik-username"), Some("alice"));
    assert!(reply.header("x-authentik-jwt").is_some());
    let reply = Asked::load(APP, SKIPPED).ask(&world, "auth/traefik").await;
    let reply = reply.expect(200);
    for (name, value) in &reply.headers {
        let identity = name.as_str().starts_with("x-authentik-")
            && !name.as_str().starts_with("x-authentik-meta-");
        assert!(!identity || value.is_empty(), "{name}: {value:?}");
    }
}

#[tokio::test]
async fn a_path_that_needs_no_session_is_open_while_the_store_is_away() {
    let world = world(json!({})).await;
    let alice = signed_in(&world, APP).await;
    let away = &world.store.away;
    away.store(true, std::sync::atomic::Ordering::Relaxed);
    for asked in [
        Asked::load(APP, SKIPPED).by(&alice),
        Asked::load(APP, SKIPPED),
    ] {
        asked.ask(&world, "auth/traefik").await.expect(200);
    }
}
