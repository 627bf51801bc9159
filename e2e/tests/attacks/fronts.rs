//! Every attack on every front: Traefik with the plugin, with forward auth, and nginx.

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::{Nginx, Traefik};
use gatepost_e2e::tools::Tool as _;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Process, Site, layout, tools, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

use crate::requests;
use crate::sent::harms;
use crate::shown;

pub(crate) fn policy() -> Value {
    json!({ "public": ["/public/*", "GET=/hook"], "allowPreflight": true })
}

/// Returns settings of Traefik that give an attacker more than its defaults do: it normalises no
/// path, and leaves a name of ours in `Connection` for the middlewares after the plugin. And
/// routers that take a prefix off before the plugin sees the path.
pub(crate) fn lax() -> (Value, Value) {
    let entry_point = json!({ "entryPoints": { "web": {
        "http": { "sanitizePath": false },
        "forwardedHeaders": { "connection": ["X-Auth-Username"] },
    } } });
    let router = |rule: &str, strip: &str| {
        json!({
            "rule": format!("PathPrefix(`{rule}`)"),
            "entryPoints": ["web"],
            "middlewares": [strip, "wiki-gatepost"],
            "service": "wiki",
            "priority": 1_000,
        })
    };
    let routing = json!({ "http": {
        "middlewares": {
            "wiki-gatepost": { "plugin": { "gatepost": policy() } },
            "strip-api": { "stripPrefix": { "prefixes": ["/api"] } },
            "strip-rx": { "stripPrefixRegex": { "regex": ["/rx/[a-z]+"] } },
        },
        "routers": { "api": router("/api", "strip-api"), "rx": router("/rx", "strip-rx") },
    } });
    (entry_point, routing)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_attack_gets_past_any_front() -> Result<()> {
    let site = Site::builder("deploy/outpost/single.yaml")
        .applications(&policy())
        .start()?;
    let (entry_point, routing) = lax();
    let front = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .configure(&entry_point)
        .route_with("deploy/traefik/dynamic/plugin-single.yaml", &routing)?
        .start(&["wiki"])?;
    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    client.sign_in(&page, &ALICE)?;
    let token = client.cookie(&page, "gatepost").context("a session")?;
    attack(&site, "the plugin", &token)?;
    assert!(
        !front.output().contains(&token),
        "a session is in Traefik's log"
    );
    drop(front);

    std::fs::remove_dir_all(site.folder().join("traefik"))?;
    let front = shown::forward_auth(&site)?;
    attack(&site, "auth/traefik", &token)?;
    drop(front);

    let front = Nginx::start(&site, "deploy/nginx/single.conf", &["wiki"])?;
    attack(&site, "auth/nginx", &token)?;
    drop(front);
    let log = site.outpost().output();
    let mac = token.rsplit('.').next().context("a MAC")?;
    assert!(!log.contains(mac), "a session is in the outpost's log");
    Ok(())
}

pub(crate) fn attack(site: &Site, front: &str, token: &str) -> Result<()> {
    let host = site.url("wiki", "/")?.authority().to_owned();
    let harms = harms(site, &requests::all(&host, token))?;
    assert!(harms.is_empty(), "{front}:\n{}", harms.join("\n"));
    own_endpoints_give_nothing_away(site, "wiki", front)
}

/// Checks the outpost's paths, which every client can reach. 17, 18, 57, 61, 97, 98.
pub(crate) fn own_endpoints_give_nothing_away(site: &Site, host: &str, front: &str) -> Result<()> {
    let forged = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Uri", "//evil.example/"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "https://evil.example"),
        ("X-Original-URL", "https://evil.example/public/x"),
        ("X-Original-URI", "//evil.example/"),
        ("X-Auth-Request-Redirect", "https://evil.example/"),
        ("X-Auth-Username", "mallory"),
    ];
    for path in [
        "/akprox/start",
        "/akprox/start?rd=//evil.example",
        "/akprox/start?rd=%252F%252Fevil.example",
        "/akprox/sign_out?rd=https://evil.example/",
        "/akprox/sign_out?post_logout_redirect_uri=https://evil.example/",
        "/akprox/callback?code=x&state=y&error=z",
        "/akprox/callback?error=%3Cscript%3Eevil%3C/script%3E&state=x",
        "/akprox/session",
        "/akprox/auth/traefik",
        "/akprox/auth/nginx",
        "/akprox/auth/caddy",
        "/akprox/auth/envoy/admin",
        "/akprox/auth?nginx",
        "/akprox/metrics",
        "/akprox/traefik",
        "/akprox/debug/pprof",
        "/akprox/../admin",
        "/akprox/%2e%2e/admin",
        "/outpost.goauthentik.io/auth/traefik",
    ] {
        let name = format!("{front}: {path}");
        let client = Client::new()?;
        let url = site.url(host, path)?;
        let mut request = client.page_load(Method::GET, &url);
        for (header, value) in forged {
            request = request.header(header, value);
        }
        let answer = Answer::read(request.send()?).with_context(|| name.clone())?;
        for (header, value) in &answer.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(!value.contains("mallory"), "{name}: {header}: {value}");
        }
        // To this site or to the provider; its query is checked where it is read.
        if let Some(location) = answer.location() {
            let own = location
                .host_str()
                .is_some_and(|host| host.ends_with(".example.localhost") || host == "127.0.0.1");
            assert!(own && location.username().is_empty(), "{name}: {location}");
        }
        assert!(!answer.body.contains("<script>"), "{name}: {}", answer.body);
        let session = answer.headers.get_all("set-cookie").iter();
        let session = session
            .filter_map(|line| line.to_str().ok())
            .any(|line| line.starts_with("gatepost=") && !line.contains("Max-Age=0"));
        assert!(!session, "{name}: a session");
    }
    Ok(())
}

/// F13: where the plugin cannot be loaded, its routers serve nothing.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn without_its_plugin_traefik_serves_nothing() -> Result<()> {
    let site = Site::builder("deploy/outpost/single.yaml").start()?;
    let folder = site.folder().join("traefik");
    drop(
        Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
            .route_with("deploy/traefik/dynamic/plugin-single.yaml", &json!({}))?,
    );
    let plugin = "plugins-local/src/github.com/gatepost/gatepost/plugin.wasm";
    std::fs::write(folder.join(plugin), b"no module")?;
    let text = site.fitted(
        "deploy/traefik/static/plugin.yaml",
        &[(":80", &format!("127.0.0.1:{}", site.ports().web))],
    )?;
    let dynamic = folder.join("dynamic");
    let text = text.replace("/etc/traefik/dynamic", &dynamic.to_string_lossy());
    std::fs::write(folder.join("traefik.yaml"), text)?;
    let mut command = Command::new(tools::Traefik.locate()?);
    command
        .arg("--configFile=traefik.yaml")
        .current_dir(&folder);
    let log = layout::artefacts_dir().join("without_its_plugin.traefik.log");
    let _traefik = Process::spawn("traefik", &command, &log)?;

    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    until("Traefik to answer", Duration::from_secs(90), || {
        // The outpost's router has no plugin, and shows that the routing has been read.
        let ping = client
            .bare(Method::GET, &site.url("wiki", "/akprox/ping")?)
            .send();
        Ok(ping
            .is_ok_and(|ping| ping.status() == StatusCode::NO_CONTENT)
            .then_some(()))
    })?;
    let status = client.fetch(Method::GET, &page).send()?.status();
    assert!(
        status.is_client_error() || status.is_server_error(),
        "{status}"
    );
    assert_eq!(site.wiki(), [], "the app was reached");
    Ok(())
}
