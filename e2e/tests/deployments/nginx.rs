//! nginx with `auth_request`.

use anyhow::Result;
use gatepost_e2e::proxies::Nginx;

use crate::checks;

#[test]
fn single() -> Result<()> {
    let site = checks::site("outpost/single.yaml").start()?;
    let _nginx = Nginx::start(&site, "nginx/single.conf", &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::One)
}

#[test]
fn domain() -> Result<()> {
    let site = checks::site("outpost/domain.yaml").start()?;
    let _nginx = Nginx::start(&site, "nginx/domain.conf", &["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}
