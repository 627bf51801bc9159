//! The provider's tokens of the user in headers for the application, which uses them at the
//! provider.

// What a test cannot go on without stops it; `clippy.toml` knows that of test functions only.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::proxies::{Envoy, Traefik};
use gatepost_e2e::users::{ALICE, BOB, User};
use gatepost_e2e::{Answer, Client, Site, at_once, forge, pass, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::plugin::middlewares;
use crate::{caddy, checks, forward_auth, haproxy, nginx, route};

const HEADERS: [&str; 2] = ["Authorization", "X-Id-Token"];

/// How long the provider's access tokens last. The outpost replaces one in its last third.
const LIFETIME: Duration = Duration::from_secs(12);

/// For Traefik to start on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn tokens() -> Value {
    json!({ "accessToken": "Authorization", "idToken": "X-Id-Token" })
}

fn site() -> Result<Site> {
    checks::site("deploy/outpost/single.yaml")
        .outpost(&json!({ "session": { "window": "1h", "renewAfter": "50m" } }))
        .applications(&json!({ "upstreamTokens": tokens() }))
        .provider(&json!({ "lifetimes": { "accessToken": LIFETIME.as_secs() } }))
        .start()
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let site = site()?;
    let _traefik = forward_auth::handing_on(&site, &HEADERS, &json!({}))?;
    the_application_uses_the_tokens(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route() -> Result<()> {
    let site = site()?;
    let settings = json!({ "public": checks::PUBLIC, "upstreamTokens": tokens() });
    let _traefik = route::handing_on(&site, &settings, &HEADERS, &json!({}))?;
    the_application_uses_the_tokens(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx() -> Result<()> {
    let site = site()?;
    let id_token = "auth_request_set $app_id_token $upstream_http_x_id_token;
        proxy_set_header X-Id-Token $app_id_token;";
    let _nginx = nginx::handing_on_with(&site, "Authorization", id_token)?;
    the_application_uses_the_tokens(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn caddy() -> Result<()> {
    let site = site()?;
    let id_token = "request_header X-Id-Token {rp.header.X-Id-Token}";
    let _caddy = caddy::for_machines(&site, id_token)?;
    the_application_uses_the_tokens(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn haproxy() -> Result<()> {
    let site = site()?;
    let _haproxy = haproxy::for_machines(&site, &["x-id-token"])?;
    the_application_uses_the_tokens(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn envoy() -> Result<()> {
    let site = site()?;
    let line = "- exact: x-forwarded-groups\n";
    let names = ["authorization", "x-id-token"];
    let further = names.map(|name| format!("                    - exact: {name}\n"));
    let lines = format!("{line}{}", further.concat());
    let file = "deploy/envoy/single.yaml";
    let _envoy = Envoy::start_with(&site, file, &[(line, &lines)], &["wiki"])?;
    the_application_uses_the_tokens(&site)
}

/// A name that the shown script has already, as one of other systems.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn haproxy_adds_a_header_once_that_its_list_names_twice() -> Result<()> {
    let name = "x-forwarded-access-token";
    let site = checks::site("deploy/outpost/single.yaml")
        .applications(&json!({ "upstreamTokens": { "accessToken": name } }))
        .start()?;
    let _haproxy = haproxy::for_machines(&site, &[name])?;
    let client = Client::new()?;
    let journey = client.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    ensure!(journey.landed.status == StatusCode::OK, "{journey}");
    let request = client.fetch(Method::GET, &site.url("wiki", "/api")?);
    let answer = request.header(name, "of-the-client").send()?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    let token = seen.header(name).context("one access token")?;
    ensure!(!token.contains("of-the-client"), "{token}");
    Ok(())
}

/// The plugin alone has no tokens, and an application that waits for them is not left without.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn the_plugin_alone_serves_no_application_with_tokens() -> Result<()> {
    let site = site()?;
    let settings = json!({ "public": checks::PUBLIC, "upstreamTokens": tokens() });
    let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with(
            "deploy/traefik/dynamic/plugin-single.yaml",
            &middlewares(&["wiki-gatepost"], &settings),
        )?
        .start(&[])?;
    let page = site.url("wiki", "/public/logo")?;
    let client = Client::new()?;
    until("the plugin to refuse", PATIENCE, || {
        let answer = client.page_load(Method::GET, &page).send();
        let status = answer.map(|answer| answer.status());
        Ok(matches!(status, Ok(StatusCode::SERVICE_UNAVAILABLE)).then_some(()))
    })?;
    let said = "upstreamTokens: needs `fallback: route`";
    ensure!(traefik.output().contains(said), "{}", traefik.output());
    ensure!(site.wiki().is_empty(), "nothing reached the app");
    Ok(())
}

fn the_application_uses_the_tokens(site: &Site) -> Result<()> {
    no_header_of_a_client_reaches_the_application(site)?;
    let signed_in = |user: &User| -> Result<Client> {
        let client = Client::new()?;
        let journey = client.sign_in(&site.url("wiki", "/")?, user)?;
        ensure!(journey.landed.status == StatusCode::OK, "{journey}");
        Ok(client)
    };
    let since = Instant::now();
    let alice = signed_in(&ALICE)?;
    let first = used(site, &alice, &ALICE)?;
    let of_bob = used(site, &signed_in(&BOB)?, &BOB)?;
    ensure!(first != of_bob);
    let renewals = || {
        site.provider()
            .output()
            .matches("granted refresh_token")
            .count()
    };
    let before = renewals();
    pass(LIFETIME.saturating_sub(since.elapsed()) + Duration::from_secs(3));
    // The application never has one that has ended; and one renewal is enough for all.
    for token in at_once(0..6, |_| used(site, &alice, &ALICE)) {
        let token = token?;
        ensure!(token != first, "{token}");
    }
    ensure!(renewals() == before + 1, "{}", renewals());
    Ok(())
}

/// Has the application ask the provider whose its tokens are, and returns the access token.
fn used(site: &Site, client: &Client, user: &User) -> Result<String> {
    let path = format!("/api/{:?}", std::thread::current().id()).replace(['(', ')'], "-");
    let spoofed = client
        .fetch(Method::GET, &site.url("wiki", &path)?)
        .header("Authorization", "Bearer of-the-client")
        .header("X-Id-Token", "of-the-client")
        .send()?;
    ensure!(spoofed.status() == StatusCode::OK, "{}", spoofed.status());
    let seen = site.wiki();
    let seen = seen.iter().rev().find(|seen| seen.uri == path);
    let seen = seen.context("the app was asked")?;
    let token = seen.header("authorization").context("one access token")?;
    let token = token.strip_prefix("Bearer ").context("a bearer token")?;
    let id_token = seen.header("x-id-token").context("one ID token")?;

    let provider = Client::new()?;
    let issuer = format!("http://127.0.0.1:{}", site.ports().provider);
    let discovery = Url::parse(&format!("{issuer}/.well-known/openid-configuration"))?;
    let metadata = Answer::read(provider.bare(Method::GET, &discovery).send()?)?.json()?;
    let endpoint = |name: &str| -> Result<Url> {
        Ok(Url::parse(metadata[name].as_str().context("an endpoint")?)?)
    };
    let asked = provider.bare(Method::GET, &endpoint("userinfo_endpoint")?);
    let userinfo = Answer::read(asked.bearer_auth(token).send()?)?;
    ensure!(userinfo.status == StatusCode::OK, "{}", userinfo.body);
    let userinfo = userinfo.json()?;
    ensure!(userinfo["preferred_username"] == user.login, "{userinfo}");
    let asked = provider
        .bare(Method::POST, &endpoint("introspection_endpoint")?)
        .basic_auth("gatepost", Some("demo-client-secret"))
        .form(&[("token", token)]);
    let introspected = Answer::read(asked.send()?)?.json()?;
    ensure!(introspected["active"] == true, "{introspected}");
    ensure!(introspected["sub"] == userinfo["sub"], "{introspected}");
    let claims = forge::claims(id_token)?;
    ensure!(
        claims["sub"] == userinfo["sub"] && claims["aud"] == "gatepost",
        "{claims}"
    );
    Ok(token.to_owned())
}

fn no_header_of_a_client_reaches_the_application(site: &Site) -> Result<()> {
    let client = Client::new()?;
    let path = "/public/spoofed";
    for name in ["Authorization", "X-Id-Token", "X_Id_Token", "x-id_token"] {
        let request = client.fetch(Method::GET, &site.url("wiki", path)?);
        let answer = request.header(name, "Bearer of-the-client").send()?;
        ensure!(
            answer.status() == StatusCode::OK,
            "{name}: {}",
            answer.status()
        );
        let seen = site.wiki();
        let seen = seen.last().context("the app was asked")?;
        ensure!(seen.uri == path, "{name}: {seen:?}");
        let shown = format!("{:?}", seen.headers);
        ensure!(!shown.contains("of-the-client"), "{name}: {shown}");
    }
    Ok(())
}
