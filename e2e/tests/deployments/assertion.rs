//! Assertions through every proxy that asks the outpost, verified by a library that knows nothing of
//! Gatepost.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::programs::asserted::{AssertedApp, Expected, JwtLibrary, new_assertion_key};
use gatepost_e2e::proxies::{Caddy, Envoy, Haproxy, Nginx, Traefik};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site, pass, ports};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::{checks, route};

const HEADER: &str = "X-Gatepost-Assertion";

struct World {
    site: Site,
    _keys: TempDir,
}

fn world() -> Result<World> {
    let keys = tempfile::tempdir()?;
    let file = keys.path().join("assertion.pem");
    new_assertion_key(&file, "ES256")?;
    let site = checks::site("deploy/outpost/single.yaml")
        .outpost(&json!({ "assertionKeysFile": file }))
        .applications(&json!({ "assertion": {} }))
        .start()?;
    Ok(World { site, _keys: keys })
}

/// Checks that the app gets its user's assertion, and no other.
fn arrives(site: &Site) -> Result<()> {
    let expected = Expected {
        jwks: format!("http://127.0.0.1:{}/akprox/jwks.json", site.ports().outpost).parse()?,
        issuer: site.url("wiki", "/akprox")?.to_string(),
        audience: "wiki".to_owned(),
        algorithm: "ES256",
    };
    let app = AssertedApp::start(JwtLibrary::Jose, ports::free()?, &expected, site.folder())?;
    let alice = Client::new()?;
    alice.sign_in(&site.url("wiki", "/page")?, &ALICE)?;
    let mut own = String::new();
    for spoofed in ["", "stolen"] {
        let mut request = alice.page_load(Method::GET, &site.url("wiki", "/page")?);
        if !spoofed.is_empty() {
            request = request.header(HEADER, spoofed);
        }
        assert_eq!(request.send()?.status(), StatusCode::OK);
        let seen = site.wiki();
        let last = seen.last().context("a request")?;
        own = last
            .header("x-gatepost-assertion")
            .context("one")?
            .to_owned();
        let (status, claims) = app.ask(&own)?;
        assert_eq!(status, StatusCode::OK, "{claims}");
        assert_eq!(claims.get("preferred_username"), Some(&json!(ALICE.login)));
    }
    // A renewal is due after a second: with `fallback: route`, the outpost is asked from then on.
    pass(Duration::from_secs(2));
    let fetched = alice.fetch(Method::GET, &site.url("wiki", "/page")?);
    assert_eq!(fetched.send()?.status(), StatusCode::OK);
    let seen = site.wiki();
    let last = seen.last().context("a request")?;
    let fetched = last.header("x-gatepost-assertion");
    let (status, claims) = app.ask(fetched.context("one of a fetch")?)?;
    assert_eq!(status, StatusCode::OK, "{claims}");
    // Where there is no session, not even a valid one that was stolen.
    let count = site.wiki().len();
    for (path, status) in [
        ("/public/page", StatusCode::OK),
        ("/page", site.turned_away()),
    ] {
        let request = Client::new()?.fetch(Method::GET, &site.url("wiki", path)?);
        let answer = request.header(HEADER, &own).send()?;
        assert_eq!(answer.status(), status, "{path}");
    }
    let seen = site.wiki();
    assert_eq!(seen.len(), count + 1);
    let last = seen.last().context("a request")?;
    let values = last.headers.get("x-gatepost-assertion");
    let values = values
        .into_iter()
        .flatten()
        .filter(|value| !value.is_empty());
    assert_eq!(values.count(), 0, "{last:?}");
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let World { site, _keys } = world()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    arrives(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route() -> Result<()> {
    let World { site, _keys } = world()?;
    let settings = json!({
        "public": checks::PUBLIC,
        "headers": { "set": { HEADER: "gatepost_assertion" } },
    });
    let _traefik = route::handing_on(&site, &settings, &[], &json!({}))?;
    arrives(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx() -> Result<()> {
    let World { site, _keys } = world()?;
    let _nginx = Nginx::start(&site, "deploy/nginx/single.conf", &["wiki"])?;
    arrives(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn caddy() -> Result<()> {
    let World { site, _keys } = world()?;
    let _caddy = Caddy::start(&site, "deploy/caddy/single.Caddyfile", &["wiki"])?;
    arrives(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn envoy() -> Result<()> {
    let World { site, _keys } = world()?;
    let _envoy = Envoy::start(&site, "deploy/envoy/single.yaml", &["wiki"])?;
    arrives(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn haproxy() -> Result<()> {
    let World { site, _keys } = world()?;
    let _haproxy = Haproxy::start(&site, "deploy/haproxy/single.cfg", &["wiki"])?;
    arrives(&site)
}
