//! Sessions of the requests that the built guest, the native gate and the fuzzer are given.

use gatepost_session::{Claims, KeyRing, SessionId};
use gatepost_signing::Signer;
use serde_json::{Value, json};

/// The time at which everything happens, in Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// Returns a session that is in force, signed by the first key of this ring, after `change`.
pub(crate) fn token(key: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = json!({
        "iss": "https://id.example.com",
        "sub": "1234",
        "aud": "wiki",
        "sid": SessionId::from_random([7; 24]),
        "iat": NOW,
        "exp": NOW + 900,
        "rnw": NOW + 600,
        "preferred_username": "alice",
        "email": "alice@example.com",
        "groups": ["staff", "ops"],
    });
    change(&mut claims);
    let claims: Claims = serde_json::from_value(claims).expect("claims");
    let ring = KeyRing::parse(key).expect("a ring");
    Signer::new(&ring).sign(&claims).expect("a token")
}
