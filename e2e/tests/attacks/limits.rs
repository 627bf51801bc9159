//! `rateLimit` behind every proxy: a client that floods is refused, and no other.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::proxies::LoadBalancer;
use gatepost_e2e::{Client, Site};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::shown::{self, Shown};
use crate::spellings::{WIKI, session};

/// How many requests are a flood, on the slowest machine.
const FLOOD: usize = 100;

/// Starts a site whose proxies have one address, and whose clients have others of the loopback
/// network.
fn site(outpost: &str) -> Result<Site> {
    Site::builder(outpost)
        .state_folder()
        .outpost(&json!({
            "trustedProxies": ["127.0.0.1"],
            "rateLimit": { "perSecond": 1, "burst": 4 },
        }))
        .start()
}

/// Part C, `rateLimit`: through each proxy a client that floods is answered 429 and another is not.
/// A client's own `X-Forwarded-For` neither lets it escape the limit nor locks the other out.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_client_that_floods_is_refused_behind_every_proxy_and_no_other() -> Result<()> {
    for outpost in [shown::SINGLE, shown::DOMAIN] {
        let site = site(outpost)?;
        for (network, shown) in (1..).zip(shown::with_outpost(outpost)) {
            let running = shown.start(&site, &[]).context(shown.name)?;
            floods(&site, shown, network)?;
            drop(running);
        }
    }
    Ok(())
}

/// Part C, `rateLimit`: behind a load balancer that Traefik believes, too.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_client_that_floods_through_a_load_balancer_is_refused_and_no_other() -> Result<()> {
    for outpost in [shown::SINGLE, shown::DOMAIN] {
        let site = site(outpost)?;
        let _balancer = LoadBalancer::start(&site)?;
        let balanced = shown::with_outpost(outpost).filter(|shown| shown.can_be_balanced());
        for (network, shown) in (1..).zip(balanced) {
            let running = shown.start_balanced(&site, &[]).context(shown.name)?;
            floods(&site, shown, network)?;
            drop(running);
        }
    }
    Ok(())
}

/// Part C, `rateLimit`: all clients of a proxy that does not name them would share one limit. They
/// have no limit, and the log says so once.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_proxy_that_names_no_client_is_named_once() -> Result<()> {
    let site = site(shown::SINGLE)?;
    let host = site.url("wiki", "/")?.authority().to_owned();
    for _ in 0..20 {
        let mut connection = RawConnection::connect(site.ports().outpost)?;
        let headers = [
            ("Host", &*host),
            ("Sec-Fetch-Mode", "navigate"),
            ("Accept", "text/html"),
        ];
        connection.request("GET /akprox/start", &headers)?;
        assert_eq!(connection.head()?.status, 302);
    }
    let log = site.outpost().output();
    let said = log
        .matches("does not name the client of a request in `X-Forwarded-For`")
        .count();
    assert_eq!(said, 1, "{log}");
    Ok(())
}

/// A signed-in user says in the plugin's place what a request needs, which Traefik hands on where the
/// outpost is asked without the plugin. Whatever that is, the outpost has time for the others.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_demand_of_a_user_keeps_the_outpost_from_the_others() -> Result<()> {
    let site = Site::builder(shown::SINGLE).start()?;
    let _traefik = shown::forward_auth(&site)?;
    let cookie = session(&site, "wiki")?;
    let port = site.ports().web;
    let host = format!("{WIKI}:{port}");
    let values = |start: &str, each: &str| -> String {
        let all = (0..5_000).map(|at| format!("{each}{at:x}"));
        [start, &all.collect::<String>()].concat()
    };
    let demands = [
        values("all=claim:acr", ":"),
        values("all=claim:acr:x", "&all=claim:acr:"),
        values("any=group:x", "&any=group:"),
        values("not=group:x", "&not=group:"),
    ];
    for demand in demands {
        let mut all = Vec::new();
        for _ in 0..16 {
            let mut connection = RawConnection::connect(port)?;
            let headers = [
                ("Host", &*host),
                ("Cookie", &cookie),
                ("X-Gatepost-Require", &demand),
            ];
            connection.request("GET /x", &headers)?;
            all.push(connection);
        }
        // Several, so that the first has arrived.
        for _ in 0..50 {
            let mut other = RawConnection::connect(port)?;
            other.request("GET /x", &[("Host", &*host)])?;
            assert_eq!(other.head()?.status, 401, "another client: {demand:.40}");
        }
        for mut connection in all {
            assert_eq!(connection.head()?.status, 400, "{demand:.40}");
        }
        let log = site.outpost().output();
        assert!(log.contains("more than 4096 names and values"), "{log}");
    }
    Ok(())
}

/// Floods from an address of this network, `127.0.network.0/24`: each configuration has clients
/// that the outpost has not seen before.
fn floods(site: &Site, shown: &Shown, network: u8) -> Result<()> {
    let name = shown.name;
    let [flooder, other] = [2, 3].map(|host| Ipv4Addr::new(127, 0, network, host));
    for forwarded in [
        &(|_| String::new()) as &dyn Fn(usize) -> String,
        &|_| other.to_string(),
        &|at| format!("198.51.100.{at}"),
        &|at| format!("{other}, 198.51.100.{at}"),
    ] {
        let client = Client::from_address(flooder)?;
        let mut refused = false;
        for at in 0..FLOOD {
            refused = begin(site, shown, &client, &forwarded(at))? == StatusCode::TOO_MANY_REQUESTS;
            if refused {
                break;
            }
        }
        let said = forwarded(1);
        assert!(refused, "{name}: a flood that says {said:?} is not refused");
    }
    let status = begin(site, shown, &Client::from_address(other)?, "")?;
    assert_eq!(status, StatusCode::FOUND, "{name}: another client");
    Ok(())
}

/// Begins a sign-in.
fn begin(site: &Site, shown: &Shown, client: &Client, forwarded: &str) -> Result<StatusCode> {
    let url = site.url(shown.outpost_host(), "/akprox/start")?;
    let mut request = client.page_load(Method::GET, &url);
    if !forwarded.is_empty() {
        request = request.header("X-Forwarded-For", forwarded);
    }
    Ok(request.send()?.status())
}
