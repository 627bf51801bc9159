//! Programs that bring credentials of a real provider, through real proxies.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use gatepost_e2e::proxies::{Nginx, Traefik};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::plugin::middlewares;
use crate::{checks, forward_auth, nginx, route};

const PATIENCE: Duration = Duration::from_secs(90);

/// What tokens are for.
const WIKI: &str = "https://wiki.example.com";
const ELSEWHERE: &str = "https://elsewhere.example.com";

/// Where a flood comes from; programs are at 127.0.0.1.
const FLOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A client of the provider, in the group `staff`, and one in none.
const ROBOT: (&str, &str) = ("robot", "r0b:t & co");
const STRANGER: (&str, &str) = ("stranger", "secret");

fn site() -> Result<Site> {
    site_that_believes_for("5m")
}

fn site_that_believes_for(cache: &str) -> Result<Site> {
    checks::site("deploy/outpost/single.yaml")
        .applications(&json!({
            "machines": ["bearer", "basic"],
            "machineTokens": {
                "audience": [WIKI],
                "parameters": { "resource": WIKI },
                "cache": cache,
            },
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
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route() -> Result<()> {
    let site = site()?;
    let settings = json!({ "public": checks::PUBLIC, "machines": "bearer,basic" });
    let _traefik = route::handing_on(&site, &settings, &["Authorization"], &json!({}))?;
    programs_come_in(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let site = site()?;
    let _traefik = forward_auth::handing_on(&site, &["Authorization"], &json!({}))?;
    programs_come_in(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx() -> Result<()> {
    let site = site()?;
    let _nginx = nginx::handing_on(&site, "Authorization")?;
    programs_come_in(&site)
}

/// Row C: a client that makes credentials up takes nothing from another's program, through Traefik.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_flood_costs_its_sender_through_traefik() -> Result<()> {
    let site = site_that_believes_for("1s")?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    a_flood_costs_its_sender(&site, StatusCode::TOO_MANY_REQUESTS)
}

/// Row C: the same through nginx, which knows no answer but 401.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_flood_costs_its_sender_through_nginx() -> Result<()> {
    let site = site_that_believes_for("1s")?;
    let _nginx = Nginx::start(&site, "deploy/nginx/single.conf", &["wiki"])?;
    a_flood_costs_its_sender(&site, StatusCode::UNAUTHORIZED)
}

/// Checks that, while one address floods a program's name and unknown names with passwords, the
/// program at another address is served, also with credentials that were never checked before.
fn a_flood_costs_its_sender(site: &Site, refused: StatusCode) -> Result<()> {
    let (guesses, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| flood(site, &guesses, &stop)))
            .collect();
        let flooded = || Ok((guesses.load(Ordering::Relaxed) > 100).then_some(()));
        let went_on = until("a flood", PATIENCE, flooded).and_then(|()| the_program_goes_on(site));
        stop.store(true, Ordering::Relaxed);
        let mut last = Vec::new();
        for flood in floods {
            last.push(flood.join().map_err(|_| anyhow!("a flood failed"))??);
        }
        went_on?;
        assert!(last.contains(&refused), "{last:?}");
        Ok(())
    })
}

/// Guesses until it is to stop, and says how the last guess was answered.
fn flood(site: &Site, guesses: &AtomicUsize, stop: &AtomicBool) -> Result<StatusCode> {
    let client = Client::from_address(FLOOD)?;
    let page = site.url("wiki", "/api")?;
    loop {
        let guess = guesses.fetch_add(1, Ordering::Relaxed).to_string();
        let name = if guess.ends_with('0') {
            ROBOT.0
        } else {
            &guess
        };
        let request = client.bare(Method::GET, &page);
        let request = request.header("Authorization", basic((name, &guess)));
        let status = request.send()?.status();
        ensure!(!status.is_success(), "a guess was right");
        if stop.load(Ordering::Relaxed) {
            return Ok(status);
        }
    }
}

/// Sends a secret that was never checked before, and then such tokens.
fn the_program_goes_on(site: &Site) -> Result<()> {
    let usual = Duration::from_secs(3);
    let begun = Instant::now();
    let mut calls = 0;
    while begun.elapsed() < Duration::from_secs(8) {
        for credentials in [basic(ROBOT), bearer(&token(site, WIKI, ROBOT)?)] {
            let called = Instant::now();
            let answer = call(site, &credentials)?;
            let passed = answer.status == StatusCode::OK && called.elapsed() < usual;
            ensure!(
                passed,
                "{calls}: {} {} after {:?}",
                answer.status,
                answer.body,
                called.elapsed()
            );
            calls += 1;
        }
    }
    Ok(())
}

/// The plugin alone cannot ask, so it refuses.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_that_answers_itself() -> Result<()> {
    let site = site()?;
    let settings = json!({ "public": checks::PUBLIC, "machines": "bearer" });
    let traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with(
            "deploy/traefik/dynamic/plugin-single.yaml",
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
    Ok(())
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
        ("an unknown name's", basic(("nobody", "guess"))),
    ] {
        let answer = call(site, &credentials)?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{case}");
    }
    let denied = call(site, &basic(STRANGER))?;
    assert_eq!(denied.status, StatusCode::FORBIDDEN, "{}", denied.body);
    assert_eq!(site.wiki().len(), before, "no other client reached the app");
    the_provider_goes_and_comes_back(site, &token)
}

/// Checks that other credentials in `Authorization` pass from client to app.
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

/// Checks that credentials that were checked before are accepted while the provider is down, and
/// that its keys after a restart are used.
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

/// Returns a token that the provider gives a program.
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
