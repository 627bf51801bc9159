//! Every attack on the other Traefiks: the oldest that is supported, and one that believes the load
//! balancer in front of it.

use std::fs;

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::{LoadBalancer, Traefik};
use gatepost_e2e::tools::{OldestTraefik, Tool as _};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fronts::{attack, lax, policy};

/// Row A7: the oldest release that the docs name withstands the same attacks as the newest.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_attack_gets_past_the_oldest_traefik() -> Result<()> {
    let program = OldestTraefik.locate()?;
    on_each_front("the oldest Traefik", false, |traefik| {
        traefik.program(program.clone())
    })
}

/// Row A3: a load balancer hands on all that a client says of its request, and Traefik trusts the
/// load balancer.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_attack_gets_past_traefik_behind_a_load_balancer() -> Result<()> {
    on_each_front("a load balancer", true, |traefik| {
        traefik.behind_load_balancer()
    })
}

fn on_each_front(
    what: &str,
    balanced: bool,
    change: impl Fn(Traefik<'_>) -> Traefik<'_>,
) -> Result<()> {
    let site = Site::builder("deploy/outpost/single.yaml")
        .applications(&policy())
        .start()?;
    let _balancer = balanced.then(|| LoadBalancer::start(&site)).transpose()?;
    let (entry_point, routing) = lax();
    let plugin = "deploy/traefik/static/plugin.yaml";
    let route = json!({ "http": { "middlewares": { "gatepost": { "plugin": { "gatepost": policy() } } } } });
    let mut token = None;
    for (front, own, changes, dynamic, more) in [
        (
            "the plugin",
            plugin,
            &entry_point,
            "deploy/traefik/dynamic/plugin-single.yaml",
            &routing,
        ),
        (
            "a route",
            plugin,
            &Value::Null,
            "deploy/traefik/dynamic/route-single.yaml",
            &route,
        ),
        (
            "auth/traefik",
            "deploy/traefik/static/forward-auth.yaml",
            &Value::Null,
            "deploy/traefik/dynamic/forward-auth-single.yaml",
            &Value::Null,
        ),
    ] {
        let mut traefik = Traefik::new(&site, own)?;
        if !changes.is_null() {
            traefik = traefik.configure(changes);
        }
        let running = change(traefik)
            .route_with(dynamic, more)?
            .start(&["wiki"])?;
        let token = match &token {
            Some(token) => token,
            None => token.insert(signed_in(&site)?),
        };
        attack(&site, &format!("{front} behind {what}"), token)?;
        drop(running);
        fs::remove_dir_all(site.folder().join("traefik"))?;
    }
    Ok(())
}

fn signed_in(site: &Site) -> Result<String> {
    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    client.sign_in(&page, &ALICE)?;
    client.cookie(&page, "gatepost").context("a session")
}

/// Row A3: with `trustForwardHeader: false` Traefik says `http` behind a load balancer that
/// terminates TLS. The outpost does not build URLs from that: browsers are led to https, and
/// sessions renew.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn where_a_load_balancer_ends_tls_everything_leads_to_https() -> Result<()> {
    for (outpost, application, dynamic) in [
        (
            "deploy/outpost/single.yaml",
            "wiki",
            "deploy/traefik/dynamic/forward-auth-single.yaml",
        ),
        (
            "deploy/outpost/domain.yaml",
            "auth",
            "deploy/traefik/dynamic/forward-auth-domain.yaml",
        ),
    ] {
        let https = json!({ "externalUrl": format!("https://{application}.example.localhost") });
        let site = Site::builder(outpost).applications(&https).start()?;
        let _balancer = LoadBalancer::that_ends_tls(&site)?;
        let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
            .behind_load_balancer()
            .route(dynamic)?
            .start(&["wiki"])?;
        let client = Client::new()?;
        let page = site.url("wiki", "/reports?a=b")?;
        let answer = client.page_load(Method::GET, &page).send()?;
        assert_eq!(answer.status(), StatusCode::FOUND, "{dynamic}");
        let location = answer.headers().get("location").context("a place")?;
        let location = location.to_str()?;
        let start = format!("https://{application}.example.localhost/akprox/start?rd=");
        assert!(location.starts_with(&start), "{location}");
        assert!(
            !location.contains("http%3A") && !location.contains("http:"),
            "{location}"
        );
    }
    Ok(())
}
