use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Tool, apt, on_path, run};
use crate::layout;

/// Node.js with npm.
#[derive(Clone, Copy, Debug)]
pub struct Node;

impl Tool for Node {
    type Installed = PathBuf;

    fn name(&self) -> String {
        "Node.js with npm".to_owned()
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        Ok(on_path("npm").and(on_path("node")))
    }

    fn install(&self) -> Result<()> {
        apt::install(&["nodejs", "npm"])
    }
}

/// What a `package-lock.json` of this checkout names.
#[derive(Clone, Copy, Debug)]
pub struct NodePackages {
    name: &'static str,
    folder: &'static str,
}

impl NodePackages {
    /// Returns the demo's OpenID provider.
    pub fn provider() -> Self {
        Self {
            name: "the demo's OpenID provider (npm: oidc-provider)",
            folder: "testdata/provider",
        }
    }

    /// Returns the package that drives the browser.
    pub fn browser() -> Self {
        Self {
            name: "the browser driver (npm: playwright-core)",
            folder: "e2e/browser",
        }
    }

    /// Returns the client and the server of the Model Context Protocol.
    pub fn mcp() -> Self {
        Self {
            name: "the MCP SDK (npm: @modelcontextprotocol/sdk)",
            folder: "e2e/mcp",
        }
    }

    /// Returns the machine client whose tokens are bound to a key.
    pub fn dpop() -> Self {
        Self {
            name: "the OAuth client (npm: openid-client)",
            folder: "e2e/dpop",
        }
    }

    /// Returns the application that verifies assertions.
    pub fn assertion() -> Self {
        Self {
            name: "a library for signed tokens (npm: jose)",
            folder: "e2e/assertion",
        }
    }

    /// Returns the optimiser that makes the plugin smaller.
    pub fn wasm_opt() -> Self {
        Self {
            name: "the WebAssembly optimiser (npm: binaryen)",
            folder: "xtask/wasm-opt",
        }
    }

    /// Returns the packages that compile and test the session in JavaScript.
    pub fn session_js() -> Self {
        Self {
            name: "what builds and tests @gatepost/session (npm)",
            folder: "session/js",
        }
    }

    /// Returns the further runtimes in which the session in JavaScript has to run.
    pub fn js_runtimes() -> Self {
        Self {
            name: "JavaScript runtimes to test in (npm: bun, deno, workerd)",
            folder: "session/js/runtimes",
        }
    }

    fn folder(self) -> PathBuf {
        layout::root().join(self.folder)
    }

    /// Returns the path of a copy of the lock file: it proves that the installation was finished,
    /// and of which versions.
    fn receipt(self) -> PathBuf {
        self.folder().join("node_modules/.gatepost-lock.json")
    }

    /// Returns the file that names every package with its version.
    pub(crate) fn lock_file(self) -> PathBuf {
        self.folder().join("package-lock.json")
    }
}

impl Tool for NodePackages {
    /// The folder with `package.json`, scripts and, now, `node_modules`.
    type Installed = PathBuf;

    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        let wanted = fs::read(self.lock_file())?;
        let installed = fs::read(self.receipt()).is_ok_and(|lock| lock == wanted);
        Ok(installed.then(|| self.folder()))
    }

    fn install(&self) -> Result<()> {
        if Node.find()?.is_none() {
            Node.install()?;
        }
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(self.folder()))?;
        fs::copy(self.lock_file(), self.receipt())?;
        Ok(())
    }
}
