//! Access tokens that are bound to a key (RFC 9449), of a real provider, by a real client, through real
//! proxies.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::Site;
use gatepost_e2e::tools::{NodePackages, Tool as _};
use serde_json::{Value, json};

use crate::{caddy, checks, envoy, forward_auth, haproxy, nginx, route};

/// What tokens are for.
const WIKI: &str = "https://wiki.example.com";

const ROBOT: (&str, &str) = ("robot", "secret-of-the-robot");

fn site() -> Result<Site> {
    checks::site("deploy/outpost/single.yaml")
        .applications(&json!({
            "machines": ["bearer", "dpop"],
            "machineTokens": { "audience": [WIKI] },
        }))
        .provider(&json!({
            "resources": [WIKI],
            "programs": { ROBOT.0: { "secret": ROBOT.1, "groups": ["staff"] } },
        }))
        .start()
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route() -> Result<()> {
    let site = site()?;
    let settings = json!({ "public": checks::PUBLIC, "machines": "bearer,dpop" });
    let _traefik = route::handing_on(&site, &settings, &["Authorization"], &json!({}))?;
    a_client_proves_its_key(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let site = site()?;
    let _traefik = forward_auth::handing_on(&site, &["Authorization"], &json!({}))?;
    a_client_proves_its_key(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx() -> Result<()> {
    let site = site()?;
    let _nginx = nginx::handing_on(&site, "Authorization")?;
    a_client_proves_its_key(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn caddy() -> Result<()> {
    let site = site()?;
    let _caddy = caddy::for_machines(&site, "")?;
    a_client_proves_its_key(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn haproxy() -> Result<()> {
    let site = site()?;
    let _haproxy = haproxy::for_machines(&site, &[])?;
    a_client_proves_its_key(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn envoy() -> Result<()> {
    let site = site()?;
    let _envoy = envoy::for_machines(&site, &[])?;
    a_client_proves_its_key(&site)
}

fn a_client_proves_its_key(site: &Site) -> Result<()> {
    let folder = NodePackages::dpop().locate()?;
    let output = Command::new("node")
        .arg(folder.join("client.mjs"))
        .env(
            "ISSUER",
            format!("http://127.0.0.1:{}", site.ports().provider),
        )
        .env("CLIENT_ID", ROBOT.0)
        .env("CLIENT_SECRET", ROBOT.1)
        .env("RESOURCE", WIKI)
        .env("PAGE", site.url("wiki", "/api?page=2")?.as_str())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout)?;
    let algorithms = ["ES256", "Ed25519"];
    assert_eq!(lines.lines().count(), algorithms.len(), "{lines}");
    for (line, algorithm) in lines.lines().zip(algorithms) {
        let mut seen: Value = serde_json::from_str(line)?;
        let challenge = seen.get_mut("challenge").map(Value::take);
        let challenge = challenge.context("a challenge")?;
        let challenge = challenge.as_str().unwrap_or_default();
        let asks = "DPoP realm=\"wiki\", algs=\"ES256 RS256 EdDSA Ed25519\"";
        ensure!(challenge.contains(asks), "{challenge}");
        let expected = json!({
            "algorithm": algorithm, "type": "dpop", "challenge": null,
            "first": 200, "second": 200, "posted": 200,
            "replayed": 401, "elsewhere": 401, "stolen": 401, "otherKey": 401,
        });
        assert_eq!(seen, expected, "{}", site.outpost().output());
    }
    let seen = site.wiki();
    assert_eq!(
        seen.len(),
        3 * algorithms.len(),
        "no other request reached the app"
    );
    for request in &seen {
        assert_eq!(request.header("x-forwarded-user"), Some(ROBOT.0));
        // Envoy empties it.
        assert_eq!(request.header("authorization").unwrap_or_default(), "");
    }
    Ok(())
}
