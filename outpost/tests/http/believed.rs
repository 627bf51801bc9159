//! `auth/*`: which questions are believed, and which words of them.

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use url::Url;

use crate::browser::session_value;
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

/// Row 61: what the outpost answers a proxy is for no script to read.
#[tokio::test]
async fn a_client_that_asks_in_a_proxys_place_is_refused() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    let asked = Asked::fetch("app.example.com", "/x").by(&browser);
    for dialect in DIALECTS {
        asked.ask(&world, dialect).await.expect(200);
        let own = if dialect == "auth/envoy" {
            "/akprox/auth/envoy/x".to_owned()
        } else {
            format!("/akprox/{dialect}")
        };
        // nginx says so of each request that it hands on, where a recipe of authentik's is in use.
        let url = format!("https://app.example.com{own}");
        for (name, value) in [("X-Original-URL", &*url), ("X-Original-URI", &own)] {
            let reply = asked.clone().with(name, value).ask(&world, dialect).await;
            let status = reply.status.as_u16();
            assert!((400..500).contains(&status), "{dialect} {name}: {status}");
            assert!(reply.header("cookie").is_none(), "{dialect} {name}");
        }
    }
    // Scripts cannot leave it out; Envoy does.
    let asked = asked.with("Accept-Encoding", "gzip");
    asked.ask(&world, "auth/envoy").await.expect(403);
    asked.ask(&world, "auth/traefik").await.expect(200);
}

/// nginx and Caddy take such a path for another, which they hand to the outpost as it was sent.
#[tokio::test]
async fn a_path_that_leads_out_of_the_endpoint_is_no_question_of_envoys() {
    for configuration in ["", "askedBy: [envoy]"] {
        let world = World::with(configuration).await;
        let browser = signed_in(&world, "app.example.com").await;
        for (target, status) in [
            ("/x", 200),
            ("/...", 200),
            ("/a.b/..c?d=/../e", 200),
            ("/..", 400),
            ("/public/../../../start", 400),
            ("/..%2f..%2Fstart", 400),
            ("/%2e%2E/x", 400),
            ("/a/.", 400),
            ("/a/..%5cb", 400),
        ] {
            let asked = Asked::fetch("app.example.com", target).by(&browser);
            let reply = asked.ask(&world, "auth/envoy").await;
            assert_eq!(reply.status.as_u16(), status, "{target}");
            assert_eq!(reply.header("x-auth-username").is_some(), status == 200);
        }
    }
}

#[tokio::test]
async fn the_proxies_that_ask_can_be_named() {
    for (named, expected) in [
        ("[envoy]", ["auth/envoy"].as_slice()),
        (
            "[traefik, caddy]",
            &["auth/traefik", "auth?traefik", "auth/caddy"],
        ),
        ("nginx", &["auth/nginx", "auth?nginx"]),
        ("[]", &[]),
    ] {
        let world = World::with(&format!("askedBy: {named}")).await;
        let browser = signed_in(&world, "app.example.com").await;
        let asked = Asked::fetch("app.example.com", "/x").by(&browser);
        // Where Envoy is named, it may send every header.
        let asked = asked.with("Accept-Encoding", "gzip");
        for dialect in DIALECTS {
            let status = if expected.contains(&dialect) {
                200
            } else {
                404
            };
            let reply = asked.ask(&world, dialect).await;
            assert_eq!(reply.status.as_u16(), status, "{named}: {dialect}");
            assert_eq!(reply.header("x-auth-username").is_some(), status == 200);
        }
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
            // Names that only look alike are ignored.
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

/// Row A2: nginx sends host and target in one header, and a header that contradicts it is a
/// client's.
#[tokio::test]
async fn one_header_of_nginx_counts_and_no_other_may_contradict_it() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    let line = browser.cookie_line(&Url::parse("https://app.example.com/").expect("a URL"));
    let full = [
        ("X-Original-URL", "https://app.example.com/x"),
        ("X-Original-Method", "GET"),
        ("Cookie", &*line),
    ];
    for (header, expected) in [
        (("X-Original-URI", "/x"), 200),
        (("X-Forwarded-Uri", "/x"), 200),
        (("X-Forwarded-Host", "app.example.com"), 200),
        (("X-Forwarded-Host", "APP.example.com:8443"), 200),
        (("X-Forwarded-Method", "GET"), 200),
        (("X-Forwarded-Proto", "http"), 200),
        (("Host", "app.example.com"), 200),
        (("Host", "auth.example.org"), 200),
        (("X-Original-URI", "/y"), 401),
        (("X-Original-URL", "https://app.example.com/x"), 401),
        (("X-Forwarded-Uri", "/y"), 401),
        (("X-Forwarded-Host", "app2.example.com"), 401),
        (("X-Forwarded-Host", "unknown.example"), 401),
        (
            ("X-Forwarded-Host", "app.example.com, app.example.com"),
            401,
        ),
        (("X-Forwarded-Method", "POST"), 401),
        (("Host", "app2.example.com"), 401),
        (("Host", "wiki.example.org"), 401),
    ] {
        for endpoint in ["auth/nginx", "auth?nginx"] {
            let headers = [full.as_slice(), &[header]].concat();
            let reply = world.ask(endpoint, &headers).await;
            assert_eq!(reply.status.as_u16(), expected, "{endpoint} {header:?}");
        }
    }
    // No other header replaces it.
    for header in [
        ("X-Original-URI", "/public/x"),
        ("X-Forwarded-Uri", "/public/x"),
    ] {
        for host in ["Host", "X-Forwarded-Host"] {
            for endpoint in ["auth/nginx", "auth?nginx"] {
                let headers = [header, (host, "app.example.com"), ("Cookie", &line)];
                world.ask(endpoint, &headers).await.expect(401);
            }
        }
    }
}

/// Row A2: authentik's current recipe does not send the method, so a client could send any.
#[tokio::test]
async fn without_a_method_in_the_recipe_no_method_rule_matches() {
    let world = World::new().await;
    for (prefix, expected) in [("/akprox", 200), ("/outpost.goauthentik.io", 401)] {
        let request = Request::get(format!("{prefix}/auth/nginx"))
            .header("Host", "outpost:9000")
            .header("X-Original-URL", "https://app.example.com/hook")
            .header("X-Original-Method", "GET");
        let request = request.body(Body::empty()).expect("a request");
        let reply = world.send_from("127.0.0.1:4000", request).await;
        assert_eq!(reply.status.as_u16(), expected, "{prefix}");
    }
}

/// Rows A1, A2: a proxy that routes by one application's host does not ask about another's.
#[tokio::test]
async fn a_question_about_another_application_than_its_host_is_refused() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    let line = browser.cookie_line(&Url::parse("https://app.example.com/").expect("a URL"));
    let about = |host| {
        [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "app.example.com"),
            ("X-Forwarded-Uri", "/x"),
            ("Cookie", &*line),
            ("Host", host),
        ]
    };
    for (endpoint, host, expected) in [
        ("auth/traefik", "outpost:9000", 200),
        ("auth/traefik", "app.example.com", 200),
        // The outpost's public address.
        ("auth/traefik", "auth.example.org", 200),
        ("auth/traefik", "outpost.example.org", 200),
        ("auth/traefik", "app2.example.com", 400),
        ("auth/caddy", "app.example.com", 200),
        ("auth/caddy", "app2.example.com", 400),
        ("auth/caddy", "wiki.example.org", 400),
    ] {
        let reply = world.ask(endpoint, &about(host)).await;
        assert_eq!(reply.status.as_u16(), expected, "{endpoint} {host}");
    }
}

/// Row A2: behind a load balancer that the proxy trusts, `X-Forwarded-Host` is the client's.
#[tokio::test]
async fn of_a_direct_request_the_host_leads() {
    let world = World::new().await;
    let ask = async |host: &str, forwarded: &str| {
        let request = Request::get("/akprox/start?rd=/x")
            .header("Host", host)
            .header("X-Forwarded-Host", forwarded)
            .header("Sec-Fetch-Mode", "navigate");
        let request = request.body(Body::empty()).expect("a request");
        world
            .send_from("127.0.0.1:4000", request)
            .await
            .status
            .as_u16()
    };
    for (host, forwarded, expected) in [
        ("app.example.com", "app.example.com", 302),
        ("app.example.com", "unknown.example", 302),
        ("outpost:9000", "app.example.com", 302),
        ("app.example.com", "app2.example.com", 400),
        ("app.example.com", "wiki.example.org", 400),
        ("app.example.com", "app.example.com, app2.example.com", 404),
        ("outpost:9000", "unknown.example", 404),
    ] {
        assert_eq!(ask(host, forwarded).await, expected, "{host} {forwarded}");
    }
}

/// Row A1: no form of the host of one application is another's.
#[tokio::test]
async fn a_host_in_a_domain_that_is_another_applications_is_not_the_domains() {
    let provider = crate::provider::Provider::start().await;
    let applications = "
applications:
  - {name: wide, mode: domain, externalUrl: 'https://auth.example.com', cookieDomain: example.com}
  - {name: board, externalUrl: 'https://board.example.com', require: {groups: [board]}}
";
    let yaml = crate::world::configuration(&provider, crate::world::KEY_A, applications);
    let world = World::configured(provider, &yaml);
    world.find_provider().await;
    let browser = signed_in(&world, "auth.example.com").await;
    let line = browser.cookie_line(&Url::parse("https://wiki.example.com/").expect("a URL"));
    for dialect in DIALECTS {
        let ask = async |host| {
            let asked = Asked::fetch(host, "/x").with("Cookie", &line);
            asked.ask(&world, dialect).await.status.as_u16()
        };
        for host in [
            "wiki.example.com",
            "wiki.example.com:1",
            "auth.example.com:1",
        ] {
            assert_eq!(ask(host).await, 200, "{dialect} {host}");
        }
        for host in [
            "board.example.com",
            "board.example.com:443",
            "board.example.com:1",
            "board.example.com:80",
            "BOARD.example.com:8443",
            "board.example.com.",
            "board.example.com.:1",
            "board.example.com:",
            "board.example.com:00443",
            "user@board.example.com",
        ] {
            let status = ask(host).await;
            assert!((400..500).contains(&status), "{dialect} {host}: {status}");
        }
    }
}

/// Row C: under another application's prefix lie ordinary paths.
#[tokio::test]
async fn a_prefix_of_one_application_shadows_nothing_at_another() {
    let provider = crate::provider::Provider::start().await;
    let applications = "
applications:
  - {name: app, externalUrl: 'https://app.example.com'}
  - {name: vault, externalUrl: 'https://vault.example.com', outpostPrefix: /vault}
";
    let yaml = crate::world::configuration(&provider, crate::world::KEY_A, applications);
    let world = World::configured(provider, &yaml);
    world.find_provider().await;
    let browser = signed_in(&world, "app.example.com").await;
    for dialect in DIALECTS {
        for target in [
            "/vault",
            "/vault/x",
            "/vault/start",
            "/vault/sign_out",
            "/vault/auth/nginx",
        ] {
            let asked = Asked::fetch("app.example.com", target);
            asked
                .clone()
                .by(&browser)
                .ask(&world, dialect)
                .await
                .expect(200);
            asked.ask(&world, dialect).await.expect(401);
        }
    }
    // Nor does the outpost answer there, for a proxy or a browser.
    for (target, host, expected) in [
        ("/vault/start", "app.example.com", 404),
        ("/vault/start", "vault.example.com", 302),
        ("/akprox/start", "vault.example.com", 302),
    ] {
        let request = Request::get(target).header("Host", host);
        let request = request.header("Sec-Fetch-Mode", "navigate");
        let request = request.body(Body::empty()).expect("a request");
        let reply = world.send_from("127.0.0.1:4000", request).await;
        assert_eq!(reply.status.as_u16(), expected, "{host} {target}");
    }
    for (host, expected) in [("app.example.com", 400), ("vault.example.com", 401)] {
        let headers = [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Uri", "/x"),
        ];
        let asked = world.ask_at("127.0.0.1:4000", "/vault/auth/traefik", &headers);
        let reply = asked.await;
        assert_eq!(reply.status.as_u16(), expected, "{host}");
    }
}

/// Row A1: on one host name, the prefix that the proxy asks at chooses the application.
#[tokio::test]
async fn the_prefix_at_which_the_proxy_asks_chooses_between_applications_on_one_host_name() {
    let provider = crate::provider::Provider::start().await;
    let applications = "
applications:
  - {name: one, externalUrl: 'https://x.example.com', outpostPrefix: /sso-one, cookieName: one}
  - {name: two, externalUrl: 'https://x.example.com:8443', outpostPrefix: /sso-two, cookieName: two}
";
    let yaml = crate::world::configuration(&provider, crate::world::KEY_A, applications);
    let world = World::configured(provider, &yaml);
    world.find_provider().await;
    let mut browser = world.browser();
    let start = "https://x.example.com/sso-one/start";
    browser.sign_in(start).await.expect(302);
    let line = browser.cookie_line(&Url::parse("https://x.example.com/").expect("a URL"));
    for (prefix, host, expected) in [
        ("/sso-one", "x.example.com", 200),
        ("/sso-two", "x.example.com", 401),
        ("/sso-two", "x.example.com:8443", 401),
        ("/sso-one", "x.example.com:8443", 404),
        ("/akprox", "x.example.com", 503),
    ] {
        let headers = [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Uri", "/x"),
            ("Cookie", &*line),
        ];
        let path = format!("{prefix}/auth/traefik");
        let reply = world.ask_at("127.0.0.1:4000", &path, &headers).await;
        assert_eq!(reply.status.as_u16(), expected, "{prefix} {host}");
    }
}

#[tokio::test]
async fn further_headers_of_a_client_change_nothing() {
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
    let token = session_value(&line);
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
    fn no_request_without_a_session_is_consent(
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

/// Returns a world that all cases share: the provider does not take part in its replies.
async fn shared_world() -> &'static World {
    static WORLD: tokio::sync::OnceCell<World> = tokio::sync::OnceCell::const_new();
    WORLD.get_or_init(|| World::without_provider("")).await
}
