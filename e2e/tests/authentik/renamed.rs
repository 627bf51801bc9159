//! An application whose slug is changed in authentik, which is part of its provider's issuer.

use std::fs;

use anyhow::Result;
use gatepost_e2e::proxies::Traefik;
use gatepost_e2e::{Client, Site, users};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// The provider signs with the new issuer, and authentik notifies no outpost: the first sign-in has the
/// outpost ask.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn a_user_signs_in_at_once_after_the_slug_was_changed() -> Result<()> {
    let (site, authentik) = Site::of_authentik(StatusCode::UNAUTHORIZED, &json!({}))?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("testdata/authentik/traefik-standalone.yaml")?
        .start(&["wiki"])?;
    let page = site.url("wiki", "/private")?;
    let journey = Client::new()?.sign_in(&page, &users::ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");

    let port = site.ports().provider;
    let issuer = format!("http://127.0.0.1:{port}/application/o/renamed/");
    site.provider().stop();
    let file = site.folder().join("provider.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    config["issuer"] = json!(issuer);
    fs::write(file, config.to_string())?;
    site.provider().start()?;
    let asked = authentik.asked();
    authentik.change_silently(&json!({
        "assigned_application_slug": "renamed",
        "oidc_configuration": { "issuer": issuer },
    }));

    let bob = Client::new()?;
    let journey = bob.sign_in(&page, &users::BOB)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert!(authentik.asked() > asked, "the outpost has not asked");
    let seen = site.wiki();
    let seen = seen.last().map(|seen| {
        let header = |name| seen.header(name).map(str::to_owned);
        (
            header("x-authentik-username"),
            header("x-authentik-meta-app"),
        )
    });
    let expected = [users::BOB.login, "renamed"].map(|text| Some(text.to_owned()));
    assert_eq!(seen, Some(expected.into()));
    Ok(())
}
