//! Proxies that are set up wrong: what `gatepost check --url` says to their operator.

use std::time::Duration;

use anyhow::Result;
use gatepost_e2e::proxies::{Nginx, Traefik};
use gatepost_e2e::{Answer, Client, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::checks;

const OUTPOST: &str = "deploy/outpost/single.yaml";

/// Asserts that the check finds something wrong, and says each of these.
fn is_told(site: &Site, expected: &[&str]) -> Result<()> {
    let url = site.url("wiki", "/")?;
    let (said, well) = site.gatepost(&["check", "--url", url.as_str()])?;
    assert!(!well && !said.contains("all well"), "{said}");
    for expected in expected {
        assert!(said.contains(expected), "`{expected}` is not in: {said}");
    }
    Ok(())
}

/// Waits until the proxy answers a script with this status, and not for want of a route.
fn until_answered(site: &Site, status: StatusCode) -> Result<()> {
    let url = site.url("wiki", "/")?;
    until("the proxy", Duration::from_secs(60), || {
        let Ok(answer) = Client::new()?.fetch(Method::GET, &url).send() else {
            return Ok(None);
        };
        let answer = Answer::read(answer)?;
        let of_traefik = answer.body.contains("404 page not found");
        Ok((answer.status == status && !of_traefik).then_some(()))
    })
}

/// Starts nginx with this text of the shown file replaced, and asserts what the check says.
fn nginx_is_told(
    site: &Site,
    change: (&str, &str),
    answered: StatusCode,
    expected: &[&str],
) -> Result<()> {
    let _nginx = Nginx::start_changed(site, "deploy/nginx/single.conf", &[change], &[])?;
    until_answered(site, answered)?;
    is_told(site, expected)
}

/// nginx takes the outpost's refusal of the question for its refusal of the user, and leads on to a
/// sign-in that never ends.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn an_nginx_that_does_not_say_which_request_it_asks_about() -> Result<()> {
    let site = checks::site(OUTPOST).start()?;
    nginx_is_told(
        &site,
        (
            "proxy_set_header X-Original-URL $scheme://$server_name$request_uri;",
            "",
        ),
        StatusCode::UNAUTHORIZED,
        &["`X-Original-URL`", "the outpost's log names it"],
    )?;
    // In a location of the outpost's own, where all is right, nothing hides the answer.
    nginx_is_told(
        &site,
        (
            "    location /akprox/ {\n        auth_request off;",
            "    location /elsewhere/ {\n        auth_request off;",
        ),
        StatusCode::UNAUTHORIZED,
        &["403", "`location /akprox/`", "`auth_request off`"],
    )
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn an_nginx_that_the_outpost_does_not_trust_or_that_may_not_ask() -> Result<()> {
    // Changes a comment alone.
    let change = ("# The cookies", "#");
    let untrusting = json!({ "trustedProxies": ["192.0.2.1"] });
    let site = checks::site(OUTPOST).outpost(&untrusting).start()?;
    let lacks = ["`trustedProxies` lacks"];
    nginx_is_told(&site, change, StatusCode::UNAUTHORIZED, &lacks)?;
    drop(site);
    let site = checks::site(OUTPOST)
        .outpost(&json!({ "askedBy": ["traefik"] }))
        .start()?;
    let asked_by = ["`askedBy`", "traefik"];
    nginx_is_told(&site, change, StatusCode::INTERNAL_SERVER_ERROR, &asked_by)
}

/// Starts Traefik with these changes of the shown middleware and router, and asserts what the check says.
fn traefik_is_told(site: &Site, changes: &Value, answered: u16, expected: &[&str]) -> Result<()> {
    let _traefik = Traefik::new(site, "deploy/traefik/static/forward-auth.yaml")?
        .route_with("deploy/traefik/dynamic/forward-auth-single.yaml", changes)?
        .start(&[])?;
    until_answered(site, StatusCode::from_u16(answered)?)?;
    is_told(site, expected)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_traefik_that_does_not_reach_the_outposts_question() -> Result<()> {
    let site = checks::site(OUTPOST).start()?;
    let at = |address: String| {
        let middleware = json!({ "forwardAuth": { "address": address } });
        json!({ "http": { "middlewares": { "gatepost": middleware } } })
    };
    let outpost = site.ports().outpost;
    // No program listens there.
    let away = at("http://127.0.0.1:1/akprox/auth/traefik".to_owned());
    traefik_is_told(
        &site,
        &away,
        500,
        &["the proxy cannot reach it at the address", "`listen.http`"],
    )?;
    let misspelt = at(format!("http://127.0.0.1:{outpost}/akprox/auth/trafik"));
    traefik_is_told(
        &site,
        &misspelt,
        404,
        &["/akprox/auth/traefik", "names the path"],
    )?;
    let logged = site.outpost().output();
    assert!(logged.contains("/akprox/auth/trafik"), "{logged}");
    let without = json!({ "http": { "routers": { "wiki": { "middlewares": null } } } });
    traefik_is_told(
        &site,
        &without,
        200,
        &["the middleware is missing at the application's route"],
    )
}
