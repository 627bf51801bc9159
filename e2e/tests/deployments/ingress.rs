//! The annotations of Ingresses, as the nginx ingress controller renders them.

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::IngressNginx;
use gatepost_e2e::{Answer, Client, Site};
use reqwest::{Method, StatusCode};

use crate::checks;

#[test]
fn single() -> Result<()> {
    let site = checks::site("outpost/single.yaml")
        .redirects_everyone()
        .start()?;
    let file = "kubernetes/ingress-nginx-single.yaml";
    let _nginx = IngressNginx::start(&site, file, &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::One)?;
    scripts_get_no_further_than_the_outpost(&site)
}

#[test]
fn domain() -> Result<()> {
    let site = checks::site("outpost/domain.yaml")
        .redirects_everyone()
        .start()?;
    let file = "kubernetes/ingress-nginx-domain.yaml";
    let _nginx = IngressNginx::start(&site, file, &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}

/// The controller redirects scripts too. The outpost, where that leads, answers them 401.
fn scripts_get_no_further_than_the_outpost(site: &Site) -> Result<()> {
    let client = Client::new()?;
    let request = client.fetch(Method::GET, &site.url("wiki", "/api")?);
    let redirect = Answer::read(request.send()?)?;
    let start = redirect.location().context("a redirect")?;
    assert_eq!(start.path(), "/akprox/start");
    let answer = Answer::read(client.fetch(Method::GET, &start).send()?)?;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    answer.json()?;
    Ok(())
}
