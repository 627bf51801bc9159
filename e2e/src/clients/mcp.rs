//! A client of the Model Context Protocol with its own OAuth client: that of the TypeScript SDK.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;
use url::Url;

use crate::tools::{NodePackages, Tool as _};

/// A running client, until it is dropped.
#[derive(Debug)]
pub struct McpClient {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl McpClient {
    /// Starts a client that knows the address of a server and nothing else.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start(server: &Url) -> Result<Self> {
        Self::start_with(server, &[])
    }

    /// Starts a client whose id is the URL of a document about it, where the provider reads such.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn with_document(server: &Url, document: &str) -> Result<Self> {
        Self::start_with(server, &[("CLIENT_URL", document)])
    }

    fn start_with(server: &Url, further: &[(&str, &str)]) -> Result<Self> {
        let folder = NodePackages::mcp().locate()?;
        let mut process = Command::new("node")
            .arg(folder.join("client.mjs"))
            .env("MCP_URL", server.as_str())
            .envs(further.iter().copied())
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the MCP client")?;
        let commands = process.stdin.take().context("its input")?;
        let answers = process.stdout.take().context("its output")?;
        Ok(Self {
            process,
            commands,
            answers: BufReader::new(answers),
        })
    }

    /// Has it carry a command out (`e2e/mcp/client.mjs` lists them), and returns its answer.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn ask(&mut self, command: &str) -> Result<Value> {
        writeln!(self.commands, "{command}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        serde_json::from_str(&answer).with_context(|| format!("{command}: {answer:?}"))
    }
}

impl Drop for McpClient {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
