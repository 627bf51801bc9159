//! The labels of compose files, read by Traefik's docker provider from a double of the engine.

use anyhow::Result;
use gatepost_e2e::Compose;
use gatepost_e2e::doubles::docker_api::DockerApi;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Service, Site};
use reqwest::{Method, StatusCode};

use crate::checks;

/// Starts Traefik as the compose file has it, and the engine that it asks.
fn start(site: &Site, compose: &Compose, hosts: &[&str]) -> Result<(Service, DockerApi)> {
    let socket = site.folder().join("docker.sock");
    let engine = DockerApi::start(&socket, compose.containers.clone())?;
    let traefik = Traefik::of_compose(site, compose, &socket)?.start(hosts)?;
    Ok((traefik, engine))
}

/// `docker-compose.yml` at the top of the checkout.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn demo() -> Result<()> {
    let site = checks::site("deploy/compose/demo/gatepost.yaml")
        .wiki_at("whoami.localhost")
        .start()?;
    let compose = Compose::read(&site, "docker-compose.yml")?;
    let _running = start(&site, &compose, &["wiki"])?;
    checks::single(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .state_folder()
        .start()?;
    let compose = Compose::read(&site, "deploy/compose/plugin-single.yaml")?;
    let _running = start(&site, &compose, &["wiki"])?;
    checks::single(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml")
        .state_folder()
        .start()?;
    let compose = Compose::read(&site, "deploy/compose/plugin-domain.yaml")?;
    let _running = start(&site, &compose, &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::the_outposts_own_host_answers(&site)
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
    checks::the_outposts_own_host_answers(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}

/// Labels go with their container. The middleware is not the outpost's: who is signed in goes on, and
/// the outpost's own host has the page that says why nobody can sign in.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_domain_without_the_outpost() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml")
        .state_folder()
        .start()?;
    let mut compose = Compose::read(&site, "deploy/compose/plugin-domain.yaml")?;
    let hosts = ["wiki", "files"];
    let running = start(&site, &compose, &hosts)?;
    let alice = Client::new()?;
    alice.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    drop(running);
    std::fs::remove_file(site.folder().join("docker.sock"))?;
    compose.containers.retain(|it| it.name != "outpost");
    let _running = start(&site, &compose, &hosts)?;
    for host in hosts {
        let answer = alice.fetch(Method::GET, &site.url(host, "/x")?).send()?;
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
    let journey = Client::new()?.open(&site.url("wiki", "/x")?)?;
    let landed = &journey.landed;
    assert_eq!(landed.url.path(), "/akprox/start", "{journey}");
    assert_eq!(landed.status, StatusCode::SERVICE_UNAVAILABLE, "{journey}");
    assert!(landed.body.contains("no outpost is running"), "{journey}");
    Ok(())
}

/// Traefik sorts labels as text, so that `rules[10]` comes before `rules[1]`: the rule that is open to
/// every client would decide before those that refuse. Up to nine of them are in order.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn rules_in_labels_of_their_own_are_refused_where_traefik_sorts_them_otherwise() -> Result<()> {
    const MIDDLEWARE: &str = "traefik.http.middlewares.gatepost.plugin.gatepost";
    let site = checks::site("deploy/outpost/domain.yaml")
        .state_folder()
        .start()?;
    let keys = std::fs::read_to_string(site.keys().path())?;
    let auth = site.url("auth", "")?.origin().ascii_serialization();
    for (count, admin, other) in [
        (9, StatusCode::FORBIDDEN, StatusCode::OK),
        (
            10,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::SERVICE_UNAVAILABLE,
        ),
    ] {
        let mut compose = Compose::read(&site, "deploy/compose/plugin-domain.yaml")?;
        // In the long form, where a middleware has rules.
        for container in &mut compose.containers {
            container
                .labels
                .retain(|key, _| !key.ends_with(".stateDir"));
        }
        for (container, middleware) in [("traefik", "gatepost"), ("files", "gatepost-admins")] {
            for (key, value) in [("mode", "domain"), ("outpostUrl", &auth), ("keys", &keys)] {
                let key = format!("traefik.http.middlewares.{middleware}.plugin.gatepost.{key}");
                compose = compose.label(container, &key, value.trim())?;
            }
        }
        for at in 0..count {
            let (path, effect) = if at + 1 == count {
                ("/*".to_owned(), "public")
            } else {
                (format!("/admin{at}/*"), "deny")
            };
            for (key, value) in [("paths[0]", &*path), (effect, "true")] {
                let key = format!("{MIDDLEWARE}.rules[{at}].{key}");
                compose = compose.label("traefik", &key, value)?;
            }
        }
        let running = start(&site, &compose, &["files"])?;
        let client = Client::new()?;
        for (path, expected) in [("/admin1/x", admin), ("/x", other)] {
            let request = client.fetch(Method::GET, &site.url("wiki", path)?);
            assert_eq!(request.send()?.status(), expected, "{count}: {path}");
        }
        drop(running);
        std::fs::remove_file(site.folder().join("docker.sock"))?;
    }
    Ok(())
}
