//! Error pages of another Service (`custom-http-errors`), with Traefik's provider for the annotations.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::{Client, Site, until};
use reqwest::Method;
use serde_json::json;

use crate::ingresses::{import, list_of};
use crate::served::{INGRESS_NGINX, serve, shown};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "imported::errors::a_page_in_the_place_of_the_outposts_answer_is_refused",
        run: refused,
    },
    Test {
        name: "imported::errors::a_page_for_what_is_missing_is_refused",
        run: missing,
    },
];

/// Traefik answers with the other Service's page, and its status: no session is asked for there, and
/// nobody is led to sign in.
fn refused(cluster: &Cluster) -> Result<()> {
    with_pages_for(cluster, "302,401", signs_nobody_in)
}

fn signs_nobody_in(site: &Site) -> Result<()> {
    let url = site.url("wiki", "/private?x=1")?;
    until(
        "Traefik to answer with the other Service's page",
        Duration::from_secs(60),
        || {
            let answer = Client::new()?.fetch(Method::GET, &url).send().ok();
            Ok(answer.filter(|_| !site.files().is_empty()))
        },
    )?;
    for request in [
        Client::new()?.fetch(Method::GET, &url),
        Client::new()?.page_load(Method::GET, &url),
    ] {
        let answer = request.header("X-Auth-Username", "mallory").send()?;
        assert_eq!(answer.status(), 200, "a refusal that looks like consent");
        assert_eq!(answer.headers().get("location"), None, "no sign-in");
        let seen = site.files();
        let seen = seen.last().context("the other Service was asked")?;
        assert_eq!(seen.uri, "/");
        assert_eq!(seen.header("X-Auth-Username"), Some("mallory"));
    }
    ensure!(site.wiki().is_empty(), "the application itself was asked");
    Ok(())
}

/// The outpost knows no application at a host with another port, and says 404: Traefik asks the other Service
/// then, with the headers that the client sent.
fn missing(cluster: &Cluster) -> Result<()> {
    with_pages_for(cluster, "404,503", hands_the_clients_headers_on)
}

fn hands_the_clients_headers_on(site: &Site) -> Result<()> {
    let url = site.url("wiki", "/private?x=1")?;
    let host = format!("{}:1", url.host_str().context("a host")?);
    let seen = until(
        "Traefik to ask the other Service",
        Duration::from_secs(60),
        || {
            let request = Client::new()?.fetch(Method::GET, &url);
            let request = request.header("X-Department", "mallory");
            let answer = request.header("Host", &host).send();
            Ok(answer.ok().and(site.files().pop()))
        },
    )?;
    assert_eq!(seen.header("X-Department"), Some("mallory"));
    Ok(())
}

/// Shows what Traefik makes of the shown Ingresses with another Service's pages for these statuses, and
/// that the import refuses them.
fn with_pages_for(cluster: &Cluster, statuses: &str, show: fn(&Site) -> Result<()>) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let mut objects = shown(&site, "ingress-nginx-single")?;
    for object in &mut objects {
        if object["kind"] == "Ingress" && object["metadata"]["name"] == "wiki" {
            let annotations = &mut object["metadata"]["annotations"];
            annotations["nginx.ingress.kubernetes.io/custom-http-errors"] = json!(statuses);
            annotations["nginx.ingress.kubernetes.io/default-backend"] = json!("files");
        }
    }
    let before = list_of(&objects);
    let _running = serve(cluster, &site, INGRESS_NGINX, &[], objects, &[])?;
    show(&site)?;
    let imported = import(&["--no-configmap", "--to", "traefik-annotations"], &before)?;
    ensure!(!imported.whole, "{}", imported.text);
    ensure!(
        imported.complained.contains("custom-http-errors"),
        "{}",
        imported.complained
    );
    Ok(())
}
