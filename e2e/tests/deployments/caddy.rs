//! Caddy, whose `forward_auth` is written out in its configuration.

use anyhow::Result;
use gatepost_e2e::proxies::Caddy;
use gatepost_e2e::{Service, Site};

use crate::checks;

/// Starts Caddy in front of one application, which gets `Authorization` from the outpost's response,
/// with further directives for a request that may go on.
pub(crate) fn for_machines(site: &Site, further: &str) -> Result<Service> {
    in_front_of(site, "127.0.0.1:8000", further)
}

/// Starts the same in front of an application at this address.
pub(crate) fn in_front_of(site: &Site, address: &str, further: &str) -> Result<Service> {
    let cookie = "request_header Cookie {rp.header.Cookie}";
    let both = format!(
        "{cookie}
				route {{
					request_header Authorization {{rp.header.Authorization}}
					@withheld header_regexp Authorization ^$
					request_header @withheld -Authorization
				}}
				{further}"
    );
    let upstream = "\t\treverse_proxy 127.0.0.1:8000";
    let other = format!("\t\treverse_proxy {address}");
    let changes = [(cookie, &*both), (upstream, &other)];
    Caddy::start_with(site, "deploy/caddy/single.Caddyfile", &changes, &["wiki"])
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _caddy = Caddy::start(&site, "deploy/caddy/single.Caddyfile", &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::Several)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _caddy = Caddy::start(&site, "deploy/caddy/domain.Caddyfile", &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}
