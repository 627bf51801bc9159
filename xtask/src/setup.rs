//! Installing what demo and tests need.

use anyhow::Result;
use gatepost_e2e::tools::{Chromium, Node, NodePackages, Tool as _, Traefik, WasmToolchain};

/// What the demo needs.
pub(crate) fn demo() -> Result<()> {
    Traefik.ensure()?;
    Node.ensure()?;
    NodePackages::provider().ensure()?;
    Ok(())
}

/// What building the plugin needs.
pub(crate) fn plugin() -> Result<()> {
    WasmToolchain::ANY.ensure()?;
    NodePackages::wasm_opt().ensure()?;
    Ok(())
}

/// What the tests need: all of it, with the compiler for the plugin.
pub(crate) fn everything() -> Result<()> {
    plugin()?;
    demo()?;
    NodePackages::browser().ensure()?;
    Chromium.ensure()?;
    eprintln!("All tools are installed.");
    Ok(())
}
