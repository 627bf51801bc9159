//! HAProxy with an action in Lua.

use anyhow::Result;
use gatepost_e2e::proxies::Haproxy;

use crate::checks;

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
