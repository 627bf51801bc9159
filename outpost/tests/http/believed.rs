//! `auth/*`: which questions are believed, and which words of them.

use proptest::prelude::*;
use url::Url;

use crate::forward_auth::{Asked, DIALECTS, signed_in};
use crate::world::World;

#[tokio::test]
async fn only_trusted_proxies_are_believed() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    for dialect in DIALECTS {
        for target in ["/x", "/public/x", "/akprox/start?rd=/x"] {
            let asked = Asked::load("app.example.com", target).by(&browser);
            let reply = asked
                .ask_from(&world, dialect, "192.0.2.9:4000")
                .await
                .expect(401);
            assert!(reply.header("location").is_none(), "{dialect} {target}");
            assert!(
                reply.header("x-auth-username").is_none(),
                "{dialect} {target}"
            );
        }
        // The same host, as a socket that listens on both families shows it.
        let asked = Asked::load("app.example.com", "/x").by(&browser);
        asked
            .ask_from(&world, dialect, "[::ffff:127.0.0.1]:4000")
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_say_what_it_asks_about_gets_no_consent() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    let line = browser.cookie_line(&Url::parse("https://app.example.com/").expect("a URL"));
    let full = [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "app.example.com"),
        ("X-Forwarded-Uri", "/x"),
    ];
    for endpoint in ["auth/traefik", "auth/caddy"] {
        for missing in 0..full.len() {
            let mut headers = full.to_vec();
            let (name, _) = headers.remove(missing);
            headers.push(("Cookie", &line));
            // Names that only look alike are nobody's.
            headers.push(("X_Forwarded_Uri", "/public/x"));
            headers.push(("X-Original-URL", "https://app.example.com/public/x"));
            let reply = world.ask(endpoint, &headers).await;
            assert_eq!(reply.status.as_u16(), 400, "{endpoint} without {name}");
        }
        for (name, value) in [
            ("X-Forwarded-Host", "app.example.com, evil.example"),
            ("X-Forwarded-Host", "app.example.com."),
            ("X-Forwarded-Host", "user@app.example.com"),
            ("X-Forwarded-Uri", "https://app.example.com/x"),
            ("X-Forwarded-Uri", "x"),
            ("X-Forwarded-Uri", "*"),
            ("X-Forwarded-Proto", "gopher"),
            ("X-Forwarded-Method", "G T"),
        ] {
            let mut headers: Vec<(&str, &str)> = full
                .iter()
                .copied()
                .filter(|(own, _)| *own != name)
                .collect();
            headers.extend([(name, value), ("Cookie", &line)]);
            let reply = world.ask(endpoint, &headers).await;
            assert_eq!(reply.status.as_u16(), 400, "{endpoint} {name}: {value}");
        }
        let twice = [full.as_slice(), &[full[3], ("Cookie", &line)]].concat();
        world.ask(endpoint, &twice).await.expect(400);
    }
    for url in [
        "",
        "/public/x",
        "//app.example.com/public/x",
        "https://app.example.com",
        "https://app.example.com@evil/public/x",
        "https://user@app.example.com/public/x",
        "http:///public/x",
        "ftp://app.example.com/public/x",
        "https://app.example.com?/public/x",
        "https://app.example.com/a b",
    ] {
        let headers = [
            ("X-Original-URL", url),
            ("X-Forwarded-Uri", "/public/x"),
            ("X-Forwarded-Host", "app.example.com"),
            ("Cookie", &*line),
        ];
        let reply = world.ask("auth/nginx", &headers).await;
        assert_eq!(reply.status.as_u16(), 401, "{url:?}");
    }
}

#[tokio::test]
async fn nginx_may_name_host_and_target_apart() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    let line = browser.cookie_line(&Url::parse("https://app.example.com/").expect("a URL"));
    let mut headers = vec![
        ("X-Original-URI", "/x"),
        ("Host", "app.example.com"),
        ("Cookie", &line),
    ];
    world.ask("auth/nginx", &headers).await.expect(200);
    headers[1] = ("X-Forwarded-Host", "app.example.com");
    world.ask("auth/nginx", &headers).await.expect(200);
    headers[1] = ("X-Forwarded-Host", "app2.example.com");
    world.ask("auth/nginx", &headers).await.expect(401);
    // Of both, the whole URL counts.
    headers.push(("X-Original-URL", "https://app.example.com/x"));
    world.ask("auth/nginx", &headers).await.expect(200);
}

#[tokio::test]
async fn what_a_client_says_beside_its_request_changes_nothing() {
    let world = World::new().await;
    for dialect in DIALECTS {
        let asked = Asked::fetch("app.example.com", "/x");
        for (name, value) in [
            ("X-Auth-Username", "admin"),
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Real-Ip", "127.0.0.1"),
            ("User-Agent", "kube-probe/1.30"),
            ("X-HTTP-Method-Override", "GET"),
            ("X-Forwarded-Prefix", "https://evil.example"),
            ("Authorization", "Bearer x"),
            ("X-Gatepost-Verdict", "allow"),
        ] {
            let reply = asked
                .clone()
                .with(name, value)
                .ask(&world, dialect)
                .await
                .expect(401);
            assert!(!reply.body.contains("evil"), "{dialect} {name}");
            assert!(
                reply.headers.get("x-auth-username").is_none(),
                "{dialect} {name}"
            );
        }
    }
    let narrowed = world
        .ask(
            "auth/traefik?allowed_groups=staff",
            &[
                ("X-Forwarded-Method", "GET"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "root.example.com"),
                ("X-Forwarded-Uri", "/x"),
            ],
        )
        .await;
    narrowed.expect(401);
}

#[tokio::test]
async fn malformed_cookies_are_never_consent() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    let line = browser.cookie_line(&Url::parse("https://app.example.com/").expect("a URL"));
    let token = line
        .split("; ")
        .find_map(|pair| pair.strip_prefix("__Host-gatepost="))
        .expect("a session")
        .to_owned();
    let cut = &token[..token.len() - 1];
    for cookie in [
        "__Host-gatepost".to_owned(),
        "__Host-gatepost=".to_owned(),
        "__Host-gatepost=%%%".to_owned(),
        "__Host-gatepost=\"".to_owned(),
        "__Host-gatepost=..".to_owned(),
        format!("__Host-gatepost={cut}"),
        format!("__Host-gatepost={token}A"),
        format!("__Host-gatepost=\"{token}\""),
        format!("gatepost={token}"),
        format!("__host-gatepost={token}"),
        format!("={token}"),
        format!("__Host-gatepost.1={token}"),
        format!("__Host-gatepost.00={token}"),
        format!("__Secure-gatepost={token}"),
        format!("__Secure-gatepost-flow-x={token}"),
        "a=b; ".repeat(5_000),
        format!("__Host-gatepost={}", "x".repeat(100_000)),
    ] {
        for dialect in DIALECTS {
            let asked = Asked::fetch("app.example.com", "/x").with("Cookie", &cookie);
            let reply = asked.ask(&world, dialect).await;
            assert_eq!(reply.status.as_u16(), 401, "{dialect} {:.60}", cookie);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_request_of_nobody_is_consent(
        cookie in "(__Host-gatepost(\\.[0-9])?=)?[ -~]{0,40}",
        target in "/[!-~]{0,30}",
        dialect in 0..DIALECTS.len(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
        runtime.block_on(async {
            let world = shared_world().await;
            let asked = Asked::load("app2.example.com", &target).with("Cookie", &cookie);
            let Ok(_) = axum::http::HeaderValue::try_from(cookie.as_str()) else { return };
            if format!("/akprox/auth/envoy{target}").parse::<axum::http::Uri>().is_err() { return }
            let reply = asked.ask(world, DIALECTS[dialect]).await;
            assert!(!reply.status.is_success(), "{} {target} {cookie}", DIALECTS[dialect]);
        });
    }
}

/// A world that outlives one case: only answers that need no provider are asked of it.
async fn shared_world() -> &'static World {
    static WORLD: tokio::sync::OnceCell<World> = tokio::sync::OnceCell::const_new();
    WORLD.get_or_init(|| World::without_provider("")).await
}
