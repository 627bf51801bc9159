//! The end of a session.

use anyhow::Result;
use gatepost_e2e::Client;
use gatepost_e2e::users::ALICE;
use reqwest::{Method, StatusCode};

use crate::shared;

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn after_sign_out_the_browser_has_no_session() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("signed-out")?;
    let page = app.url("/");
    let client = Client::new()?;
    client.sign_in(&page, &ALICE)?;
    let name = app.cookie_name();
    assert!(client.cookie(&page, name.as_str()).is_some());

    client.open(&app.url("/akprox/sign_out"))?;
    assert_eq!(client.cookie(&page, name.as_str()), None);
    let status = client.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    Ok(())
}
