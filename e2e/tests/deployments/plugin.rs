//! Traefik with the plugin, which itself answers requests that may not pass (`fallback: redirect`).

use std::fs;

use anyhow::{Context as _, Result};
use gatepost_e2e::clients::chromium;
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::proxies::{Traefik, service};
use gatepost_e2e::tools::Browser;
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Client, Service, Site, forge, layout, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::checks;

/// Returns plugin settings for middlewares of these names.
pub(crate) fn middlewares(names: &[&str], settings: &Value) -> Value {
    let plugin = json!({ "plugin": { "gatepost": settings } });
    let all: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), plugin.clone()))
        .collect();
    json!({ "http": { "middlewares": all } })
}

fn public() -> Value {
    json!({ "public": checks::PUBLIC })
}

fn domain_traefik(site: &Site) -> Result<Service> {
    let changes = middlewares(&["gatepost", "gatepost-admins"], &public());
    Traefik::new(site, "deploy/traefik/static/plugin.yaml")?
        .route_with("deploy/traefik/dynamic/plugin-domain.yaml", &changes)?
        .start(&["wiki", "files"])
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with(
            "deploy/traefik/dynamic/plugin-single.yaml",
            &middlewares(&["wiki-gatepost"], &public()),
        )?
        .start(&["wiki"])?;
    checks::single(&site)?;
    page_loads_renew(&site, "wiki")
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _traefik = domain_traefik(&site)?;
    checks::domain(&site)?;
    checks::the_outposts_own_host_answers(&site)?;
    page_loads_renew(&site, "files")
}

/// Hosts under `localhost`, which the other tests have, take the cookie of plain http by themselves.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn the_shown_middlewares_accept_sessions_at_a_host_that_is_not_local() -> Result<()> {
    const HOST: &str = "wiki.example.com";
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let cookie = forge::valid(&site.keys().ring()?, "wiki")?;
    let status = |cookie: &str| -> Result<u16> {
        let mut connection = RawConnection::connect(site.ports().web)?;
        let cookie = format!("gatepost={cookie}");
        connection.request("GET /x", &[("Host", HOST), ("Cookie", &cookie)])?;
        Ok(connection.head()?.status)
    };
    for file in ["plugin-single.yaml", "route-single.yaml"] {
        let path = format!("deploy/traefik/dynamic/{file}");
        let rule = format!("Host(`wiki.example.localhost`) || Host(`{HOST}`)");
        let rule = json!({ "http": { "routers": { "wiki": { "rule": rule } } } });
        let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
            .route_with(&path, &rule)?
            .start(&["wiki"])?;
        // The outpost serves no such host: where it is asked, nobody gets in.
        assert_eq!(status(&cookie)?, 200, "{file}");
        assert_ne!(status("x")?, 200, "{file}");
        drop(traefik);
        fs::remove_dir_all(site.folder().join("traefik"))?;
    }
    Ok(())
}

/// One sign-in, and yet a rule for each router: what a provider's one application for the whole
/// domain cannot have.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn each_router_of_a_domain_has_its_own_rule() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _traefik = domain_traefik(&site)?;
    let bob = Client::new()?;
    let journey = bob.sign_in(&site.url("wiki", "/")?, &BOB)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let refused = bob.open(&site.url("files", "/")?)?;
    assert_eq!(refused.landed.status, StatusCode::FORBIDDEN, "{refused}");
    assert_eq!(site.files(), [], "nothing reached the app");

    let alice = Client::new()?;
    alice.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    let journey = alice.open(&site.url("files", "/")?)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert_eq!(journey.earlier.len(), 0, "no second sign-in: {journey}");
    Ok(())
}

/// What the plugin catalog tries before it lists a version: with the settings of `.traefik.yml`, Traefik has
/// to start the plugin, which finds the outpost's folder there.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn the_settings_that_the_catalog_tries_are_accepted() -> Result<()> {
    let manifest = fs::read_to_string(layout::root().join(".traefik.yml"))?;
    let manifest: Value = serde_saphyr::from_str(&manifest)?;
    let settings = manifest.get("testData").context("settings")?;
    let site = checks::site("deploy/outpost/single.yaml")
        .state_folder()
        .applications(&json!({ "public": ["/healthz"] }))
        .start()?;
    site.await_state()?;
    let mounts = [
        format!("{}:/keys:ro", site.folder().join("keys").display()),
        format!("{}:/gatepost:ro", site.state().display()),
    ];
    let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route("deploy/traefik/dynamic/plugin-single.yaml")?
        .configure(&json!({ "experimental": { "localPlugins": { "gatepost": {
            "settings": { "mounts": mounts },
        } } } }));
    let page = site.url("files", "/")?;
    let app = format!("http://127.0.0.1:{}", site.ports().files);
    let mut routes = middlewares(&["tried"], settings);
    routes["http"]["routers"] = json!({ "tried": {
        "rule": format!("Host(`{}`)", page.host_str().context("a host")?),
        "entryPoints": ["web"],
        "middlewares": ["tried"],
        "service": "tried",
    } });
    routes["http"]["services"] = service("tried", &app);
    let file = site.folder().join("traefik/dynamic/tried.yaml");
    fs::write(file, routes.to_string())?;
    let _traefik = traefik.start(&["wiki", "files"])?;
    let client = Client::new()?;
    for (path, status) in [
        ("/", StatusCode::UNAUTHORIZED),
        ("/healthz", StatusCode::OK),
    ] {
        let request = client.fetch(Method::GET, &page.join(path)?);
        assert_eq!(request.send()?.status(), status, "{path}");
    }
    Ok(())
}

/// Scripts go on undisturbed; a page load comes back with a fresh cookie, by way of `start`.
fn page_loads_renew(site: &Site, host: &str) -> Result<()> {
    let client = Client::new()?;
    let page = site.url(host, "/page?x=1&y=2")?;
    client.sign_in(&page, &ALICE)?;
    let first = client.cookie(&page, "gatepost").context("a session")?;
    let journey = until("a renewal", checks::RENEWAL, || {
        let script = client.fetch(Method::GET, &page).send()?.status();
        assert_eq!(script, StatusCode::OK);
        let journey = client.open(&page)?;
        assert_eq!(journey.landed.url, page, "{journey}");
        assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
        Ok((!journey.earlier.is_empty()).then_some(journey))
    })?;
    assert!(journey.passed("/akprox/start"), "{journey}");
    assert!(!journey.passed("/akprox/callback"), "silently: {journey}");
    assert_ne!(client.cookie(&page, "gatepost"), Some(first));
    Ok(())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn pages_of_a_domain_renew_beside_in_chromium() -> Result<()> {
    pages_of_a_domain_renew_beside(Browser::Chromium)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Firefox: cargo xtask test"]
fn pages_of_a_domain_renew_beside_in_firefox() -> Result<()> {
    pages_of_a_domain_renew_beside(Browser::Firefox)
}

/// The page is on one host of the site, and the outpost on another.
fn pages_of_a_domain_renew_beside(browser: Browser) -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml")
        .outpost(&chromium::renewal_settings())
        .start()?;
    let _traefik = domain_traefik(&site)?;
    chromium::renew_beside(browser, "domain", &site.url("wiki", "/")?, site.outpost())
}
