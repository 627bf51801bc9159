//! nginx with `auth_request`.

use anyhow::{Context as _, Result};
use gatepost_e2e::proxies::Nginx;
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Service, Site};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::checks;

/// Starts nginx in front of one application, which passes this header of the outpost's response on
/// to the app too.
pub(crate) fn handing_on(site: &Site, header: &str) -> Result<Service> {
    handing_on_with(site, header, "")
}

/// Starts the same with `further` directives in the location of the application.
pub(crate) fn handing_on_with(site: &Site, header: &str, further: &str) -> Result<Service> {
    let cookie = "proxy_set_header Cookie $app_cookie;";
    let upstream = header.to_ascii_lowercase().replace('-', "_");
    let both = format!(
        "{cookie}
        auth_request_set $app_further $upstream_http_{upstream};
        proxy_set_header {header} $app_further;
        {further}"
    );
    let changes = [(cookie, &*both)];
    Nginx::start_changed(site, "deploy/nginx/single.conf", &changes, &["wiki"])
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _nginx = Nginx::start(&site, "deploy/nginx/single.conf", &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::One)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _nginx = Nginx::start(&site, "deploy/nginx/domain.conf", &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}

/// A client of oauth2-proxy's keeps its redirect URI with that prefix.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn under_the_prefix_of_oauth2_proxy() -> Result<()> {
    let prefix = json!({ "outpostPrefix": "/oauth2" });
    let site = checks::site("deploy/outpost/single.yaml")
        .applications(&prefix)
        .start()?;
    let changes = [("/akprox", "/oauth2")];
    let _nginx = Nginx::start_changed(&site, "deploy/nginx/single.conf", &changes, &["wiki"])?;
    let page = site.url("wiki", "/x")?;
    let journey = Client::new()?.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let came_back = journey.to_string().contains("/oauth2/callback");
    assert!(came_back, "{journey}");
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_location_that_an_operator_adds_is_asked_about_too() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let listen = format!("listen {};", site.ports().web);
    let shown = site.fitted("deploy/nginx/single.conf", &[("listen 80;", &listen)])?;
    let nginx = Nginx::start_with(&site, &with_locations(&site, &shown)?, &["wiki"])?;
    asks_in_each_location(&site)?;
    drop(nginx);

    let site = checks::site("deploy/outpost/control-plane.yaml").start()?;
    let exported = site.printed(&["export", "nginx"])?.0;
    let _nginx = Nginx::start_with(&site, &with_locations(&site, &exported)?, &["wiki"])?;
    asks_in_each_location(&site)
}

/// Adds locations as an operator does who has more than one to serve.
fn with_locations(site: &Site, servers: &str) -> Result<String> {
    let app = format!("proxy_pass http://127.0.0.1:{};", site.ports().wiki);
    let (before, rest) = servers
        .split_once("    location / {\n")
        .context("a location")?;
    Ok(format!(
        "{before}    location /more/ {{
        {app}
    }}
    location ~ \\.php$ {{
        client_max_body_size 8m;
        {app}
    }}
    location / {{
{rest}"
    ))
}

fn asks_in_each_location(site: &Site) -> Result<()> {
    let pages = ["/more/x", "/admin/x.php", "/x"];
    let signed_in = Client::new()?;
    signed_in.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    for page in pages {
        let page = site.url("wiki", page)?;
        let asked = |client: &Client| {
            let request = client.fetch(Method::GET, &page);
            request.header("X-Auth-Username", "root").send()
        };
        let before = site.wiki().len();
        assert_eq!(
            asked(&Client::new()?)?.status(),
            StatusCode::UNAUTHORIZED,
            "{page}"
        );
        assert_eq!(site.wiki().len(), before, "{page}");
        assert_eq!(asked(&signed_in)?.status(), StatusCode::OK, "{page}");
        let seen = site.wiki();
        let seen = seen.last().context("a request")?;
        assert_eq!(seen.header("x-auth-username"), Some("alice"), "{page}");
    }
    Ok(())
}
