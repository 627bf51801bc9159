//! An MCP server behind real proxies, and the client of the TypeScript SDK with its own OAuth client.

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::{Traefik, service};
use gatepost_e2e::{Answer, Client, McpClient, McpServer, Service, Site};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::forward_auth::hands_on;
use crate::mcp_client::{self, text};
use crate::{caddy, checks, envoy, haproxy, nginx, route};

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

/// Starts what the page shows, with these changes of the application and of the provider.
fn shown(application: &Value, provider: &Value) -> Result<(Site, McpServer, Service)> {
    let site = checks::site("deploy/outpost/mcp.yaml")
        .at_its_addresses(application, provider)
        .start()?;
    let server = McpServer::start(&site)?;
    let changes = json!({ "http": { "services": service("mcp", server.url()) } });
    let traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route_with("deploy/traefik/dynamic/mcp.yaml", &changes)?
        .start(&["mcp"])?;
    Ok((site, server, traefik))
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route() -> Result<()> {
    let site = site()?;
    let server = McpServer::start(&site)?;
    let settings = json!({ "machines": "bearer" });
    let services = service("wiki", server.url());
    let _traefik = route::handing_on(&site, &settings, &["Authorization"], &services)?;
    a_client_comes_in(&site, "wiki")
}

/// The files that the page shows.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let provider = json!({ "registration": true, "resources": [SHOWN] });
    let (site, _server, _traefik) = shown(&json!({}), &provider)?;
    a_client_comes_in(&site, "mcp")?;
    clients_may_look_first(&site)
}

/// The shown configurations of other proxies lead clients to the metadata too.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn other_proxies() -> Result<()> {
    for proxy in ["caddy", "haproxy", "envoy"] {
        let site = site()?;
        let server = McpServer::start(&site)?;
        let address = Url::parse(server.url())?;
        let port = address.port().context("a port")?.to_string();
        let address = format!("127.0.0.1:{port}");
        let _proxy = match proxy {
            "caddy" => caddy::in_front_of(&site, &address, "")?,
            "haproxy" => haproxy::in_front_of(&site, &address, &[])?,
            _ => envoy::in_front_of(&site, &port, &[])?,
        };
        println!("{proxy}");
        a_client_comes_in(&site, "wiki")?;
    }
    Ok(())
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
    let (site, _server, _traefik) = shown(&client, &provider)?;
    a_client_comes_in(&site, "mcp")
}

/// A client that says at a URL who it is, at a provider that reads that. It takes the metadata of the
/// provider itself, and of the outpost where that hands out a client to the others.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn by_a_document_of_the_client() -> Result<()> {
    const CLIENT: &str = "https://client.example.net/mcp.json";
    let document = json!({
        "client_id": CLIENT,
        "client_name": "Gatepost end-to-end tests",
        "application_type": "native",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    for public_client in [None, Some("mcp-clients")] {
        let provider = json!({
            "publicClients": { "mcp-clients": ["http://127.0.0.1/callback"] },
            "clientDocuments": { (CLIENT): document },
            "resources": [SHOWN],
        });
        let application = match public_client {
            Some(id) => json!({ "machineTokens": { "publicClient": id } }),
            None => json!({}),
        };
        let (site, _server, _traefik) = shown(&application, &provider)?;
        let url = site.url("mcp", "/mcp")?;
        let mut client = McpClient::with_document(&url, CLIENT)?;
        mcp_client::uses_the_server(&site, &url, &mut client, &revocation(&site)?)
            .with_context(|| format!("{public_client:?}"))?;
        let known = client.ask("tokens")?;
        assert_eq!(text(&known, "/client/client_id"), Some(CLIENT), "{known}");
    }
    Ok(())
}

fn revocation(site: &Site) -> Result<Url> {
    let provider = site.ports().provider;
    let url = format!("http://127.0.0.1:{provider}/token/revocation");
    Ok(Url::parse(&url)?)
}

/// Checks what the SDK's client does, at the provider that every test has.
fn a_client_comes_in(site: &Site, host: &str) -> Result<()> {
    mcp_client::comes_in(site, host, &revocation(site)?)
}

/// In domain mode, one host of the domain is the resource. It needs a route to the metadata.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn domain() -> Result<()> {
    for with_registration in [true, false] {
        let mut tokens = json!({
            "resource": RESOURCE,
            "scopes": ["openid", "profile", "email", "groups"],
        });
        let mut provider = json!({ "registration": with_registration, "resources": [RESOURCE] });
        if !with_registration {
            tokens["publicClient"] = json!("mcp-clients");
            tokens["clients"] = json!(["mcp-clients"]);
            provider["publicClients"] = json!({ "mcp-clients": ["http://127.0.0.1/callback"] });
        }
        let application = json!({ "machines": ["bearer"], "machineTokens": tokens });
        let site = checks::site("deploy/outpost/domain.yaml")
            .at_its_addresses(&application, &provider)
            .start()?;
        let server = McpServer::start(&site)?;
        let host = site.url("wiki", "/")?;
        let host = host.host_str().context("a host")?;
        let changes = json!({ "http": {
            "middlewares": { "gatepost": hands_on(&["Authorization"]) },
            "services": service("wiki", server.url()),
            "routers": { "wiki-metadata": {
                "rule": format!(
                    "Host(`{host}`) && (PathPrefix(`/akprox/oauth`) || \
                     PathPrefix(`/.well-known/oauth-`))"
                ),
                "entryPoints": ["web"],
                "service": "outpost",
            } },
        } });
        let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
            .route_with("deploy/traefik/dynamic/forward-auth-domain.yaml", &changes)?
            .start(&["wiki", "files"])?;
        a_client_comes_in(&site, "wiki").with_context(|| format!("{with_registration}"))?;
        the_other_hosts_are_no_resource(&site)?;
    }
    Ok(())
}

/// Checks that no other host of the domain leads clients to tokens.
fn the_other_hosts_are_no_resource(site: &Site) -> Result<()> {
    let request = Client::new()?.bare(Method::POST, &site.url("files", "/mcp")?);
    let refused = Answer::read(request.send()?)?;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let challenge = refused.header("www-authenticate").unwrap_or_default();
    assert!(!challenge.contains("resource_metadata"), "{challenge}");
    Ok(())
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
