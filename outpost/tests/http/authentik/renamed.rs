//! An application whose slug is changed in authentik, which is part of the issuer.

use gatepost::signals;
use gatepost::sources::authentik::{AskingSignals, Follower};

use super::*;
use crate::world::until;

#[tokio::test]
async fn a_user_signs_in_after_the_slug_was_changed() {
    let provider = Provider::start().await;
    provider.script().secret_in_form = true;
    let issuer = |slug: &str| format!("{}/application/o/{slug}/", provider.issuer);
    let named = |slug: &str| {
        let changes = json!({
            "assigned_application_slug": slug,
            "oidc_configuration": {"issuer": issuer(slug)},
        });
        application(&provider, changes)
    };
    let (before, after, issuer) = (named("before"), named("after"), issuer("after"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let host = format!("http://{}", listener.local_addr().expect("an address"));
    let said = serve_api(listener, &provider, vec![before]);
    let (config, _) = ask(settings(&host, &[])).await.expect("a configuration");
    let world = World::of(provider, &config);
    world.find_provider().await;
    let first = world.outpost.snapshot();
    let follower = Follower::new(settings(&host, &[])).expect("a follower");
    follower.start(
        &world.outpost,
        AskingSignals {
            reload: signals::Asked::never(),
            refresh: signals::Asked::never(),
        },
    );
    until("the follower's first configuration", async || {
        !Arc::ptr_eq(&first, &world.outpost.snapshot())
    })
    .await;

    // authentik does not notify the outpost.
    *said.lock().expect("no panic") = vec![after];
    world.provider.script().claims = Box::new(move |claims| claims["iss"] = json!(issuer));
    let mut browser = world.browser();
    let mut to = format!("https://{APP}/outpost.goauthentik.io/start?rd=/deep");
    for _ in 0..2 {
        let reply = browser.load(&to).await.expect(302);
        // authentik names no issuer in the callback.
        let mut callback = world.provider.authorize(reply.location());
        let pairs: Vec<(String, String)> = callback.query_pairs().into_owned().collect();
        let pairs = pairs.iter().filter(|(name, _)| name != "iss");
        callback.query_pairs_mut().clear().extend_pairs(pairs);
        let reply = browser.load(callback.as_str()).await.expect(302);
        to = reply.location().to_owned();
    }
    assert_eq!(to, format!("https://{APP}/deep"));
    let asked = Asked::load(APP, "/deep").by(&browser);
    let reply = asked.ask(&world, "auth/traefik").await.expect(200);
    assert_eq!(reply.header("x-authentik-meta-app"), Some("after"));
}
