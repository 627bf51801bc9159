//! How the client authenticates at a provider, and how it asks there.

use anyhow::Result;
use gatepost_e2e::providers::ClientKey;
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Answer, Client};
use serde_json::json;

use crate::bench::{Bench, Plan};
use crate::matrix::Cell;
use crate::scenarios::check_report;

/// A client with a key in the place of a secret (RFC 7523), whose authorization requests Keycloak
/// takes only where they are pushed (RFC 9126).
pub(crate) fn key(bench: &Bench<'_>) -> Result<Cell> {
    let key = ClientKey::create("first")?;
    let signed = bench.stack(&Plan {
        client_key: Some(key.clone()),
        // Keycloak's metadata do not say what one client requires.
        provider: json!({ "pushedAuthorization": true }),
        ..Plan::short_windows()
    })?;
    let (report, well) = check_report(&signed)?;
    assert!(well, "{report}");
    assert!(report.contains("with its key"), "{report}");
    let alice = Client::new()?;
    let journey = signed.sign_in(&alice, &ALICE)?;
    let pushed = |hop: &Answer| hop.url.query_pairs().any(|(name, _)| name == "request_uri");
    let shows_request = |hop: &Answer| {
        hop.url
            .query_pairs()
            .any(|(name, _)| name == "code_challenge")
    };
    let asked = alice.open(&signed.stack.application("other")?.url("/"))?;
    for journey in [&journey, &asked] {
        let shown = journey.hops().any(shows_request);
        assert!(!shown, "{journey}");
    }
    assert!(asked.hops().any(pushed), "{asked}");
    signed.renew(&alice)?;

    // The key is rotated as the page on providers says. Sessions go on, and users sign in.
    let next = ClientKey::create("second")?;
    let client = &signed.registration;
    signed.provider.change_client_keys(client, &[&key, &next])?;
    next.replace(&key)?;
    signed.stack.change_outpost(|config| {
        config["providers"][0]["clientKeyId"] = json!(next.id());
    })?;
    signed.renew(&alice)?;
    signed.provider.change_client_keys(client, &[&next])?;
    signed.renew(&alice)?;
    signed.sign_in(&Client::new()?, &BOB)?;
    Ok(Cell::Yes)
}

/// A client that shows its secret to nobody, but a MAC by it (OpenID Connect Core 1.0 §9).
pub(crate) fn secret_jwt(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        secret_jwt: true,
        provider: json!({ "clientAuthentication": "secretJwt" }),
        ..Plan::short_windows()
    })?;
    let (report, well) = check_report(&signed)?;
    assert!(well, "{report}");
    let alice = Client::new()?;
    signed.sign_in(&alice, &ALICE)?;
    signed.renew(&alice)?;
    Ok(Cell::Yes)
}

/// A client that has to push its requests, and a configuration that does not say so.
pub(crate) fn check_names_pushed_requests(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        client_key: Some(ClientKey::create("only")?),
        ..Plan::default()
    })?;
    let (report, well) = check_report(&signed)?;
    assert!(!well, "{report}");
    assert!(report.contains("`pushedAuthorization: true`"), "{report}");
    Ok(Cell::Yes)
}
