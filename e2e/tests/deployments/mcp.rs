//! An MCP server behind real proxies, and the client of the TypeScript SDK with its own OAuth client.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, McpClient, McpServer, Site, pass};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::checks;
use crate::forward_auth::hands_on;
use crate::nginx;
use crate::plugin::middlewares;

const RESOURCE: &str = "http://wiki.example.com/mcp";

/// The same of the server that the page shows.
const SHOWN: &str = "http://mcp.example.com/mcp";

/// Returns a site whose provider has clients register themselves.
fn site() -> Result<Site> {
    checks::site("deploy/outpost/single.yaml")
        .at_its_addresses(
            &json!({
                "machines": ["bearer"],
                "machineTokens": {
                    "resource": RESOURCE,
                    "scopes": ["openid", "profile", "email", "groups"],
                },
            }),
            &json!({
                "registration": true,
                "resources": [RESOURCE],
            }),
        )
        .start()
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route() -> Result<()> {
    let site = site()?;
    let server = McpServer::start(&site)?;
    let mut changes = middlewares(&["gatepost"], &json!({ "machines": "bearer" }));
    changes["http"]["middlewares"]["ask-outpost"] = hands_on("Authorization");
    changes["http"]["services"] = served("wiki", &server);
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with("deploy/traefik/dynamic/route-single.yaml", &changes)?
        .start(&["wiki"])?;
    a_client_comes_in(&site, "wiki")
}

/// The files that the page shows.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let provider = json!({ "registration": true, "resources": [SHOWN] });
    let site = checks::site("deploy/outpost/mcp.yaml")
        .at_its_addresses(&json!({}), &provider)
        .start()?;
    let server = McpServer::start(&site)?;
    let changes = json!({ "http": { "services": served("mcp", &server) } });
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route_with("deploy/traefik/dynamic/mcp.yaml", &changes)?
        .start(&["mcp"])?;
    a_client_comes_in(&site, "mcp")?;
    clients_may_look_first(&site)
}

/// The same where the provider registers no clients: the outpost hands out one.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn without_registration() -> Result<()> {
    let client = json!({ "machineTokens": {
        "publicClient": "mcp-clients",
        "clients": ["mcp-clients"],
    } });
    let provider = json!({
        "publicClients": { "mcp-clients": ["http://127.0.0.1/callback"] },
        "resources": [SHOWN],
    });
    let site = checks::site("deploy/outpost/mcp.yaml")
        .at_its_addresses(&client, &provider)
        .start()?;
    let server = McpServer::start(&site)?;
    let changes = json!({ "http": { "services": served("mcp", &server) } });
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route_with("deploy/traefik/dynamic/mcp.yaml", &changes)?
        .start(&["mcp"])?;
    a_client_comes_in(&site, "mcp")
}

/// Checks the metadata at the path that every client can compose.
fn clients_may_look_first(site: &Site) -> Result<()> {
    for path in ["", "/mcp"] {
        let path = format!("/.well-known/oauth-protected-resource{path}");
        let found = Client::new()?.bare(Method::GET, &site.url("mcp", &path)?);
        let found = Answer::read(found.send()?)?.json()?;
        assert_eq!(
            text(&found, "/resource"),
            Some(site.url("mcp", "/mcp")?.as_str())
        );
        let issuer = format!("http://127.0.0.1:{}", site.ports().provider);
        assert_eq!(
            found.pointer("/authorization_servers"),
            Some(&json!([issuer]))
        );
    }
    Ok(())
}

/// nginx hands the challenge on, also where it answers by itself.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx() -> Result<()> {
    let site = site()?;
    let _nginx = nginx::handing_on(&site, "Authorization")?;
    let request = Client::new()?.bare(Method::POST, &site.url("wiki", "/mcp")?);
    let refused = Answer::read(request.send()?)?;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let challenge = refused.header("www-authenticate").context("a challenge")?;
    let metadata = site.url("wiki", "/akprox/oauth-protected-resource")?;
    assert!(
        challenge.contains(&format!("resource_metadata=\"{metadata}\"")),
        "{challenge}"
    );
    let found = Client::new()?.bare(Method::GET, &metadata).send()?;
    let found = Answer::read(found)?.json()?;
    assert_eq!(
        text(&found, "/resource"),
        Some(site.url("wiki", "/mcp")?.as_str())
    );
    Ok(())
}

fn served(name: &str, server: &McpServer) -> Value {
    json!({ (name): { "loadBalancer": { "servers": [{ "url": server.url() }] } } })
}

/// Checks that a client that knows the server's address alone signs its user in, uses the server as that
/// user, renews its token, and is refused once its user's access has ended.
fn a_client_comes_in(site: &Site, host: &str) -> Result<()> {
    let server = site.url(host, "/mcp")?;
    let mut client = McpClient::start(&server)?;
    let asked = client.ask("connect")?;
    let sign_in = text(&asked, "/signInAt").context(asked.to_string())?;
    let alice = Client::new()?;
    let came_back = alice.sign_in(&Url::parse(sign_in)?, &ALICE)?;
    assert_eq!(came_back.landed.body, "You can close this page.");

    let connected = client.ask("finish")?;
    assert!(text(&connected, "/session").is_some(), "{connected}");
    assert_eq!(
        client.ask("tools")?,
        json!({ "tools": ["whoami", "count"] })
    );
    let user = json!({ "user": "alice", "groups": "staff|admins", "authorization": null });
    assert_eq!(client.ask("whoami")?, user);
    events_arrive_one_by_one(&client.ask("count")?)?;

    let before = client.ask("tokens")?;
    id_tokens_are_refused(&server, &before)?;
    end_access(site, &before)?;
    // The SDK renews its token, and the call goes on.
    assert_eq!(client.ask("whoami")?, user);
    let renewed = client.ask("tokens")?;
    let of =
        |tokens: &Value, name: &str| text(tokens, &format!("/tokens/{name}")).map(str::to_owned);
    assert_ne!(of(&before, "access_token"), of(&renewed, "access_token"));
    let old = of(&before, "access_token").context("a token")?;
    assert_eq!(post(&server, &old)?.status, StatusCode::UNAUTHORIZED);

    // The provider renews nothing any more.
    let revocation = Url::parse(&format!(
        "http://127.0.0.1:{}/token/revocation",
        site.ports().provider
    ))?;
    let form = [
        ("client_id", text(&renewed, "/client/client_id")),
        ("token", text(&renewed, "/tokens/refresh_token")),
    ];
    let revoked = Client::new()?.bare(Method::POST, &revocation).form(&form);
    assert!(revoked.send()?.status().is_success());
    end_access(site, &renewed)?;
    let refused = client.ask("whoami")?;
    assert_eq!(
        text(&refused, "/error"),
        Some("UnauthorizedError"),
        "{refused}"
    );
    Ok(())
}

/// Checks that no proxy keeps events back until all of them are there.
fn events_arrive_one_by_one(counted: &Value) -> Result<()> {
    let after = counted
        .get("after")
        .and_then(Value::as_array)
        .context(counted.to_string())?;
    let after: Vec<u64> = after.iter().filter_map(Value::as_u64).collect();
    let [first, _, last] = after[..] else {
        anyhow::bail!("three events: {counted}");
    };
    ensure!(last - first > 600, "kept back: {after:?}");
    Ok(())
}

/// Checks that an ID token of the same user is refused, and what the answer says.
fn id_tokens_are_refused(server: &Url, tokens: &Value) -> Result<()> {
    let id_token = text(tokens, "/tokens/id_token").context("a token")?;
    let refused = post(server, id_token)?;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let challenge = refused.header("www-authenticate").context("a challenge")?;
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    Ok(())
}

/// Returns the text at a place in a document.
fn text<'v>(document: &'v Value, pointer: &str) -> Option<&'v str> {
    document.pointer(pointer).and_then(Value::as_str)
}

fn post(server: &Url, token: &str) -> Result<Answer> {
    let request = Client::new()?.bare(Method::POST, server);
    Answer::read(request.bearer_auth(token).send()?)
}

/// Has the outpost refuse every token that the user has.
fn end_access(site: &Site, tokens: &Value) -> Result<()> {
    use base64::Engine as _;
    let token = text(tokens, "/tokens/access_token");
    let payload = token.and_then(|token| token.split('.').nth(1));
    let payload =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload.context("a JWT")?)?;
    let claims: Value = serde_json::from_slice(&payload)?;
    let subject = text(&claims, "/sub").context("a subject")?;
    let (said, well) = site.gatepost(&["session", "revoke", "--subject", subject])?;
    ensure!(well, "{said}");
    // A token of the same second would count as older.
    pass(Duration::from_millis(1_500));
    Ok(())
}
