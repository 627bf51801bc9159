//! Requests as proxies and health checks of authentik's set-ups write them.

use super::*;

#[tokio::test]
async fn the_mark_of_a_sign_out_is_known_in_capitals() {
    let world = world(json!({})).await;
    let mut alice = signed_in(&world, APP).await;
    let asked = Asked::load(APP, "/any?X-authentik-logout=TRUE").by(&alice);
    let reply = asked.ask(&world, "auth/traefik").await.expect(302);
    let ends_at = format!("{}/logout", world.provider.issuer);
    assert!(reply.location().starts_with(&ends_at), "{reply:?}");
    let session = format!("https://{APP}/outpost.goauthentik.io/session");
    alice.fetch(&session).await.expect(401);
}

/// authentik's outposts do not read the method. What is unknown is no method that a rule opens.
#[tokio::test]
async fn a_proxy_need_not_say_the_method() {
    let world = world(json!({})).await;
    let alice = signed_in(&world, APP).await;
    let url = format!("https://{APP}/x").parse().expect("a URL");
    let cookies = alice.cookie_line(&url);
    for (cookie, status) in [(&*cookies, 200), ("", 302)] {
        let headers = [
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", APP),
            ("X-Forwarded-Uri", "/x"),
            ("Accept", "text/html"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Cookie", cookie),
        ];
        let path = "/outpost.goauthentik.io/auth/traefik";
        let reply = world.ask_at("127.0.0.1:4000", path, &headers).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.body);
    }
}

#[tokio::test]
async fn a_health_check_may_end_with_a_slash() {
    let world = world(json!({})).await;
    for path in ["ping", "ping/"] {
        let url = format!("https://{APP}/outpost.goauthentik.io/{path}");
        world.browser().fetch(&url).await.expect(204);
    }
}
