//! Traefik configured by nothing but its HTTP provider, which the outpost serves.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::checks;

/// Traefik polls, and the outpost looks at its file now and then.
const TAKEN_UP: Duration = Duration::from_secs(60);

const HOSTS: [&str; 2] = ["wiki", "files.example.org"];

fn served(site: &Site) -> Result<Answer> {
    let url = format!("http://127.0.0.1:{}/traefik", site.ports().metrics);
    let request = Client::new()?.bare(Method::GET, &Url::parse(&url)?);
    Answer::read(request.send()?)
}

fn signs_in(site: &Site, host: &str) -> Result<()> {
    let page = site.url(host, "/page?x=1&y=2")?;
    let journey = Client::new()?.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn traefik_learns_everything_from_the_outpost() -> Result<()> {
    let site = Site::builder("deploy/outpost/control-plane.yaml").start()?;
    let poll = json!({ "providers": { "http": { "pollInterval": "1s" } } });
    let _traefik = Traefik::new(&site, "deploy/traefik/static/http-provider.yaml")?
        .configure(&poll)
        .start(&HOSTS)?;
    for host in HOSTS {
        signs_in(&site, host)?;
    }
    let seen = site.files();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.header("x-auth-username"), Some("alice"));
    assert_eq!(seen.header("cookie"), None, "the session's cookie");

    // The same text each time: a reload makes Traefik build the plugin again.
    let first = served(&site)?;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(served(&site)?.body, first.body);
    let keys = std::fs::read_to_string(site.keys().path())?;
    let secret = keys.trim().split(':').nth(1).context("a key")?;
    assert!(!first.body.contains(secret), "keys travel by file only");

    // A change of the outpost's file is a change of Traefik's routing.
    let page = site.url("wiki", "/manual")?;
    let client = Client::new()?;
    let status = client.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    site.change_outpost(|config| {
        let public = config.pointer_mut("/applications/0/public");
        *public.context("the file has public paths")? = json!(["/healthz", "/manual"]);
        Ok(())
    })?;
    until("the new public path", TAKEN_UP, || {
        let status = client.fetch(Method::GET, &page).send()?.status();
        Ok((status == StatusCode::OK).then_some(()))
    })
}

/// A site whose Traefik has no plugin.
fn without_the_plugin() -> Result<Site> {
    Site::builder("deploy/outpost/control-plane.yaml")
        .outpost(&json!({ "traefik": { "plugin": null, "pluginKeysFile": null } }))
        .start()
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn traefik_without_the_plugin_asks_the_outpost() -> Result<()> {
    let site = without_the_plugin()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/http-provider.yaml")?
        .configure(&json!({ "experimental": Value::Null }))
        .start(&HOSTS)?;
    for host in HOSTS {
        signs_in(&site, host)?;
    }
    // No identity in another spelling, or by another system's header, where no plugin removes it.
    checks::no_client_names_the_user(&site, "/healthz")
}

/// What `export traefik` prints, with the plugin for none of its applications.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_client_names_the_user_by_an_exported_forward_auth() -> Result<()> {
    let site = without_the_plugin()?;
    let (text, _) = site.printed(&["export", "traefik"])?;
    let traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?;
    std::fs::write(site.folder().join("traefik/dynamic/exported.yaml"), text)?;
    let _traefik = traefik.start(&HOSTS)?;
    checks::no_client_names_the_user(&site, "/healthz")
}
