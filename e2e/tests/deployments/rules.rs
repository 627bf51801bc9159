//! The table of rules through real proxies: the plugin, `auth/traefik`, `auth/nginx`, and the plugin
//! in front of routers, of which one asks the outpost.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::doubles::upstream::Seen;
use gatepost_e2e::proxies::{Nginx, Traefik};
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Client, Service, Site};
use serde_json::{Value, json};

use crate::decisions::CAROL;
use crate::plugin::middlewares;

/// What a decider made of a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It reached the application, with this user's name.
    Passed(Option<String>),
    /// It did not, with this status.
    Refused(u16),
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn each_decider_follows_the_table() -> Result<()> {
    let table: Value = serde_json::from_str(include_str!("../../../testdata/rules.json"))?;
    let application = table.get("application").context("an application")?;
    let mut users = serde_json::Map::new();
    for (user, sub) in [(ALICE, "1"), (BOB, "2"), (CAROL, "3")] {
        let own = &table["users"][user.login];
        let person = json!({
            "sub": sub,
            "password": user.password,
            "groups": own["groups"],
            "claims": own["claims"],
        });
        users.insert(user.login.into(), person);
    }
    let site = Site::builder("deploy/outpost/single.yaml")
        .applications(application)
        // Another address of this machine is a client's.
        .outpost(&json!({ "trustedProxies": ["127.0.0.1"] }))
        .provider(&json!({ "users": users }))
        .start()?;
    let mut settings = application.clone();
    settings["trustedProxies"] = json!(["127.0.0.1"]);
    // As one text, as every long list in a middleware has to be: Traefik may change the order of others.
    settings["rules"] = json!(application["rules"].to_string());
    let plugin = |dynamic: &str, name: &str| -> Result<Service> {
        Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
            .route_with(dynamic, &middlewares(&[name], &settings))?
            .start(&["wiki"])
    };
    let front = plugin("deploy/traefik/dynamic/plugin-single.yaml", "wiki-gatepost")?;
    let mut tokens = serde_json::Map::new();
    for user in [ALICE, BOB, CAROL] {
        let page = site.url("wiki", "/lounge/x")?;
        let client = Client::new()?;
        client.sign_in(&page, &user)?;
        let token = client.cookie(&page, "gatepost").context(user.login)?;
        tokens.insert(user.login.into(), token.into());
    }
    let follow = |decider: &str| follow(&site, &table, &tokens, decider);
    follow("the plugin")?;
    drop(front);
    std::fs::remove_dir_all(site.folder().join("traefik"))?;
    let front = plugin("deploy/traefik/dynamic/route-single.yaml", "gatepost")?;
    follow("the plugin in front of routers")?;
    drop(front);
    std::fs::remove_dir_all(site.folder().join("traefik"))?;
    let front = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    follow("auth/traefik")?;
    drop(front);
    let _front = Nginx::start(&site, "deploy/nginx/single.conf", &["wiki"])?;
    follow("auth/nginx")
}

fn follow(
    site: &Site,
    table: &Value,
    tokens: &serde_json::Map<String, Value>,
    decider: &str,
) -> Result<()> {
    for case in table["cases"].as_array().context("cases")? {
        let text = |key: &str| case[key].as_str();
        let target = text("target").context("a target")?;
        // The provider of these tests says nothing of when and how a user authenticated; and Traefik
        // takes dot segments out before it asks, so that another path is opened than the table has.
        let of_authentication = target.starts_with("/vault/") || target.starts_with("/gold/");
        if of_authentication || target.contains("%2e%2e") {
            continue;
        }
        let user = text("user");
        let cookie = user.and_then(|user| tokens.get(user)?.as_str());
        let name = format!("{decider}: {case}");
        let outcome = ask(
            site,
            text("method").context("a method")?,
            target,
            cookie,
            text("client"),
        )
        .with_context(|| name.clone())?;
        let passes = |user: Option<&str>| Outcome::Passed(user.map(str::to_owned));
        match text("expected").context("an expectation")? {
            "anonymous" => assert_eq!(outcome, passes(None), "{name}"),
            "passes" => assert_eq!(outcome, passes(user), "{name}"),
            "sign-in" => assert_eq!(outcome, Outcome::Refused(401), "{name}"),
            // Or the proxy itself refuses what is ambiguous.
            "denied" => assert!(
                matches!(outcome, Outcome::Refused(403 | 400)),
                "{name}: {outcome:?}"
            ),
            other => bail!("{other}"),
        }
    }
    Ok(())
}

fn ask(
    site: &Site,
    method: &str,
    target: &str,
    token: Option<&str>,
    client: Option<&str>,
) -> Result<Outcome> {
    let before = site.wiki().len();
    let cookie = token.map(|token| format!("gatepost={token}"));
    let status = match client {
        None => {
            let port = site.ports().web;
            let host = format!("wiki.example.localhost:{port}");
            let mut headers = vec![
                ("Host", host.as_str()),
                ("Content-Length", "0"),
                ("Sec-Fetch-Mode", "cors"),
                ("X-Auth-Username", "mallory"),
            ];
            headers.extend(cookie.as_deref().map(|cookie| ("Cookie", cookie)));
            let mut connection = RawConnection::connect(port)?;
            connection.request(&format!("{method} {target}"), &headers)?;
            connection.head()?.status
        }
        Some(client) => {
            let from: Ipv4Addr = client.parse()?;
            let client = reqwest::blocking::Client::builder()
                .local_address(IpAddr::V4(from))
                .resolve(
                    "wiki.example.localhost",
                    (Ipv4Addr::LOCALHOST, site.ports().web).into(),
                )
                .build()?;
            let request = client.request(method.parse()?, site.url("wiki", target)?);
            request
                .header("X-Auth-Username", "mallory")
                .send()?
                .status()
                .as_u16()
        }
    };
    let requests = site.wiki();
    let reached: &[Arc<Seen>] = requests.get(before..).unwrap_or_default();
    Ok(match (status, reached) {
        (200, [seen]) => {
            let named = seen.headers.get("x-auth-username");
            let named = named.and_then(|lines| lines.first()).cloned();
            Outcome::Passed(named.filter(|name| !name.is_empty()))
        }
        (status, []) => Outcome::Refused(status),
        (status, reached) => bail!("{status}, and {} requests reached the app", reached.len()),
    })
}
