//! An MCP server to protect.

use std::process::Command;

use anyhow::Result;
use reqwest::StatusCode;
use url::Url;

use super::{Service, ports};
use crate::site::Site;
use crate::tools::{NodePackages, Tool as _};

/// A small MCP server over streamable HTTP, until it is dropped.
#[derive(Debug)]
pub struct McpServer {
    _service: Service,
    url: String,
}

impl McpServer {
    /// Starts the server on a free port.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(site: &Site) -> Result<Self> {
        let port = ports::free()?;
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new("node");
        command
            .arg(NodePackages::mcp().locate()?.join("server.mjs"))
            .env("MCP_PORT", port.to_string());
        let service = Service::new("mcp", command, site.logs())
            .answering(Url::parse(&url)?, StatusCode::NOT_FOUND);
        service.start()?;
        Ok(Self {
            _service: service,
            url,
        })
    }

    /// Returns where the proxy reaches it.
    pub fn url(&self) -> &str {
        &self.url
    }
}
