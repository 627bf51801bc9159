//! Traefik's `forwardAuth` alone, without the plugin.

use anyhow::Result;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::{Client, Service, Site};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::checks;

/// Changes of a middleware of `deploy/traefik/` that asks the outpost: it passes these headers of the
/// response on to the app, besides those that it already passes.
pub(crate) fn hands_on(headers: &[&str]) -> Value {
    let usual = [
        "X-Auth-Username",
        "X-Auth-Groups",
        "X-Forwarded-Email",
        "X-Forwarded-Preferred-Username",
        "X-Forwarded-User",
        "Cookie",
    ];
    let names = [&usual[..], headers].concat();
    json!({ "forwardAuth": { "authResponseHeaders": names } })
}

/// Starts Traefik in front of one application, which passes these headers of the outpost's response on
/// to the app too, with changes of its services.
pub(crate) fn handing_on(site: &Site, headers: &[&str], services: &Value) -> Result<Service> {
    let changes = json!({ "http": {
        "middlewares": { "gatepost": hands_on(headers) },
        "services": services,
    } });
    Traefik::new(site, "deploy/traefik/static/forward-auth.yaml")?
        .route_with("deploy/traefik/dynamic/forward-auth-single.yaml", &changes)?
        .start(&["wiki"])
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::Several)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-domain.yaml")?
        .start(&["wiki", "files"])?;
    checks::domain(&site)?;
    checks::the_outposts_own_host_answers(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}

/// The configuration that people have from authentik's outposts, with its path.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn authentik_path() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let address = format!(
        "http://127.0.0.1:{}/outpost.goauthentik.io/auth/traefik",
        site.ports().outpost
    );
    let changes = json!({
        "http": { "middlewares": { "gatepost": { "forwardAuth": { "address": address } } } }
    });
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route_with("deploy/traefik/dynamic/forward-auth-single.yaml", &changes)?
        .start(&["wiki"])?;
    checks::single(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn an_untrusted_proxy_lets_no_user_pass() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .outpost(&json!({ "trustedProxies": ["10.0.0.0/8"] }))
        .start()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    let client = Client::new()?;
    for path in ["/", "/public/logo", "/akprox/start"] {
        let page = client.page_load(Method::GET, &site.url("wiki", path)?);
        assert_eq!(page.send()?.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(site.wiki(), [], "nothing reached the app");
    Ok(())
}
