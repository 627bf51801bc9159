//! Paths that need no session: authentik's expressions, which are Go's.

use super::*;

/// An outpost whose unauthenticated paths are these.
async fn world_with_paths(expressions: &str, changes: Value) -> World {
    let mut all = json!({"skip_path_regex": expressions});
    merge(&mut all, changes);
    world(all).await
}

async fn is_open(world: &World, target: &str) -> bool {
    let reply = Asked::load(APP, target).ask(world, "auth/traefik").await;
    match reply.status.as_u16() {
        200 => true,
        302 => false,
        status => panic!("{target}: {status}"),
    }
}

#[tokio::test]
async fn an_expression_means_what_it_means_in_authentik() {
    let expressions = r"^/x{y}/
^/\Qa.b\E$
^/n/\d$
^/w/\w$
";
    let world = world_with_paths(expressions, json!({})).await;
    for (target, expected) in [
        ("/x%7By%7D/z", true),
        ("/xy/z", false),
        ("/a.b", true),
        ("/aXb", false),
        ("/n/7", true),
        ("/n/%D9%A3", false),
        ("/w/a", true),
        ("/w/%C3%A9", false),
    ] {
        assert_eq!(is_open(&world, target).await, expected, "{target}");
    }
}

/// authentik matches the whole address, with its query. The query alone opens nothing here.
#[tokio::test]
async fn at_domain_level_an_expression_is_matched_against_the_whole_address() {
    let domain = json!({
        "mode": "forward_domain",
        "external_host": "https://auth.example.com",
        "cookie_domain": "example.com",
    });
    let expressions = r"^https://app\.example\.com/health$
/public";
    let world = world_with_paths(expressions, domain).await;
    for (target, expected) in [
        ("/health", true),
        ("/health?x=1", false),
        ("/x/public", true),
        ("/private?x=/public", false),
        ("/private?x=https://app.example.com/health", false),
    ] {
        assert_eq!(is_open(&world, target).await, expected, "{target}");
    }
}

/// authentik's text for Caddy trusts the `X-Forwarded-Host` of clients in private networks, and Caddy
/// serves by `Host`.
#[tokio::test]
async fn caddys_question_about_another_host_than_its_own_is_refused() {
    let domain = json!({
        "mode": "forward_domain",
        "external_host": "https://auth.example.com",
        "cookie_domain": "example.com",
    });
    let world = world_with_paths(r"^https?://open\.example\.com/", domain).await;
    for (host, said, status) in [
        ("open.example.com", "open.example.com", 200),
        // An outpost at an address of its own.
        ("outpost:9000", "open.example.com", 200),
        // By its name below the domain it looks the same as a client's word.
        ("outpost.example.com", "open.example.com", 400),
        ("wiki.example.com", "open.example.com", 400),
        ("wiki.example.com", "wiki.example.com", 401),
    ] {
        let headers = [
            ("Host", host),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", said),
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Uri", "/secret"),
        ];
        let path = "/outpost.goauthentik.io/auth/caddy";
        let reply = world.ask_at("127.0.0.1:4000", path, &headers).await;
        assert_eq!(
            reply.status.as_u16(),
            status,
            "{host} {said}: {}",
            reply.body
        );
    }
}
