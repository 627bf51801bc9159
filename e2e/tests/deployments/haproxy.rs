//! HAProxy with an action in Lua.

use std::fs;

use anyhow::{Result, ensure};
use gatepost_e2e::proxies::Haproxy;
use gatepost_e2e::{Service, Site, layout};

use crate::checks;

/// Starts HAProxy in front of one application, which gets `Authorization` from the outpost alone. The
/// outpost gets these headers too, and the application does not.
pub(crate) fn for_machines(site: &Site, headers: &[&str]) -> Result<Service> {
    in_front_of(site, "127.0.0.1:8000", headers)
}

/// Starts the same in front of an application at this address.
pub(crate) fn in_front_of(site: &Site, address: &str, headers: &[&str]) -> Result<Service> {
    with_changes(site, &[("127.0.0.1:8000", address)], headers)
}

/// Starts the same with changes of its configuration.
pub(crate) fn with_changes(
    site: &Site,
    changes: &[(&str, &str)],
    headers: &[&str],
) -> Result<Service> {
    let script = fs::read_to_string(layout::root().join("deploy/haproxy/gatepost.lua"))?;
    let asked: String = headers
        .iter()
        .map(|name| format!("    [\"{name}\"] = once,\n"))
        .collect();
    let identity: String = headers
        .iter()
        .map(|name| format!("    \"{name}\",\n"))
        .collect();
    let changed = script
        .replace("local asked = {\n", &format!("local asked = {{\n{asked}"))
        .replace(
            "    \"cookie\",\n",
            &format!("    \"cookie\",\n    \"authorization\",\n{identity}"),
        );
    ensure!(changed != script, "the script has other lines");
    Haproxy::start_with(
        site,
        "deploy/haproxy/single.cfg",
        changes,
        &changed,
        &["wiki"],
    )
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn single() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml").start()?;
    let _haproxy = Haproxy::start(&site, "deploy/haproxy/single.cfg", &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::Several)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn domain() -> Result<()> {
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _haproxy = Haproxy::start(&site, "deploy/haproxy/domain.cfg", &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}
