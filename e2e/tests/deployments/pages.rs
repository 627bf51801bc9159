//! The outpost's pages where Traefik asks it about every request, in real Chromium.

use anyhow::Result;
use gatepost_e2e::clients::chromium::{self, Pages};
use gatepost_e2e::proxies::Traefik;
use serde_json::json;

use crate::checks;

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn every_page_of_the_outpost() -> Result<()> {
    let site = checks::site("deploy/outpost/single.yaml")
        .partners()
        .applications(&json!({ "require": { "groups": ["admins"] } }))
        .start()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .start(&["wiki"])?;
    chromium::look_at_pages(Pages::OfTheOutpost, &site.url("wiki", "/")?)
}
