//! What `gatepost export` prints, on the proxies that it is for, and what `gatepost check` says of
//! a site that works and of one that does not.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::Compose;
use gatepost_e2e::doubles::docker_api::DockerApi;
use gatepost_e2e::doubles::kube_api::{KubeApi, app_service};
use gatepost_e2e::proxies::{Nginx, Traefik};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::checks;

const HOSTS: [&str; 2] = ["wiki", "files.example.org"];

fn exported(site: &Site, form: &str) -> Result<String> {
    Ok(site.printed(&["export", form])?.0)
}

/// Checks that users can sign in at each host, and that `gatepost check` finds no problem.
fn works(site: &Site) -> Result<()> {
    for host in HOSTS {
        let page = site.url(host, "/page?x=1&y=2")?;
        let journey = Client::new()?.sign_in(&page, &ALICE)?;
        assert_eq!(journey.landed.url, page, "{journey}");
        assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
        let (said, well) = site.gatepost(&["check", "--url", page.as_str()])?;
        assert!(well && said.contains("all well"), "{said}");
    }
    checks::only_the_proxy_asks(site, &["wiki", "auth.example.org"])
}

/// Checks the same, and that the outpost answers whatever a user opens at its own host.
fn works_at_every_host(site: &Site) -> Result<()> {
    works(site)?;
    checks::own_host_answers(site, "files.example.org", "auth.example.org")
}

/// Checks that `gatepost check` names the problem at `host`.
fn check_names_problem(site: &Site, host: &str, path: &str, expected: &str) -> Result<()> {
    let url = site.url(host, path)?;
    let (said, well) = site.gatepost(&["check", "--url", url.as_str()])?;
    assert!(!well && said.contains(expected), "{expected}\n{said}");
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn traefik_accepts_the_exported_configuration() -> Result<()> {
    let site = Site::builder("deploy/outpost/control-plane.yaml").start()?;
    site.change_outpost(|config| {
        // Traefik's file provider runs files as templates.
        config["applications"][0]["public"] = json!(["/healthz", "/{{ 7 }}/*"]);
        Ok(())
    })?;
    let text = exported(&site, "traefik")?;
    let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?;
    fs::write(site.folder().join("traefik/dynamic/exported.yaml"), text)?;
    let _traefik = traefik.start(&HOSTS)?;
    works_at_every_host(&site)?;
    for (path, status) in [("/{{ 7 }}/x", StatusCode::OK), ("/7/x", site.turned_away())] {
        let answered = Client::new()?
            .fetch(Method::GET, &site.url("wiki", path)?)
            .send()?;
        assert_eq!(answered.status(), status, "{path}");
    }
    check_names_problem(&site, "nowhere", "/", "no application has the host")?;
    check_names_problem(
        &site,
        "wiki",
        "/healthz",
        "a client without a session is not asked to sign in",
    )
}

/// Returns a site whose configuration names its parts as the services of a cluster or of a compose
/// file.
fn with_services(outpost: &str) -> Result<Site> {
    let outpost_url = format!("http://{outpost}:9000");
    let site = Site::builder("deploy/outpost/control-plane.yaml")
        .outpost(&json!({ "traefik": { "outpostUrl": outpost_url, "entryPoints": ["web"] } }))
        .start()?;
    // In a compose file, the name is the service; in a cluster, it names the namespace too.
    let rest = if outpost.ends_with(".svc") {
        ".default.svc"
    } else {
        ""
    };
    let upstream = |name: &str| format!("http://{name}{rest}:80");
    site.change_outpost(|config| {
        let wiki = config.pointer_mut("/applications/0/upstream");
        *wiki.context("the file has an upstream")? = json!(upstream("wiki"));
        let hosts = config.pointer_mut("/applications/1/upstreams");
        let hosts = hosts.and_then(Value::as_object_mut);
        for own in hosts.context("the file has upstreams")?.values_mut() {
            *own = json!(upstream("files"));
        }
        Ok(())
    })?;
    Ok(site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn traefik_takes_the_labels_that_are_exported() -> Result<()> {
    let site = with_services("outpost")?;
    // As the compose file has it: a folder that both containers have.
    site.change_outpost(|config| {
        config["stateDir"] = json!(site.state());
        config["traefik"]["pluginStateDir"] = json!("/gatepost");
        if let Some(traefik) = config["traefik"].as_object_mut() {
            traefik.remove("pluginKeysFile");
        }
        Ok(())
    })?;
    let labels = exported(&site, "compose")?;
    let compose = Compose::read(&site, "docker-compose.yml")?.serving(&site, &labels)?;
    let socket = site.folder().join("docker.sock");
    let _engine = DockerApi::start(&socket, compose.containers.clone())?;
    let _traefik = Traefik::of_compose(&site, &compose, &socket)?.start(&HOSTS)?;
    works_at_every_host(&site)?;
    check_names_problem(&site, "nowhere", "/", "no application has the host")
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn traefik_on_kubernetes_accepts_the_exported_configuration() -> Result<()> {
    let site = with_services("gatepost.gatepost.svc")?;
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(&exported(&site, "kubernetes")?)?;
    objects.extend(["wiki", "files"].map(app_service));
    let cluster = KubeApi::of_site(&site, objects)?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/kubernetes-plugin.yaml")?
        .configure(&json!({ "providers": { "kubernetesCRD": cluster.traefik_access() } }))
        .start(&HOSTS)?;
    works_at_every_host(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx_accepts_the_exported_configuration() -> Result<()> {
    let site = Site::builder("deploy/outpost/control-plane.yaml").start()?;
    let text = exported(&site, "nginx")?;
    let _nginx = Nginx::start_with(&site, &text, &HOSTS)?;
    works(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_proxy_that_is_not_trusted_is_named() -> Result<()> {
    let site = Site::builder("deploy/outpost/control-plane.yaml")
        .outpost(&json!({
            "trustedProxies": ["10.0.0.1"],
            "traefik": { "plugin": null, "pluginKeysFile": null },
        }))
        .start()?;
    let text = exported(&site, "traefik")?;
    let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .configure(&json!({ "experimental": null }));
    fs::write(site.folder().join("traefik/dynamic/exported.yaml"), text)?;
    let _traefik = traefik.start(&HOSTS)?;
    check_names_problem(&site, "wiki", "/", "trustedProxies")
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_plugin_that_differs_from_the_outpost_is_named() -> Result<()> {
    let site = Site::builder("deploy/outpost/control-plane.yaml").start()?;
    let keys = site.folder().join("keys");
    fs::write(
        keys.join("other.keys"),
        "o:b3RoZXIta2V5cy10aGFuLXRob3NlLW9mLXRoZS1vdXRwb3N0\n",
    )?;
    for (right, wrong, expected) in [
        (
            "/keys/gatepost.keys",
            "/keys/other.keys",
            "does not accept what these keys sign",
        ),
        (
            "application: wiki",
            "application: wikki",
            "does not accept what these keys sign",
        ),
        (
            "/akprox",
            "/elsewhere",
            "the application's route gets /akprox",
        ),
    ] {
        let text = exported(&site, "traefik")?;
        ensure!(text.contains(right), "no {right} in {text}");
        let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?;
        let text = text.replace(right, wrong);
        fs::write(site.folder().join("traefik/dynamic/exported.yaml"), text)?;
        let _traefik = traefik.start(&HOSTS)?;
        check_names_problem(&site, "wiki", "/", expected)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_provider_that_is_away_is_named() -> Result<()> {
    let site = Site::builder("deploy/outpost/control-plane.yaml").start()?;
    let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?;
    let text = exported(&site, "traefik")?;
    fs::write(site.folder().join("traefik/dynamic/exported.yaml"), text)?;
    let _traefik = traefik.start(&HOSTS)?;
    site.provider().stop();
    check_names_problem(&site, "wiki", "/", "cannot reach it")
}
