//! nginx with `auth_request`.

use anyhow::Result;
use gatepost_e2e::proxies::Nginx;
use gatepost_e2e::{Service, Site};

use crate::checks;

/// Starts nginx in front of one application, which passes this header of the outpost's response on
/// to the app too.
pub(crate) fn handing_on(site: &Site, header: &str) -> Result<Service> {
    handing_on_with(site, header, "")
}

/// Starts the same with `further` directives in the location of the application.
pub(crate) fn handing_on_with(site: &Site, header: &str, further: &str) -> Result<Service> {
    let listen = format!("listen {};", site.ports().web);
    let cookie = "proxy_set_header Cookie $app_cookie;";
    let upstream = header.to_ascii_lowercase().replace('-', "_");
    let both = format!(
        "{cookie}
        auth_request_set $app_further $upstream_http_{upstream};
        proxy_set_header {header} $app_further;
        {further}"
    );
    let changes = [("listen 80;", &*listen), (cookie, &both)];
    let servers = site.fitted("deploy/nginx/single.conf", &changes)?;
    Nginx::start_with(site, &servers, &["wiki"])
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
