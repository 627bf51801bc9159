//! `auth/*`: the decision about a request, and the response to each proxy.

mod demands;

use axum::body::Body;
use axum::http::Request;
use url::Url;

use crate::browser::{Browser, Reply};
use crate::world::World;

pub(crate) const DIALECTS: [&str; 6] = [
    "auth/traefik",
    "auth?traefik",
    "auth/caddy",
    "auth/nginx",
    "auth?nginx",
    "auth/envoy",
];

/// A browser's request, and how each proxy asks about it.
#[derive(Clone)]
pub(crate) struct Asked<'a> {
    method: &'a str,
    host: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, String)>,
}

impl<'a> Asked<'a> {
    pub(crate) fn load(host: &'a str, target: &'a str) -> Self {
        let headers = vec![
            ("Sec-Fetch-Mode", "navigate".into()),
            ("Accept", "text/html".into()),
        ];
        Self {
            method: "GET",
            host,
            target,
            headers,
        }
    }

    /// A form that a user has sent.
    pub(crate) fn form(host: &'a str, target: &'a str) -> Self {
        Self {
            method: "POST",
            ..Self::load(host, target)
        }
    }

    pub(crate) fn fetch(host: &'a str, target: &'a str) -> Self {
        Self {
            method: "GET",
            host,
            target,
            headers: vec![("Sec-Fetch-Mode", "cors".into())],
        }
    }

    /// A request of a program, with the headers that `with` adds and no others.
    pub(crate) fn program(host: &'a str, target: &'a str) -> Self {
        Self {
            method: "GET",
            host,
            target,
            headers: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn by(self, browser: &Browser<'_>) -> Self {
        let url = Url::parse(&format!("https://{}{}", self.host, self.target)).expect("a URL");
        let line = browser.cookie_line(&url);
        if line.is_empty() {
            self
        } else {
            self.with("Cookie", &line)
        }
    }

    pub(crate) async fn ask(&self, world: &World, dialect: &str) -> Reply {
        self.ask_from(world, dialect, "127.0.0.1:4000").await
    }

    pub(crate) async fn ask_from(&self, world: &World, dialect: &str, peer: &str) -> Reply {
        let mut request = Request::builder();
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request = if dialect == "auth/envoy" {
            let uri = format!("/akprox/auth/envoy{}", self.target);
            request
                .method(self.method)
                .uri(uri)
                .header("Host", self.host)
        } else {
            request = request
                .uri(format!("/akprox/{dialect}"))
                .header("Host", "outpost:9000");
            if dialect.ends_with("nginx") {
                request
                    .header(
                        "X-Original-URL",
                        format!("https://{}{}", self.host, self.target),
                    )
                    .header("X-Original-Method", self.method)
            } else {
                request
                    .header("X-Forwarded-Method", self.method)
                    .header("X-Forwarded-Proto", "https")
                    .header("X-Forwarded-Host", self.host)
                    .header("X-Forwarded-Uri", self.target)
            }
        };
        world
            .send_from(peer, request.body(Body::empty()).expect("a request"))
            .await
    }
}

/// Row A7: in every dialect, for every client and on every path.
#[tokio::test]
async fn nothing_becomes_a_tunnel_or_another_protocol() {
    const HOST: &str = "app.example.com";
    let world = World::new().await;
    let alice = signed_in(&world, HOST).await;
    for dialect in DIALECTS {
        for asked in [
            Asked::fetch(HOST, "/public/x"),
            Asked::fetch(HOST, "/public/x").by(&alice),
        ] {
            asked.ask(&world, dialect).await.expect(200);
            let connect = Asked {
                method: "CONNECT",
                ..asked.clone()
            };
            let status = connect.ask(&world, dialect).await.status.as_u16();
            assert_eq!(status, 405, "{dialect}");
            for (upgrade, expected) in [
                ("websocket", 200),
                ("WebSocket", 200),
                ("h2c", 403),
                ("websocket, h2c", 403),
                ("TLS/1.0", 403),
            ] {
                let asked = asked.clone().with("Upgrade", upgrade);
                // The headers of a WebSocket make no difference.
                for asked in [asked.clone(), asked.with("Sec-WebSocket-Key", "x")] {
                    let status = asked.ask(&world, dialect).await.status.as_u16();
                    assert_eq!(status, expected, "{dialect}: {upgrade}");
                }
            }
        }
    }
}

/// Row A3: a WebSocket for which Traefik says `https` is recognised by its key, and gets a status
/// and no redirect.
#[tokio::test]
async fn a_websocket_is_known_whatever_scheme_its_proxy_says() {
    let world = World::new().await;
    for dialect in DIALECTS {
        let page = Asked::load("app.example.com", "/x");
        let socket = page
            .clone()
            .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        socket.ask(&world, dialect).await.expect(401);
    }
}

pub(crate) async fn signed_in<'w>(world: &'w World, host: &str) -> Browser<'w> {
    let mut browser = world.browser();
    let reply = browser
        .sign_in(&format!("https://{host}/akprox/start"))
        .await
        .expect(302);
    assert!(reply.sets_session(), "{host}");
    browser
}

#[tokio::test]
async fn an_admitted_user_passes_with_their_identity() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    for dialect in DIALECTS {
        for asked in [
            Asked::load("app.example.com", "/x"),
            Asked::fetch("app.example.com", "/x"),
        ] {
            let reply = asked.by(&browser).ask(&world, dialect).await.expect(200);
            for (name, value) in [
                ("X-Auth-Username", "alice"),
                ("X-Auth-Groups", "staff|admins"),
                ("X-Forwarded-Email", "alice@example.com"),
                ("X-Forwarded-User", "alice-id"),
            ] {
                assert_eq!(reply.header(name), Some(value), "{dialect} {name}");
            }
            assert!(reply.set_cookies().is_empty(), "{dialect}");
        }
    }
}

#[tokio::test]
async fn the_upstream_can_be_given_the_cookies_but_the_session() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    let line = browser.cookie_line(&Url::parse("https://app.example.com/").expect("a URL"));
    for dialect in DIALECTS {
        let asked = Asked::fetch("app.example.com", "/x")
            .with("Cookie", &format!("a=1;{line};  b=\"2\""))
            .with("Cookie", "c=3");
        let reply = asked.ask(&world, dialect).await.expect(200);
        assert_eq!(
            reply.header("cookie"),
            Some("a=1;  b=\"2\"; c=3"),
            "{dialect}"
        );
        let reply = Asked::fetch("app.example.com", "/x")
            .by(&browser)
            .ask(&world, dialect)
            .await;
        let blank = matches!(dialect, "auth/caddy" | "auth/envoy").then_some("");
        assert_eq!(
            reply.expect(200).header("cookie"),
            blank,
            "{dialect}: nothing is left"
        );
    }
}

#[tokio::test]
async fn a_user_without_a_session_is_refused_in_the_proxys_way() {
    let world = World::new().await;
    let start = "https://app.example.com/akprox/start?rd=%2Fa%3Fb%3D1";
    for dialect in DIALECTS {
        let page = Asked::load("app.example.com", "/a?b=1")
            .ask(&world, dialect)
            .await;
        if dialect.ends_with("nginx") {
            page.clone().expect(401);
        } else {
            assert_eq!(page.clone().expect(302).location(), start, "{dialect}");
        }
        let data = Asked::fetch("app.example.com", "/a?b=1")
            .ask(&world, dialect)
            .await
            .expect(401);
        let body = data.json();
        assert_eq!(
            (&body["error"], &body["signIn"]),
            (&"unauthenticated".into(), &start.into())
        );
        assert_eq!(
            data.header("www-authenticate"),
            Some("Gatepost realm=\"app\""),
            "{dialect}"
        );
        for reply in [page, data] {
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{dialect}");
            assert!(reply.header("x-auth-username").is_none(), "{dialect}");
        }
    }
}

#[tokio::test]
async fn the_rule_decides_about_those_who_are_signed_in() {
    let world = World::new().await;
    let host = "admin.example.com";
    // A user whom the application's own rule refuses has no session (`admission.rs`), so here it is
    // the proxy's rule that refuses.
    for (rule, status) in [("any=group:admins", 200), ("any=group:root", 403)] {
        let browser = signed_in(&world, host).await;
        for dialect in DIALECTS {
            let page = Asked::load(host, "/")
                .by(&browser)
                .with("X-Gatepost-Require", rule)
                .ask(&world, dialect)
                .await;
            let data = Asked::fetch(host, "/")
                .by(&browser)
                .with("X-Gatepost-Require", rule)
                .ask(&world, dialect)
                .await;
            for reply in [&page, &data] {
                assert_eq!(reply.status.as_u16(), status, "{dialect} {rule}");
            }
            if status == 403 {
                assert!(
                    page.body.contains("alice") && page.body.contains("sign_out"),
                    "{dialect}"
                );
                assert!(data.body.contains("\"denied\""), "{dialect}: {}", data.body);
                assert!(page.header("x-auth-username").is_none(), "{dialect}");
            }
        }
    }
}

#[tokio::test]
async fn public_paths_pass_without_an_identity_that_a_client_could_make_up() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    for dialect in DIALECTS {
        let ask = |target, method| Asked {
            method,
            ..Asked::fetch("app.example.com", target)
        };
        let reply = ask("/public/x?y", "GET")
            .with("X-Auth-Username", "evil")
            .ask(&world, dialect)
            .await
            .expect(200);
        let blank = matches!(dialect, "auth/caddy" | "auth/envoy").then_some("");
        assert_eq!(reply.header("x-auth-username"), blank, "{dialect}");
        let known = ask("/public/x", "GET")
            .by(&browser)
            .ask(&world, dialect)
            .await
            .expect(200);
        assert_eq!(known.header("x-auth-username"), Some("alice"), "{dialect}");
        for (target, method, of_envoy) in [
            ("/hook", "POST", 401),
            ("/publicx", "GET", 401),
            // Envoy normalises paths, so no such question comes from it.
            ("/public/../admin", "GET", 400),
            ("/public/%2e%2e/admin", "GET", 400),
            ("/public/..%2fadmin", "GET", 400),
            ("/public/..;/admin", "GET", 401),
            ("/public//../admin", "GET", 400),
            ("/admin?path=/public/x", "GET", 401),
            ("/admin", "OPTIONS", 401),
        ] {
            let reply = ask(target, method).ask(&world, dialect).await;
            let status = match dialect {
                "auth/envoy" => of_envoy,
                _ => 401,
            };
            assert_eq!(reply.status.as_u16(), status, "{dialect} {method} {target}");
        }
        ask("/hook", "GET").ask(&world, dialect).await.expect(200);
    }
}

#[tokio::test]
async fn a_session_is_good_at_its_own_application_only() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    let line = browser.cookie_line(&Url::parse("https://app.example.com/").expect("a URL"));
    for dialect in DIALECTS {
        for (host, status) in [
            ("app.example.com", 200),
            ("APP.example.com", 200),
            ("app.example.com:443", 200),
            ("app2.example.com", 401),
            ("evil.example", 404),
            ("example.com", 404),
            ("app.example.com:8443", 404),
            ("evilexample.org", 404),
        ] {
            let reply = Asked::fetch(host, "/x")
                .with("Cookie", &line)
                .ask(&world, dialect)
                .await;
            assert_eq!(reply.status.as_u16(), status, "{dialect} {host}");
        }
    }
}

#[tokio::test]
async fn one_sign_in_counts_on_every_host_of_a_domain() {
    let world = World::new().await;
    let asked = Asked::load("wiki.example.org", "/x");
    let reply = asked.ask(&world, "auth/traefik").await.expect(302);
    assert_eq!(
        reply.location(),
        "https://auth.example.org/akprox/start?rd=https%3A%2F%2Fwiki.example.org%2Fx"
    );
    let browser = signed_in(&world, "auth.example.org").await;
    for host in ["wiki.example.org", "a.b.example.org", "example.org"] {
        for dialect in DIALECTS {
            Asked::load(host, "/x")
                .by(&browser)
                .ask(&world, dialect)
                .await
                .expect(200);
        }
    }
}

#[tokio::test]
async fn a_websocket_gets_a_status_and_not_a_redirect() {
    let world = World::new().await;
    let headers = |proto| {
        [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", proto),
            ("X-Forwarded-Host", "app.example.com"),
            ("X-Forwarded-Uri", "/socket"),
            ("Accept", "text/html"),
        ]
    };
    for proto in ["ws", "wss"] {
        let reply = world.ask("auth/traefik", &headers(proto)).await.expect(401);
        assert!(
            reply.body.contains("https://app.example.com/akprox/start"),
            "{}",
            reply.body
        );
    }
    world
        .ask("auth/traefik", &headers("https"))
        .await
        .expect(302);
}

#[tokio::test]
async fn a_session_that_is_due_is_renewed_in_place() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    for (seconds, renews) in [(299, false), (1, true), (3_600, true)] {
        world.wait(seconds);
        for dialect in DIALECTS {
            let asked = Asked::fetch("app.example.com", "/x").by(&browser);
            let reply = asked.ask(&world, dialect).await.expect(200);
            assert_eq!(reply.sets_session(), renews, "{dialect} after {seconds}");
            assert_eq!(reply.header("x-auth-username"), Some("alice"), "{dialect}");
        }
    }
}

#[tokio::test]
async fn a_session_that_was_signed_out_is_refused_immediately() {
    let world = World::new().await;
    let mut browser = signed_in(&world, "app.example.com").await;
    let asked = Asked::fetch("app.example.com", "/x").by(&browser);
    asked.ask(&world, "auth/traefik").await.expect(200);
    browser
        .load("https://app.example.com/akprox/sign_out")
        .await
        .expect(302);
    for dialect in DIALECTS {
        asked.ask(&world, dialect).await.expect(401);
    }
}

#[tokio::test]
async fn while_the_store_is_away_windows_in_force_go_on_and_nothing_is_allowed_for_want_of_it() {
    let world = World::new().await;
    let browser = signed_in(&world, "app.example.com").await;
    let leaving = signed_in(&world, "app.example.com").await;
    world
        .store
        .away
        .store(true, std::sync::atomic::Ordering::Relaxed);
    let ask = |target| Asked::fetch("app.example.com", target).by(&browser);
    for dialect in DIALECTS {
        ask("/x").ask(&world, dialect).await.expect(200);
    }
    world.wait(700);
    for dialect in DIALECTS {
        let due = ask("/x").ask(&world, dialect).await.expect(200);
        assert!(!due.sets_session(), "{dialect}");
    }
    world.wait(300);
    for dialect in DIALECTS {
        ask("/x").ask(&world, dialect).await.expect(503);
        ask("/public/x").ask(&world, dialect).await.expect(200);
    }
    // No browser is sent to sign in for a session that could not be kept, and signing out reports
    // that it failed.
    let reply = browser
        .clone()
        .load("https://app.example.com/akprox/start")
        .await
        .expect(503);
    assert!(
        reply.body.contains("Sessions cannot be looked up"),
        "{}",
        reply.body
    );
    let reply = leaving
        .clone()
        .load("https://app.example.com/akprox/sign_out")
        .await
        .expect(503);
    assert!(reply.set_cookies().is_empty());
    world
        .store
        .away
        .store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(
        ask("/x")
            .ask(&world, "auth/traefik")
            .await
            .expect(200)
            .sets_session()
    );
    // It works all the same, here.
    let left = Asked::fetch("app.example.com", "/x").by(&leaving);
    left.ask(&world, "auth/traefik").await.expect(401);
}

#[tokio::test]
async fn a_sign_in_whose_session_cannot_be_kept_gives_no_cookie() {
    let world = World::new().await;
    let mut browser = world.browser();
    let callback = browser.begin("https://app.example.com/akprox/start").await;
    world
        .store
        .away
        .store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(
        !browser
            .load(callback.as_str())
            .await
            .expect(503)
            .sets_session()
    );
}

#[tokio::test]
async fn the_browsers_own_endpoints_are_met_in_place() {
    let world = World::new().await;
    for dialect in ["auth/traefik", "auth/caddy", "auth/envoy"] {
        let mut browser = world.browser();
        let start = Asked::load("app.example.com", "/akprox/start?rd=/x")
            .ask(&world, dialect)
            .await;
        let callback = world
            .provider
            .authorize(start.clone().expect(302).location());
        let pairs: Vec<&str> = start
            .set_cookies()
            .iter()
            .filter_map(|line| line.split(';').next())
            .collect();
        let flow = pairs.join("; ");
        let target = &callback[url::Position::BeforePath..];
        let asked = Asked::load("app.example.com", target).with("Cookie", &flow);
        let reply = asked.ask(&world, dialect).await.expect(302);
        assert_eq!(reply.location(), "https://app.example.com/x", "{dialect}");
        assert!(reply.sets_session(), "{dialect}");

        // Nothing of the outpost's own is consent, whatever it says to a browser.
        browser
            .sign_in("https://app.example.com/akprox/start")
            .await
            .expect(302);
        for target in [
            "/akprox/ping",
            "/akprox/session",
            "/akprox/auth/traefik",
            "/akprox/auth?nginx",
            "/akprox/auth/envoy/public/x",
            "/akprox/public/x",
            "/akprox",
            "/outpost.goauthentik.io/ping",
        ] {
            let reply = Asked::load("app.example.com", target)
                .by(&browser)
                .ask(&world, dialect)
                .await;
            assert_eq!(reply.status.as_u16(), 404, "{dialect} {target}");
        }
        let asked = Asked::load("app.example.com", "/akprox/sign_out");
        let reply = asked.clone().ask(&world, dialect).await.expect(401);
        assert!(reply.body.contains("Signed out"), "{dialect}");
        asked.by(&browser).ask(&world, dialect).await.expect(302);
    }
    for target in [
        "/akprox/start",
        "/akprox/ping",
        "/akprox/sign_out",
        "/akprox/x",
    ] {
        Asked::load("app.example.com", target)
            .ask(&world, "auth/nginx")
            .await
            .expect(403);
    }
}
