//! Tokens of a subject whose sessions were revoked.

use gatepost_store::SessionSelector;
use serde_json::{Value, json};

use super::{BEARER, bring, world};
use crate::world::{World, now};

async fn revoke(world: &World) {
    let which = SessionSelector::Subject {
        issuer: world.provider.issuer.clone(),
        subject: "robot-id".into(),
    };
    let times = world.outpost.snapshot().times;
    let revoker = world.outpost.sessions.revoker();
    revoker.revoke(&which, &times).await.expect("ended");
}

/// A response need not say when a token was issued (RFC 7662 §2.2).
#[tokio::test]
async fn a_token_of_unknown_age_stays_refused_after_a_revocation() {
    let world = world("machines: bearer, machineTokens: {introspect: 'true', cache: 30s}").await;
    let mut claims = world.provider.access_claims();
    claims["active"] = json!(true);
    claims["exp"] = json!(now() + 24 * 3_600);
    claims.as_object_mut().expect("an object").remove("iat");
    world.provider.script().introspection = claims.clone();
    bring(&world, "opaque").await.expect(200);
    revoke(&world).await;
    for _ in 0..3 {
        bring(&world, "opaque").await.expect(401);
        world.wait(11 * 60);
    }
    // With its age, a newer one is accepted.
    claims["iat"] = json!(now());
    world.provider.script().introspection = claims;
    bring(&world, "newer").await.expect(200);
}

/// The clock of the issuer may be ahead as far as that is tolerated.
#[tokio::test]
async fn a_token_of_an_issuer_whose_clock_is_ahead_is_revoked_too() {
    let world = world(BEARER).await;
    let ahead = |claims: &mut Value| claims["iat"] = json!(now() + 25);
    let token = world.provider.access_token(ahead);
    bring(&world, &token).await.expect(200);
    world.wait(1);
    revoke(&world).await;
    bring(&world, &token).await.expect(401);
    world.wait(60);
    bring(&world, &token).await.expect(401);
    let newer = world.provider.access_token(ahead);
    bring(&world, &newer).await.expect(200);
}

/// The outpost knows when it got the token of a client that brings its secret, whatever `iat` says.
#[tokio::test]
async fn a_client_with_a_secret_gets_a_new_token_after_a_revocation() {
    let world = world("machines: basic").await;
    let credentials = super::basic("robot", "r0b:t&pass");
    super::call(&world, &credentials).await.expect(200);
    revoke(&world).await;
    super::call(&world, &credentials).await.expect(401);
    world.wait(11);
    super::call(&world, &credentials).await.expect(200);
}
