//! Step-up, at a provider with levels of authentication.

use anyhow::{Result, bail};
use gatepost_e2e::Client;
use gatepost_e2e::users::ALICE;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::bench::{Bench, Plan};
use crate::matrix::Cell;

/// A rule asks for a class of authentication that the user's session at the provider has not.
pub(crate) fn scenario(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        levels: true,
        rules: json!([
            { "name": "vault", "paths": ["/vault/*"], "require": { "acr": ["gold"] } },
            { "name": "fresh", "paths": ["/fresh/*"], "require": { "maxAge": "5m" } },
        ]),
        ..Plan::default()
    })?;
    let alice = Client::new()?;
    signed.sign_in(&alice, &ALICE)?;
    let vault = signed.url("/vault/x");
    let script = alice.fetch(Method::GET, &vault).send()?;
    assert_eq!(script.status(), StatusCode::UNAUTHORIZED);
    let journey = alice.open(&vault)?;
    assert!(journey.passed("/akprox/start"), "{journey}");
    if !signed.provider.asks_to_sign_in(&alice, &journey)? {
        bail!("the provider asks for nothing: {journey}");
    }
    let journey = alice.fill_in(journey, "input[type=password]", &ALICE)?;
    signed.landed(&journey, &vault)?;
    let journey = alice.open(&vault)?;
    assert_eq!(journey.earlier.len(), 0, "{journey}");
    let fresh = signed.url("/fresh/x");
    let journey = alice.open(&fresh)?;
    signed.landed(&journey, &fresh)?;
    Ok(Cell::Yes)
}
