//! The public client that OAuth clients get at the outpost where the provider registers none (RFC 7591,
//! RFC 8414).

use serde_json::{Value, json};

use super::{API, send, world};
use crate::browser::Reply;
use crate::forward_auth::{Asked, DIALECTS};
use crate::world::World;

const SETTINGS: &str = "machines: [bearer],
     machineTokens: {resource: 'https://api.example.com/mcp', scopes: [openid, wiki],
       publicClient: mcp-clients, redirectUris: ['https://app.example/callback']}";

const ISSUER: &str = "https://api.example.com/akprox/oauth";

const JSON: (&str, &str) = ("Content-Type", "application/json");

async fn get(world: &World, host: &str, target: &str) -> Reply {
    send(world, "GET", host, target, JSON, "").await
}

async fn register(world: &World, wanted: &Value) -> Reply {
    let target = "/akprox/oauth/register";
    send(world, "POST", API, target, JSON, &wanted.to_string()).await
}

#[tokio::test]
async fn clients_find_where_to_register() {
    let world = world(SETTINGS).await;
    let resource = get(&world, API, "/akprox/oauth-protected-resource").await;
    let resource = resource.expect(200).json();
    assert_eq!(resource["authorization_servers"], json!([ISSUER]));
    let provider = &world.provider.issuer;
    for target in [
        "/.well-known/oauth-authorization-server/akprox/oauth",
        "/.well-known/openid-configuration/akprox/oauth",
        "/akprox/oauth/.well-known/openid-configuration",
    ] {
        let reply = get(&world, API, target).await.expect(200);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let metadata = reply.json();
        for (name, expected) in [
            ("issuer", json!(ISSUER)),
            (
                "authorization_endpoint",
                json!(format!("{provider}/authorize")),
            ),
            ("token_endpoint", json!(format!("{provider}/token"))),
            ("registration_endpoint", json!(format!("{ISSUER}/register"))),
            ("code_challenge_methods_supported", json!(["S256"])),
            ("token_endpoint_auth_methods_supported", json!(["none"])),
            ("scopes_supported", json!(["openid", "wiki"])),
        ] {
            assert_eq!(metadata[name], expected, "{target}: {name}");
        }
        get(&world, "app.example.com", target).await.expect(404);
    }
    for target in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/other",
        "/.well-known/openid-configuration",
    ] {
        get(&world, API, target).await.expect(404);
    }
    for dialect in DIALECTS {
        for target in [
            "/akprox/oauth/register",
            "/akprox/oauth/.well-known/openid-configuration",
        ] {
            let reply = Asked::program(API, target).ask(&world, dialect).await;
            assert!(!reply.status.is_success(), "{dialect}: {target}");
        }
    }
}

/// A provider may read what a client says of itself at a URL. The outpost says so of it, and reads nothing
/// itself; it does not say so where it would refuse the tokens of such a client.
#[tokio::test]
async fn clients_with_a_document_are_sent_to_a_provider_that_reads_it() {
    const NAME: &str = "client_id_metadata_document_supported";
    let listed = SETTINGS.replace("publicClient:", "clients: [mcp-clients], publicClient:");
    for (settings, said, expected) in [
        (SETTINGS, json!(true), true),
        (SETTINGS, json!(false), false),
        (SETTINGS, Value::Null, false),
        (&listed, json!(true), false),
    ] {
        let world = World::without_provider(&super::applications(settings)).await;
        let of_provider = said.clone();
        world.provider.script().discovery =
            Box::new(move |document| document[NAME] = of_provider.clone());
        world.find_provider().await;
        let reply = get(
            &world,
            API,
            "/akprox/oauth/.well-known/openid-configuration",
        )
        .await;
        assert_eq!(
            reply.expect(200).json()[NAME],
            expected,
            "{said} {settings}"
        );
    }
}

/// A client that attackers may register would send users' codes to attackers.
#[tokio::test]
async fn the_public_client_is_for_redirect_uris_that_the_operator_knows() {
    let world = world(SETTINGS).await;
    for uris in [
        json!(["http://127.0.0.1:33418/callback"]),
        json!(["http://localhost/callback", "https://app.example/callback"]),
    ] {
        let wanted = json!({
            "redirect_uris": uris,
            "token_endpoint_auth_method": "client_secret_basic",
            "client_name": "<b>a client</b>",
        });
        let reply = register(&world, &wanted).await.expect(201);
        assert_eq!(
            reply.json(),
            json!({
                "client_id": "mcp-clients",
                "redirect_uris": uris,
                "response_types": ["code"],
                "grant_types": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_method": "none",
            })
        );
    }
    for (wanted, error) in [
        (
            json!({"redirect_uris": ["https://evil.example/"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": ["http://127.0.0.1/", "https://evil.example/"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": ["http://127.0.0.1@evil.example/"]}),
            "invalid_redirect_uri",
        ),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (json!({}), "invalid_redirect_uri"),
        (
            json!({"redirect_uris": "http://127.0.0.1/"}),
            "invalid_client_metadata",
        ),
        (json!({"redirect_uris": [1]}), "invalid_client_metadata"),
        (
            json!({"redirect_uris": ["http://127.0.0.1/"], "grant_types": ["password"]}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": ["http://127.0.0.1/"], "response_types": ["token"]}),
            "invalid_client_metadata",
        ),
        (json!([]), "invalid_client_metadata"),
    ] {
        let reply = register(&world, &wanted).await.expect(400);
        assert_eq!(reply.json()["error"], error, "{wanted}");
        assert!(!reply.body.contains("mcp-clients"), "{}", reply.body);
    }
    let target = "/akprox/oauth/register";
    let valid = json!({"redirect_uris": ["http://127.0.0.1/"]}).to_string();
    let long = format!("{valid}{}", " ".repeat(17 * 1024));
    for (media_type, body) in [("text/plain", &*valid), ("application/json", &*long)] {
        let reply = send(
            &world,
            "POST",
            API,
            target,
            ("Content-Type", media_type),
            body,
        )
        .await;
        assert_eq!(reply.expect(400).json()["error"], "invalid_client_metadata");
    }
    send(&world, "OPTIONS", API, target, JSON, "")
        .await
        .expect(204);
    get(&world, API, target).await.expect(405);
    let elsewhere = send(&world, "POST", "app.example.com", target, JSON, &valid);
    elsewhere.await.expect(404);
}

#[tokio::test]
async fn without_a_public_client_nothing_is_registered() {
    let settings = "machines: bearer, machineTokens: {resource: 'https://api.example.com/mcp'}";
    let world = world(settings).await;
    let wanted = json!({"redirect_uris": ["http://127.0.0.1/"]});
    register(&world, &wanted).await.expect(404);
    for target in [
        "/.well-known/oauth-authorization-server/akprox/oauth",
        "/akprox/oauth/.well-known/openid-configuration",
    ] {
        get(&world, API, target).await.expect(404);
    }
}
