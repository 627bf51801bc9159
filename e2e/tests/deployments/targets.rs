//! Where a sign-in ends: at the page that was asked for, byte for byte, whatever stands in front.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::proxies::{LoadBalancer, Nginx, Traefik};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Answer, Client, Site, until};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::checks;
use crate::plugin::middlewares;

/// Targets that change when they are decoded, or read as parameters of `start`.
const TARGETS: [&str; 9] = [
    "/a%20b",
    "/a&b",
    "/a&provider=other",
    "/R%26D/x",
    "/%25done",
    "/a+b/%2B",
    "/x?y=a%5Cb&z=%25&w=1+1",
    "/caf%C3%A9;v=1",
    "/a?rd=/b&target=/c",
];

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn behind_nginx() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _nginx = Nginx::start(&site, "deploy/nginx/single.conf", &["wiki"])?;
    targets_come_back(&site, "wiki")
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn of_a_domain_behind_nginx() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _nginx = Nginx::start(&site, "deploy/nginx/domain.conf", &["wiki", "files"])?;
    targets_come_back(&site, "files")
}

/// The server blocks of earlier releases, which operators have in place: `rd`, as nginx has it.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn behind_nginx_as_it_was_shown_before() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let changes = [("start?target=", "start?rd=")];
    let _nginx = Nginx::start_changed(&site, "deploy/nginx/single.conf", &changes, &["wiki"])?;
    for target in ["/a%20b", "/%25done", "/x?y=a%5Cb&z=%25&w=1+1"] {
        comes_back(&site, "wiki", target)?;
    }
    Ok(())
}

fn targets_come_back(site: &Site, host: &str) -> Result<()> {
    TARGETS
        .into_iter()
        .try_for_each(|target| comes_back(site, host, target))
}

/// Signs in at this target, and looks at what the app is asked for afterwards.
fn comes_back(site: &Site, host: &str, target: &str) -> Result<()> {
    let journey = Client::new()?.sign_in(&site.url(host, target)?, &ALICE)?;
    let seen = match host {
        "wiki" => site.wiki(),
        _ => site.files(),
    };
    let seen = seen.last().context("a request")?.uri.clone();
    assert_eq!(seen, target, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

/// The proxy sees plain HTTP, and does not believe the load balancer, or a client, that browsers
/// use TLS. The configuration says so.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn of_a_domain_behind_a_load_balancer_that_ends_tls() -> Result<()> {
    let https = json!({ "externalUrl": "https://auth.example.localhost" });
    let site = Site::builder("deploy/outpost/domain.yaml")
        .applications(&https)
        .start()?;
    let _balancer = LoadBalancer::that_ends_tls(&site)?;
    let settings = json!({ "outpostUrl": "https://auth.example.localhost" });
    let at = format!("127.0.0.1:{}", site.ports().extra);
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .configure(&json!({ "entryPoints": { "web": { "address": at } } }))
        .route_with(
            "deploy/traefik/dynamic/plugin-domain.yaml",
            &middlewares(&["gatepost", "gatepost-admins"], &settings),
        )?
        .start(&["wiki", "files"])?;
    let page = site.url("wiki", "/reports?a=b%20c")?;
    for said in [None, Some("http"), Some("https"), Some("gopher")] {
        let mut request = Client::new()?.page_load(Method::GET, &page);
        if let Some(said) = said {
            request = request.header("X-Forwarded-Proto", said);
        }
        let answer = Answer::read(request.send()?)?;
        assert_eq!(
            answer.location().map(String::from).as_deref(),
            Some(
                "https://auth.example.localhost/akprox/start?\
                 rd=https%3A%2F%2Fwiki.example.localhost%2Freports%3Fa%3Db%2520c"
            ),
            "{said:?}"
        );
    }
    Ok(())
}

/// The domain is served on a second port, which its operator has named.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn of_a_domain_on_a_second_port() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let (web, extra) = (site.ports().web, site.ports().extra);
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .configure(
            &json!({ "entryPoints": { "second": { "address": format!("127.0.0.1:{extra}") } } }),
        )
        .route_with(
            "deploy/traefik/dynamic/plugin-domain.yaml",
            &json!({ "http": { "routers": { "wiki": { "entryPoints": ["web", "second"] } } } }),
        )?
        .start(&["wiki", "files"])?;
    let mut page = site.url("wiki", "/reports?a=b")?;
    ensure!(page.set_port(Some(extra)).is_ok(), "a port");
    // No other port is led to.
    let journey = Client::new()?.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url.port(), Some(web), "{journey}");
    site.change_outpost(|config| {
        config["applications"][0]["ports"] = json!([extra]);
        Ok(())
    })?;
    until("the port counts", Duration::from_secs(60), || {
        let journey = Client::new()?.sign_in(&page, &ALICE)?;
        Ok((journey.landed.url == page).then_some(()))
    })
}
