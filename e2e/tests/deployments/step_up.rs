//! Step-up through real proxies: the plugin, the plugin in front of routers, `auth/traefik` and
//! `auth/nginx`, at a provider that has users sign in again for a class that they have not.

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::{Nginx, Traefik};
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Client, Service, Site};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::plugin::middlewares;

/// The rules, which stand at the outpost and in the plugin.
fn rules() -> Value {
    json!({ "rules": [
        { "name": "vault", "paths": ["/vault/*"], "require": { "acr": ["gold"] } },
        { "name": "fresh", "paths": ["/fresh/*"], "require": { "maxAge": "5m" } },
    ] })
}

/// Returns a site with these rules at the outpost.
fn site(at_outpost: &Value) -> Result<Site> {
    Site::builder("deploy/outpost/single.yaml")
        .applications(at_outpost)
        .provider(&json!({
            "levels": ["silver", "gold"],
            "users": { "bob": { "levels": ["silver"] } },
        }))
        .start()
}

fn traefik(site: &Site, dynamic: &str, middleware: &str) -> Result<Service> {
    Traefik::new(site, "deploy/traefik/static/plugin.yaml")?
        .route_with(dynamic, &middlewares(&[middleware], &rules()))?
        .start(&["wiki"])
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn by_the_plugin() -> Result<()> {
    let site = site(&rules())?;
    let file = "deploy/traefik/dynamic/plugin-single.yaml";
    let _traefik = traefik(&site, file, "wiki-gatepost")?;
    steps_up(&site)
}

/// The outpost knows nothing of the rules.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn by_the_plugins_own_rules() -> Result<()> {
    let site = site(&json!({}))?;
    let file = "deploy/traefik/dynamic/plugin-single.yaml";
    let _traefik = traefik(&site, file, "wiki-gatepost")?;
    steps_up(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn by_the_outpost_behind_the_plugin() -> Result<()> {
    let site = site(&json!({}))?;
    let file = "deploy/traefik/dynamic/route-single.yaml";
    let _traefik = traefik(&site, file, "gatepost")?;
    steps_up(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn by_forward_auth() -> Result<()> {
    let site = site(&rules())?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    steps_up(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn by_nginx() -> Result<()> {
    let site = site(&rules())?;
    let _nginx = Nginx::start(&site, "deploy/nginx/single.conf", &["wiki"])?;
    steps_up(&site)
}

fn steps_up(site: &Site) -> Result<()> {
    let page = site.url("wiki", "/x")?;
    let vault = site.url("wiki", "/vault/x?y=1&z=%2F")?;
    let alice = Client::new()?;
    let journey = alice.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");

    // The provider says when, and remembers the user.
    let fresh = site.url("wiki", "/fresh/x")?;
    let journey = alice.open(&fresh)?;
    assert_eq!(journey.landed.url, fresh, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert!(journey.passed("/akprox/callback"), "{journey}");

    let before = site.wiki().len();
    let script = alice.fetch(Method::GET, &vault).send()?;
    assert_eq!(script.status(), StatusCode::UNAUTHORIZED);
    let challenge = script.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.context("a challenge")?.to_str()?;
    assert!(
        challenge.starts_with("Bearer ")
            && challenge.contains("error=\"insufficient_user_authentication\"")
            && challenge.contains("acr_values=\"gold\""),
        "{challenge}"
    );
    let form = alice.page_load(Method::POST, &vault).send()?;
    assert_eq!(form.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(site.wiki().len(), before, "nothing reached the app");

    // Another user changes nothing.
    forget_at_provider(&alice, &vault)?;
    let journey = alice.sign_in(&vault, &BOB)?;
    assert_eq!(journey.landed.status, StatusCode::FORBIDDEN, "{journey}");
    assert!(journey.landed.body.contains("someone else"), "{journey}");
    let journey = alice.open(&page)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert_eq!(journey.earlier.len(), 0, "her session goes on: {journey}");
    assert_eq!(site.wiki().len(), before + 1);
    forget_at_provider(&alice, &vault)?;

    // The provider shows its page once more, and then the page opens.
    let journey = alice.sign_in(&vault, &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert_eq!(journey.landed.url, vault, "{journey}");
    let journey = alice.open(&vault)?;
    assert_eq!(journey.earlier.len(), 0, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");

    // Another site's link leaves the class to her.
    let mut link = site.url("wiki", "/akprox/start?rd=/x&step_up=GET")?;
    let weaker = "all=claim:acr:silver";
    link.query_pairs_mut().append_pair("authentication", weaker);
    let journey = alice.open(&link)?;
    assert_eq!(journey.landed.status, StatusCode::FORBIDDEN, "{journey}");
    assert!(!journey.passed("/akprox/callback"), "{journey}");
    let journey = alice.open(&vault)?;
    assert_eq!(journey.earlier.len(), 0, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");

    // Bob cannot have more than `silver`.
    let bob = Client::new()?;
    bob.sign_in(&page, &BOB)?;
    let before = site.wiki().len();
    let journey = bob.sign_in(&vault, &BOB)?;
    assert_eq!(journey.landed.status, StatusCode::FORBIDDEN, "{journey}");
    assert!(journey.passed("/akprox/callback"), "{journey}");
    assert!(journey.landed.body.contains("stronger or more recent"));
    assert_eq!(site.wiki().len(), before, "nothing reached the app");
    let journey = bob.open(&page)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert_eq!(journey.earlier.len(), 0, "his session goes on: {journey}");
    Ok(())
}

/// Takes the provider's session from a client, so that another user can sign in there.
fn forget_at_provider(client: &Client, page: &Url) -> Result<()> {
    let journey = client.open(page)?;
    assert!(journey.passed("/akprox/start"), "{journey}");
    client.add_cookie(&journey.landed.url, "_session=; Path=/; Max-Age=0");
    Ok(())
}
