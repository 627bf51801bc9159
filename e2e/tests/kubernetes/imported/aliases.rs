//! A wildcard among the further names of a host (`server-alias`), with Traefik's provider for the annotations.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::{Client, until};
use reqwest::{Method, StatusCode};

use crate::ingresses::{import, ingress, list_of};
use crate::served::{INGRESS_NGINX, serve, shown};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "imported::aliases::a_wildcard_of_another_ingress_is_refused",
    run: refused,
}];

/// nginx prefers an exact host; Traefik the longer rule, and so the other Ingress, which asks for no session.
fn refused(cluster: &Cluster) -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let mut objects = shown(&site, "ingress-nginx-single")?;
    let url = site.url("wiki", "/private")?;
    let host = url.host_str().context("a host")?;
    let (_, domain) = host.split_once('.').context("a domain")?;
    let open = format!("open.{domain}");
    let mut other = ingress("open", &open, ("/", "Prefix"), &[]);
    let alias = format!("*.{domain}");
    other["metadata"]["annotations"]["nginx.ingress.kubernetes.io/server-alias"] =
        alias.clone().into();
    objects.push(other);
    let before = list_of(&objects);
    let _running = serve(cluster, &site, INGRESS_NGINX, &[], objects, &[])?;
    until("the other Ingress", Duration::from_secs(60), || {
        let answer = Client::new()?.fetch(Method::GET, &url).send().ok();
        Ok(answer.filter(|answer| answer.status() == StatusCode::OK))
    })?;
    ensure!(!site.wiki().is_empty(), "the application was asked");
    for form in ["traefik-annotations", "gateway"] {
        let imported = import(&["--no-configmap", "--to", form], &before)?;
        ensure!(!imported.whole, "{}", imported.text);
        let complained = imported.complained;
        ensure!(complained.contains(&alias), "{complained}");
    }
    Ok(())
}
