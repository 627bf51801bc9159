//! Programs that bring credentials of a real provider, through real proxies.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::checks;
use crate::forward_auth::hands_on;
use crate::nginx;
use crate::plugin::middlewares;

const PATIENCE: Duration = Duration::from_secs(90);

/// What tokens are for.
const WIKI: &str = "https://wiki.example.com";
const ELSEWHERE: &str = "https://elsewhere.example.com";

/// A client of the provider, in the group `staff`, and one in none.
const ROBOT: (&str, &str) = ("robot", "r0b:t & co");
const STRANGER: (&str, &str) = ("stranger", "secret");

fn site() -> Result<Site> {
    checks::site("outpost/single.yaml")
        .applications(&json!({
            "machines": ["bearer", "basic"],
            "machineTokens": { "audience": [WIKI], "parameters": { "resource": WIKI } },
        }))
        .provider(&json!({
            "resources": [WIKI, ELSEWHERE],
            "programs": {
                ROBOT.0: { "secret": ROBOT.1, "groups": ["staff"] },
                STRANGER.0: { "secret": STRANGER.1, "groups": [] },
            },
        }))
        .start()
}

#[test]
fn route() -> Result<()> {
    let site = site()?;
    let settings = json!({ "public": checks::PUBLIC, "machines": "bearer,basic" });
    let mut changes = middlewares(&["gatepost"], &settings);
    changes["http"]["middlewares"]["ask-outpost"] = hands_on("Authorization");
    let _traefik = Traefik::new(&site, "traefik/traefik.yaml")?
        .route_with("traefik/route-single.yaml", &changes)?
        .start(&["wiki"])?;
    programs_come_in(&site)
}

#[test]
fn forward_auth() -> Result<()> {
    let site = site()?;
    let changes = json!({ "http": { "middlewares": { "gatepost": hands_on("Authorization") } } });
    let _traefik = Traefik::new(&site, "traefik/forward-auth.yaml")?
        .route_with("traefik/forward-auth-single.yaml", &changes)?
        .start(&["wiki"])?;
    programs_come_in(&site)
}

#[test]
fn nginx() -> Result<()> {
    let site = site()?;
    let _nginx = nginx::handing_on(&site, "Authorization")?;
    programs_come_in(&site)
}

/// The plugin alone cannot ask, so it refuses, and a router of its own takes programs to the
/// outpost.
#[test]
fn plugin_that_answers_by_itself() -> Result<()> {
    let site = site()?;
    let settings = json!({ "public": checks::PUBLIC, "machines": "bearer" });
    let traefik = Traefik::new(&site, "traefik/traefik.yaml")?
        .route_with(
            "traefik/single.yaml",
            &middlewares(&["wiki-gatepost"], &settings),
        )?
        .start(&["wiki"])?;
    let token = token(&site, WIKI, ROBOT)?;
    let refused = call(&site, &bearer(&token))?;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.header("www-authenticate").is_some());
    until("a line in the log", PATIENCE, || {
        Ok(traefik
            .output()
            .contains("needs `fallback: route`")
            .then_some(()))
    })?;
    drop(traefik);

    let host = site.url("wiki", "/")?;
    let host = host.host_str().context("a host")?;
    let mut ask = hands_on("Authorization");
    let address = format!(
        "http://127.0.0.1:{}/akprox/auth/traefik",
        site.ports().outpost
    );
    ask["forwardAuth"]["address"] = json!(address);
    let mut changes = middlewares(&["wiki-gatepost"], &json!({ "public": checks::PUBLIC }));
    changes["http"]["middlewares"]["ask-outpost"] = ask;
    changes["http"]["routers"] = json!({ "programs": {
        "rule": format!(
            "Host(`{host}`) && HeaderRegexp(`Authorization`, `^(?i)(bearer|basic) `)"
        ),
        "middlewares": ["ask-outpost"],
        "service": "wiki",
    } });
    let _traefik = Traefik::new(&site, "traefik/traefik.yaml")?
        .route_with("traefik/single.yaml", &changes)?
        .start(&["wiki"])?;
    programs_come_in(&site)
}

fn programs_come_in(site: &Site) -> Result<()> {
    let token = self::token(site, WIKI, ROBOT)?;
    for credentials in [bearer(&token), basic(ROBOT)] {
        let answer = call(site, &credentials)?;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let seen = site.wiki();
        let seen = seen.last().context("the app was asked")?;
        assert_eq!(seen.header("x-forwarded-user"), Some(ROBOT.0));
        assert_eq!(seen.header("x-auth-groups"), Some("staff"));
        assert_eq!(seen.header("authorization"), None);
    }
    a_session_decides(site, &bearer(&token))?;

    let before = site.wiki().len();
    let elsewhere = self::token(site, ELSEWHERE, ROBOT)?;
    let (signed, _) = token.rsplit_once('.').context("a JWT")?;
    let (_, signature) = elsewhere.rsplit_once('.').context("a JWT")?;
    for (case, credentials) in [
        ("another audience", bearer(&elsewhere)),
        ("forged", bearer(&format!("{signed}.{signature}"))),
        ("no token", bearer("x")),
        ("a wrong secret", basic((ROBOT.0, "guess"))),
        ("nobody's", basic(("nobody", "guess"))),
    ] {
        let answer = call(site, &credentials)?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{case}");
    }
    let denied = call(site, &basic(STRANGER))?;
    assert_eq!(denied.status, StatusCode::FORBIDDEN, "{}", denied.body);
    assert_eq!(site.wiki().len(), before, "nobody else reached the app");
    the_provider_goes_and_comes_back(site, &token)
}

/// What else is in `Authorization` is between client and app.
fn a_session_decides(site: &Site, credentials: &str) -> Result<()> {
    let alice = Client::new()?;
    let page = site.url("wiki", "/")?;
    alice.sign_in(&page, &ALICE)?;
    for sent in [credentials, "Bearer of-the-app"] {
        let request = alice.fetch(Method::GET, &page);
        let status = request.header("Authorization", sent).send()?.status();
        assert_eq!(status, StatusCode::OK);
        let seen = site.wiki();
        let seen = seen.last().context("the app was asked")?;
        assert_eq!(seen.header("x-auth-username"), Some(ALICE.login));
        assert_eq!(seen.header("authorization"), Some(sent));
    }
    Ok(())
}

/// What was checked goes on, and the keys that it comes back with are taken.
fn the_provider_goes_and_comes_back(site: &Site, token: &str) -> Result<()> {
    let unseen = self::token(site, WIKI, ROBOT)?;
    site.provider().stop();
    assert_eq!(call(site, &bearer(token))?.status, StatusCode::OK, "cached");
    assert_eq!(call(site, &basic(ROBOT))?.status, StatusCode::OK, "cached");
    // Its keys are known.
    assert_eq!(call(site, &bearer(&unseen))?.status, StatusCode::OK);
    let before = site.wiki().len();
    let answer = call(site, &basic((ROBOT.0, "another")))?;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    assert_eq!(site.wiki().len(), before);
    site.provider().start()?;
    until("a token by the new key to be taken", PATIENCE, || {
        let token = self::token(site, WIKI, ROBOT)?;
        Ok((call(site, &bearer(&token))?.status == StatusCode::OK).then_some(()))
    })
}

fn call(site: &Site, credentials: &str) -> Result<Answer> {
    let client = Client::new()?;
    let request = client.bare(Method::GET, &site.url("wiki", "/api")?);
    Answer::read(request.header("Authorization", credentials).send()?)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn basic((user, password): (&str, &str)) -> String {
    use base64::Engine as _;
    let pair = format!("{user}:{password}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}

/// A token that the provider gives a program.
fn token(site: &Site, resource: &str, (id, secret): (&str, &str)) -> Result<String> {
    let url = Url::parse(&format!("http://127.0.0.1:{}/token", site.ports().provider))?;
    let encode =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let form = format!(
        "grant_type=client_credentials&resource={}",
        encode(resource)
    );
    let request = Client::new()?
        .bare(Method::POST, &url)
        .header("Authorization", basic((&encode(id), &encode(secret))))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = Answer::read(request.send()?)?;
    let token = answer.json()?;
    let token = token.get("access_token").and_then(Value::as_str);
    token
        .map(str::to_owned)
        .with_context(|| answer.body.clone())
}
