//! How often one client may send requests, and to which endpoints.

use axum::body::Body;
use axum::http::Request;

use crate::browser::Reply;
use crate::world::World;

const PROXY: &str = "127.0.0.1:4000";

async fn world() -> World {
    World::with("rateLimit: {perSecond: 1, burst: 4}").await
}

async fn get(world: &World, peer: &str, target: &str, forwarded_for: &str) -> Reply {
    let mut request = Request::get(target).header("Host", "app.example.com");
    if !forwarded_for.is_empty() {
        request = request.header("X-Forwarded-For", forwarded_for);
    }
    let request = request.body(Body::empty()).expect("a request");
    world.send_from(peer, request).await
}

/// Sends requests until one is refused: the fifth or, on a slow machine, a few later.
async fn exhaust(world: &World, peer: &str, target: &str, forwarded_for: &str) -> Reply {
    for _ in 0..100 {
        let reply = get(world, peer, target, forwarded_for).await;
        if reply.status == 429 {
            return reply;
        }
    }
    panic!("{target} is not limited");
}

#[tokio::test]
async fn a_client_with_too_many_requests_learns_when_to_retry() {
    for target in [
        "/akprox/start?rd=/x",
        "/akprox/callback?code=x&state=y",
        "/akprox/sign_out",
        "/outpost.goauthentik.io/start",
        "/akprox/backchannel_logout",
    ] {
        let world = world().await;
        let reply = exhaust(&world, "192.0.2.1:5000", target, "").await;
        let seconds = reply.header("retry-after").map(str::parse::<u64>);
        assert!(matches!(seconds, Some(Ok(1..=2))), "{target}: {reply:#?}");
        assert!(reply.set_cookies().is_empty(), "{target}");
        assert!(reply.header("location").is_none(), "{target}");
        // Other clients are not affected, and neither is a proxy that asks about every request.
        let other = get(&world, "192.0.2.2:5000", "/akprox/start", "").await;
        other.expect(302);
        for open in ["/akprox/session", "/akprox/ping", "/akprox/auth/traefik"] {
            for _ in 0..20 {
                let reply = get(&world, "192.0.2.1:5000", open, "").await;
                assert_ne!(reply.status, 429, "{open}");
            }
        }
    }
}

#[tokio::test]
async fn behind_a_proxy_each_client_has_a_limit_of_its_own() {
    let world = world().await;
    let start = "/akprox/start";
    // An address that the client writes before the one that the proxy adds does not make it another
    // client.
    exhaust(&world, PROXY, start, "198.51.100.1").await;
    let made_up = "203.0.113.7, 198.51.100.1";
    get(&world, PROXY, start, made_up).await.expect(429);
    get(&world, PROXY, start, "198.51.100.2").await.expect(302);
    // An IPv6 network is one client.
    exhaust(&world, PROXY, start, "2001:db8::1").await;
    get(&world, PROXY, start, "2001:db8::2").await.expect(429);
    get(&world, PROXY, start, "2001:db8:0:1::1")
        .await
        .expect(302);
    // The header of a peer that is not a proxy is ignored.
    exhaust(&world, "192.0.2.1:5000", start, "").await;
    get(&world, "192.0.2.1:5000", start, "198.51.100.3")
        .await
        .expect(429);
    // A proxy that does not name its clients is not limited.
    for _ in 0..20 {
        get(&world, PROXY, start, "").await.expect(302);
    }
}

#[tokio::test]
async fn a_proxy_that_asks_about_every_request_is_limited_where_a_sign_in_begins() {
    let world = world().await;
    let ask = async |uri: &'static str| {
        let headers = [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "app.example.com"),
            ("X-Forwarded-Uri", uri),
            ("X-Forwarded-For", "198.51.100.1"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Accept", "text/html"),
        ];
        world.ask("auth/traefik", &headers).await.status.as_u16()
    };
    for _ in 0..20 {
        assert_eq!(ask("/").await, 302, "only led to `start`");
    }
    let mut statuses = Vec::new();
    for _ in 0..100 {
        statuses.push(ask("/akprox/start?rd=/").await);
    }
    assert!(
        statuses.contains(&302) && statuses.contains(&429),
        "{statuses:?}"
    );
    assert_eq!(ask("/").await, 302);
}
