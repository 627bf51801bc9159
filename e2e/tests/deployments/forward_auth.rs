//! Traefik's `forwardAuth` alone, without the plugin.

use anyhow::Result;
use gatepost_e2e::proxies::Traefik;

use crate::checks;

#[test]
fn single() -> Result<()> {
    let site = checks::site("outpost/single.yaml").start()?;
    let _traefik = Traefik::new(&site, "traefik/forward-auth.yaml")?
        .route("traefik/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::Several)
}

#[test]
fn domain() -> Result<()> {
    let site = checks::site("outpost/domain.yaml").start()?;
    let _traefik = Traefik::new(&site, "traefik/forward-auth.yaml")?
        .route("traefik/forward-auth-domain.yaml")?
        .start(&["wiki", "files"])?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")
}
