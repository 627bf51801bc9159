//! Installing what demo and tests need.

use anyhow::Result;
use gatepost_e2e::tools::{
    Browser, CiliumTranslator, CustomResources, Envoy, Faketime, Glewlwyd, GoProgram,
    IngressController, Keycloak, KubeApiServer, KubernetesClients, Node, NodePackages,
    OldestTraefik, Packaged, PythonPackage, Source, StaticToolchain, SystemdRoot, Tool as _,
    Traefik, WasmToolchain,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The real OpenID providers too, as far as they can be had
    #[arg(long)]
    providers: bool,
    /// A real Kubernetes API too, as far as it can be had
    #[arg(long)]
    kubernetes: bool,
    /// A container engine too, as far as it can be had
    #[arg(long)]
    containers: bool,
}

/// Installs the requested tools.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    everything()?;
    if arguments.providers {
        providers();
    }
    if arguments.kubernetes {
        kubernetes();
    }
    if arguments.containers {
        containers();
    }
    Ok(())
}

/// Installs the tools of the demo.
pub(crate) fn demo() -> Result<()> {
    plugin(None)?;
    Traefik.ensure()?;
    OldestTraefik.ensure()?;
    Node.ensure()?;
    NodePackages::provider().ensure()?;
    Ok(())
}

/// Installs the tools that build the plugin, with the compiler from this source or from any.
pub(crate) fn plugin(source: Option<Source>) -> Result<()> {
    WasmToolchain { source }.ensure()?;
    NodePackages::wasm_opt().ensure()?;
    Ok(())
}

/// Installs the tools that build and test the session in JavaScript.
pub(crate) fn js(source: Option<Source>) -> Result<()> {
    plugin(source)?;
    NodePackages::session_js().ensure()?;
    NodePackages::js_runtimes().ensure()?;
    Browser::Chromium.ensure()?;
    Ok(())
}

/// Installs all tools of the tests, with the compiler for the plugin.
pub(crate) fn everything() -> Result<()> {
    js(None)?;
    demo()?;
    NodePackages::browser().ensure()?;
    NodePackages::mcp().ensure()?;
    NodePackages::dpop().ensure()?;
    NodePackages::assertion().ensure()?;
    Faketime.ensure()?;
    Browser::Firefox.ensure()?;
    for program in Packaged::ALL {
        program.ensure()?;
    }
    Envoy.ensure()?;
    for package in [
        PythonPackage::AUTHENTIK_CLIENT,
        PythonPackage::KUBERNETES_VALIDATE,
        PythonPackage::PYJWT,
        PythonPackage::GUNICORN,
    ] {
        package.ensure()?;
    }
    eprintln!("All tools are installed.");
    Ok(())
}

/// Installs the real providers, as far as they are available. The tests name those that are
/// missing.
pub(crate) fn providers() {
    as_far_as_possible([
        Keycloak.ensure().map(drop),
        GoProgram::HYDRA.ensure().map(drop),
        GoProgram::DEX.ensure().map(drop),
        Packaged::Sqlite.ensure().map(drop),
        GoProgram::AUTHELIA.ensure().map(drop),
        Glewlwyd.ensure().map(drop),
        PythonPackage::CANAILLE.ensure().map(drop),
    ]);
}

/// A real Kubernetes API, as far as it can be had. The tests name what is missing.
pub(crate) fn kubernetes() {
    as_far_as_possible([
        Packaged::Etcd.ensure().map(drop),
        KubernetesClients.ensure().map(drop),
        CustomResources.ensure().map(drop),
        KubeApiServer.ensure().map(drop),
        IngressController.ensure().map(drop),
        CiliumTranslator.ensure().map(drop),
        Envoy.ensure().map(drop),
    ]);
}

/// A container engine, as far as it can be had. The tests name what is missing.
pub(crate) fn containers() {
    as_far_as_possible([
        Packaged::Podman.ensure().map(drop),
        PythonPackage::PODMAN_COMPOSE.ensure().map(drop),
        StaticToolchain.ensure().map(drop),
        SystemdRoot.ensure().map(drop),
        // Helm renders what the pods of the chart are, which keep sessions in Redis.
        KubernetesClients.ensure().map(drop),
        Packaged::Redis.ensure().map(drop),
    ]);
}

fn as_far_as_possible(results: impl IntoIterator<Item = Result<()>>) {
    for result in results {
        if let Err(error) = result {
            eprintln!("not installed: {error:#}");
        }
    }
}
