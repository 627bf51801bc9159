//! Envoy with `ext_authz` over HTTP.

use anyhow::Result;
use gatepost_e2e::proxies::Envoy;
use gatepost_e2e::{Service, Site};

use crate::checks;

/// Starts Envoy in front of one application, which gets `Authorization` from the outpost's response.
/// The outpost gets these headers too, and the application does not.
pub(crate) fn for_machines(site: &Site, headers: &[&str]) -> Result<Service> {
    in_front_of(site, "8000", headers)
}

/// Starts the same in front of an application at this port.
pub(crate) fn in_front_of(site: &Site, port: &str, headers: &[&str]) -> Result<Service> {
    let line = |name: &str| format!("                - exact: {name}\n");
    let asked: String = headers.iter().map(|name| line(name)).collect();
    let asked = format!("- exact: dpop\n{}{asked}", line("authorization"));
    let upstream = "- exact: x-forwarded-groups\n                    - exact: authorization\n";
    let hidden = format!(
        "route: {{ cluster: wiki }}
                request_headers_to_remove: {headers:?}"
    );
    let port = format!("port_value: {port} ");
    let mut changes = vec![
        ("port_value: 8000 ", &*port),
        ("- exact: dpop\n", &*asked),
        ("- exact: x-forwarded-groups\n", upstream),
    ];
    if !headers.is_empty() {
        changes.push(("route: { cluster: wiki }", &hidden));
    }
    Envoy::start_with(site, "deploy/envoy/single.yaml", &changes, &["wiki"])
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _envoy = Envoy::start(&site, "deploy/envoy/single.yaml", &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::Several)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _envoy = Envoy::start(&site, "deploy/envoy/domain.yaml", &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}
