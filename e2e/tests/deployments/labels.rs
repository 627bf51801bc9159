//! The labels of compose files, read by Traefik's docker provider from a double of the engine.

use anyhow::Result;
use gatepost_e2e::Compose;
use gatepost_e2e::doubles::docker_api::DockerApi;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::{Service, Site};

use crate::checks;

/// Starts Traefik as the compose file has it, and the engine that it asks.
fn start(site: &Site, compose: &Compose, hosts: &[&str]) -> Result<(Service, DockerApi)> {
    let socket = site.folder().join("docker.sock");
    let engine = DockerApi::start(&socket, compose.containers.clone())?;
    let traefik = Traefik::of_compose(site, compose, &socket)?.start(hosts)?;
    Ok((traefik, engine))
}

fn public(compose: Compose, service: &str, middleware: &str) -> Result<Compose> {
    let key = format!("traefik.http.middlewares.{middleware}.plugin.gatepost.public");
    compose.label(service, &key, &checks::PUBLIC.join(","))
}

/// `docker-compose.yml` at the top of the checkout.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_single() -> Result<()> {
    let site = checks::site("deploy/compose/gatepost.yaml")
        .wiki_at("whoami.localhost")
        .start()?;
    let compose = Compose::read(&site, "docker-compose.yml")?;
    let compose = public(compose, "whoami", "whoami-gatepost")?;
    let _running = start(&site, &compose, &["wiki"])?;
    checks::single(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let compose = Compose::read(&site, "deploy/compose/plugin-domain.yaml")?;
    let compose = public(compose, "outpost", "gatepost")?;
    let _running = start(&site, &compose, &["wiki", "files"])?;
    checks::domain(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth_single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let compose = Compose::read(&site, "deploy/compose/forward-auth-single.yaml")?;
    let _running = start(&site, &compose, &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth_domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let compose = Compose::read(&site, "deploy/compose/forward-auth-domain.yaml")?;
    let _running = start(&site, &compose, &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}
