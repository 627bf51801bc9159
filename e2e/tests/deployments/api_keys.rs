//! API keys that an operator creates (`gatepost key`), sent by curl through real proxies.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::doubles::upstream::Seen;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::plugin::middlewares;
use crate::{caddy, checks, envoy, forward_auth, haproxy, nginx, route};

const PATIENCE: Duration = Duration::from_secs(60);

/// The header that carries keys besides `Authorization`.
const HEADER: &str = "X-Api-Key";

fn site() -> Result<Site> {
    checks::site("deploy/outpost/single.yaml")
        .applications(&json!({
            "machines": ["apiKey"],
            "apiKeyHeader": HEADER,
            "require": { "groups": ["staff"] },
        }))
        .start()
}

/// Of the outpost's response: the application gets neither from the client.
const TAKEN_AWAY: [&str; 2] = ["Authorization", HEADER];

fn plugin_settings() -> Value {
    json!({ "public": checks::PUBLIC, "machines": "apiKey", "apiKeyHeader": HEADER })
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route() -> Result<()> {
    let site = site()?;
    let _traefik = route::handing_on(&site, &plugin_settings(), &TAKEN_AWAY, &json!({}))?;
    keys_let_in(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let site = site()?;
    let _traefik = forward_auth::handing_on(&site, &TAKEN_AWAY, &json!({}))?;
    keys_let_in(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx() -> Result<()> {
    let site = site()?;
    let key = format!("proxy_set_header {HEADER} \"\";");
    let _nginx = nginx::handing_on_with(&site, "Authorization", &key)?;
    keys_let_in(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn caddy() -> Result<()> {
    let site = site()?;
    let _caddy = caddy::for_machines(&site, &format!("request_header -{HEADER}"))?;
    keys_let_in(&site)?;
    let seen = site.wiki();
    let with_authorization = seen.iter().filter_map(|seen| seen.header("authorization"));
    // What the application was sent for itself, and nothing where the outpost withholds it.
    let with_authorization: Vec<_> = with_authorization.collect();
    assert_eq!(with_authorization, ["Bearer of-the-app"]);
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn haproxy() -> Result<()> {
    let site = site()?;
    let _haproxy = haproxy::for_machines(&site, &[&HEADER.to_lowercase()])?;
    keys_let_in(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn envoy() -> Result<()> {
    let site = site()?;
    let _envoy = envoy::for_machines(&site, &[&HEADER.to_lowercase()])?;
    keys_let_in(&site)
}

/// The plugin alone cannot ask, so it refuses keys; and no application behind it gets one.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_that_answers_itself() -> Result<()> {
    let site = site()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with(
            "deploy/traefik/dynamic/plugin-single.yaml",
            &middlewares(&["wiki-gatepost"], &plugin_settings()),
        )?
        .start(&["wiki"])?;
    let (key, _) = create(&site, "ci", "staff", "1h")?;
    for header in ways(&key) {
        assert_eq!(curl(&site, &[&header])?, "401");
    }
    assert_eq!(site.wiki().len(), 0);
    people_come_in_and_no_key_with_them(&site, &key)
}

fn keys_let_in(site: &Site) -> Result<()> {
    let (key, id) = create(site, "ci", "deploy,staff", "1h")?;
    for header in ways(&key) {
        assert_eq!(curl(site, &[&header])?, "200", "{header}");
        let seen = site.wiki();
        let seen = seen.last().context("the app was asked")?;
        assert_eq!(seen.header("x-auth-username"), Some("ci"));
        assert_eq!(seen.header("x-auth-groups"), Some("deploy|staff"));
        for name in ["authorization", "x-api-key"] {
            assert_eq!(what_the_app_sees(seen, name), None, "{name}");
        }
    }
    // What the application asks for itself.
    let own = "Authorization: Bearer of-the-app";
    assert_eq!(curl(site, &[&format!("{HEADER}: {key}"), own])?, "200");
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.header("authorization"), Some("Bearer of-the-app"));
    people_come_in_and_no_key_with_them(site, &key)?;

    let (outsider, _) = create(site, "guest", "guests", "1h")?;
    let before = site.wiki().len();
    assert_eq!(curl(site, &[&bearer(&outsider)])?, "403");
    for header in [
        bearer(&key.replace("gp_", "gp_x")),
        bearer("gp_"),
        bearer(&key.to_lowercase()),
        format!("{HEADER}: "),
        format!("{HEADER}: {}", outsider.to_uppercase()),
        format!("X_Api_Key: {key}"),
    ] {
        assert_eq!(curl(site, &[&header])?, "401", "{header}");
    }
    assert_eq!(site.wiki().len(), before, "a refused key reached the app");
    let (short, _) = create(site, "ci", "staff", "2s")?;
    until("a key to end", PATIENCE, || {
        Ok((curl(site, &[&bearer(&short)])? == "401").then_some(()))
    })?;
    let before = site.wiki().len();

    // A restart keeps the keys, and how they were used.
    let used = |text: &str| -> Result<bool> {
        let (listed, _) = site.gatepost(&["key", "list"])?;
        let mut lines = listed.lines();
        let line = lines.find(|line| line.starts_with(&id)).context("listed")?;
        ensure!(!listed.contains(&key), "the list shows a key");
        Ok(line.contains(text))
    };
    let log = site.outpost().output();
    site.outpost().stop();
    site.outpost().start()?;
    until("the outpost to accept the key again", PATIENCE, || {
        Ok((curl(site, &[&bearer(&key)])? == "200").then_some(()))
    })?;
    until("the use to be written", PATIENCE, || {
        Ok(used("used 4 times")?.then_some(()))
    })?;
    let before = before + 1;

    let (said, well) = site.gatepost(&["key", "revoke", "--id", &id])?;
    ensure!(well && said.contains("1 keys revoked"), "{said}");
    for header in ways(&key) {
        assert_eq!(curl(site, &[&header])?, "401", "revoked");
    }
    assert_eq!(site.wiki().len(), before, "no other client reached the app");
    let log = log + &site.outpost().output();
    for event in ["api_key_created", "api_key_revoked", "machine_refused"] {
        ensure!(log.contains(event), "{event} is not logged");
    }
    for key in [&key, &outsider, &short] {
        let secret = key.get(15..47).context("a key")?;
        ensure!(!log.contains(secret), "the log shows a key");
    }
    Ok(())
}

/// Checks that a session decides, and that the application does not see the key of its client.
fn people_come_in_and_no_key_with_them(site: &Site, key: &str) -> Result<()> {
    let alice = Client::new()?;
    let page = site.url("wiki", "/")?;
    alice.sign_in(&page, &ALICE)?;
    let anyone = Client::new()?;
    let public = site.url("wiki", "/public/x")?;
    for (client, url, name) in [(&alice, &page, Some(ALICE.login)), (&anyone, &public, None)] {
        let ask = || client.fetch(Method::GET, url).header(HEADER, key);
        for request in [
            ask(),
            ask().bearer_auth(key),
            ask().basic_auth("any", Some(key)),
        ] {
            assert_eq!(request.send()?.status(), StatusCode::OK);
            let seen = site.wiki();
            let seen = seen.last().context("the app was asked")?;
            assert_eq!(what_the_app_sees(seen, "x-auth-username"), name, "{url}");
            for name in ["x-api-key", "authorization"] {
                assert_eq!(what_the_app_sees(seen, name), None, "{url}");
            }
        }
    }
    Ok(())
}

/// Returns what a header tells the application. Envoy does not remove a header that the outpost withholds,
/// and empties it.
fn what_the_app_sees<'s>(seen: &'s Seen, name: &str) -> Option<&'s str> {
    seen.header(name).filter(|value| !value.is_empty())
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}")
}

/// The headers by which a client may send a key.
fn ways(key: &str) -> [String; 2] {
    [bearer(key), format!("{HEADER}: {key}")]
}

/// Creates a key for the application, and returns it with its id.
fn create(site: &Site, subject: &str, groups: &str, expires: &str) -> Result<(String, String)> {
    let (said, well) = site.gatepost(&[
        "key",
        "create",
        "--subject",
        subject,
        "--groups",
        groups,
        "--application",
        "wiki",
        "--expires",
        expires,
    ])?;
    ensure!(well, "{said}");
    // Standard output comes first, and has the key alone.
    let key = said.lines().next().context("a key")?.to_owned();
    ensure!(key.starts_with("gp_") && key.len() == 53, "{said}");
    let id = key.get(3..15).context("an id")?.to_owned();
    Ok((key, id))
}

/// Asks for a page with curl, and returns the status.
fn curl(site: &Site, headers: &[&str]) -> Result<String> {
    let mut command = Command::new("curl");
    command.args(["--disable", "--silent", "--show-error"]);
    command.args(["--output", "/dev/null", "--write-out", "%{response_code}"]);
    for header in headers {
        // By curl's rule, a header without a value ends in a semicolon.
        let empty = header.strip_suffix(": ").map(|name| format!("{name};"));
        command
            .arg("--header")
            .arg(empty.as_deref().unwrap_or(header));
    }
    let output = command.arg(site.url("wiki", "/api")?.as_str()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8(output.stdout)?)
}
