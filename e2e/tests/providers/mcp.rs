//! An MCP server whose clients are users of a provider that registers none of them, through real
//! Traefik: the outpost hands out one public client.

use anyhow::Result;
use gatepost_e2e::providers::Registration;
use gatepost_e2e::proxies::{Traefik, service};
use gatepost_e2e::{McpServer, Site};
use serde_json::json;

use crate::bench::Bench;
use crate::matrix::Cell;
use crate::mcp_client;

/// The outpost's own client.
const OUTPOST: &str = "outpost-of-an-mcp-server";

/// The client that all clients of the server share.
const SHARED: &str = "mcp-clients";

pub(crate) fn scenario(bench: &Bench<'_>) -> Result<Cell> {
    let registration = Registration {
        client_id: OUTPOST.to_owned(),
        ..bench.registration()
    };
    let client = bench.provider.register(&registration)?;
    let provider = registration.settings(&*bench.provider, &client);
    let site = Site::builder("deploy/outpost/mcp.yaml")
        .outpost(&json!({ "providers": [provider] }))
        .applications(&json!({ "machineTokens": {
            "publicClient": SHARED,
            "clients": [SHARED],
        } }))
        .start()?;
    let address = site.url("mcp", "/mcp")?;
    let Some(revocation) = bench.provider.public_client(SHARED, &address)? else {
        return Ok(Cell::Absent);
    };
    let server = McpServer::start(&site)?;
    let changes = json!({ "http": { "services": service("mcp", server.url()) } });
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route_with("deploy/traefik/dynamic/mcp.yaml", &changes)?
        .start(&["mcp"])?;
    mcp_client::comes_in(&site, "mcp", &revocation)?;
    Ok(Cell::Yes)
}
