//! The application as a resource for which authorization servers issue tokens (RFC 9728, RFC 8707).

use serde_json::json;

use super::{API, bring, send, world};
use crate::browser::Reply;
use crate::forward_auth::{Asked, DIALECTS};
use crate::provider::CLIENT_ID;
use crate::world::World;

const RESOURCE: &str = "https://api.example.com/mcp";

const SETTINGS: &str = "machines: [bearer, basic],
     machineTokens: {resource: 'https://api.example.com/mcp', scopes: [openid, wiki]}";

const METADATA: &str = "resource_metadata=\"https://api.example.com/akprox/oauth-protected-resource\", \
     scope=\"openid wiki\"";

/// Sends a request of a client in a browser.
async fn ask(world: &World, method: &str, host: &str, target: &str) -> Reply {
    let origin = ("Origin", "https://inspector.example");
    send(world, method, host, target, origin, "").await
}

fn challenges_of(reply: &Reply) -> Vec<String> {
    let all = reply.headers.get_all("www-authenticate").iter();
    all.map(|value| value.to_str().expect("text").to_owned())
        .collect()
}

#[tokio::test]
async fn clients_find_the_metadata_where_they_look_for_it() {
    let world = world(SETTINGS).await;
    for target in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/mcp?x",
        "/akprox/oauth-protected-resource",
    ] {
        let reply = ask(&world, "GET", API, target).await.expect(200);
        assert_eq!(
            reply.json(),
            json!({
                "resource": RESOURCE,
                "authorization_servers": [world.provider.issuer.clone()],
                "scopes_supported": ["openid", "wiki"],
                "bearer_methods_supported": ["header"],
                "resource_name": "api",
            }),
            "{target}"
        );
        // For MCP clients in browsers.
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let preflight = ask(&world, "OPTIONS", API, target).await.expect(204);
        let headers = preflight.header("access-control-allow-headers");
        assert_eq!(headers, Some("*"));
        ask(&world, "POST", API, target).await.expect(405);
        ask(&world, "GET", "app.example.com", target)
            .await
            .expect(404);
    }
    for target in [
        "/.well-known/oauth-protected-resource/",
        "/.well-known/oauth-protected-resource/other",
        "/.well-known/oauth-protected-resources",
    ] {
        ask(&world, "GET", API, target).await.expect(404);
    }
    // A proxy would take success for consent.
    for dialect in DIALECTS {
        for target in [
            "/akprox/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
        ] {
            let reply = Asked::program(API, target).ask(&world, dialect).await;
            assert!(!reply.status.is_success(), "{dialect}: {target}");
        }
    }
}

#[tokio::test]
async fn a_401_leads_to_the_metadata() {
    let world = world(SETTINGS).await;
    for dialect in DIALECTS {
        let program = Asked::program(API, "/mcp").with("User-Agent", "node");
        for (asked, basic) in [(program.clone(), true), (Asked::fetch(API, "/mcp"), false)] {
            let reply = asked.ask(&world, dialect).await.expect(401);
            let challenges = challenges_of(&reply);
            let bearer = format!("Bearer realm=\"api\", {METADATA}");
            // The first, since clients may read no other.
            assert_eq!(challenges.first(), Some(&bearer));
            assert_eq!(challenges.len() == 2, basic, "{challenges:?}");
        }
        let invalid = program.with("Authorization", "Bearer x");
        let reply = invalid.ask(&world, dialect).await.expect(401);
        let bearer = format!("Bearer realm=\"api\", error=\"invalid_token\", {METADATA}");
        assert_eq!(challenges_of(&reply), [bearer]);
        let page = Asked::load(API, "/mcp").ask(&world, dialect).await;
        let challenge = page.header("www-authenticate").unwrap_or("Gatepost");
        assert!(challenge.starts_with("Gatepost"), "{challenge}");
    }
}

#[tokio::test]
async fn a_token_for_another_resource_is_refused() {
    let world = world(SETTINGS).await;
    for (audience, status) in [
        (json!(RESOURCE), 200),
        (json!([RESOURCE, "https://other.example.com"]), 200),
        (json!(CLIENT_ID), 401),
        (json!("https://api.example.com"), 401),
        (json!("https://api.example.com/mcp/"), 401),
        (json!("https://api.example.com/other"), 401),
        (json!("https://other.example.com/mcp"), 401),
        (json!(["https://other.example.com/mcp"]), 401),
        (json!([]), 401),
        (json!(null), 401),
    ] {
        let token = world
            .provider
            .access_token(|claims| claims["aud"] = audience.clone());
        let reply = bring(&world, &token).await;
        assert_eq!(reply.status.as_u16(), status, "{audience}");
    }
}
