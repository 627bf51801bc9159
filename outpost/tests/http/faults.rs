//! A provider that misbehaves signs no user in.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::provider::Signature;
use crate::world::{World, now};

const START: &str = "https://app.example.com/akprox/start";

/// A change to a JSON value.
type Change = fn(&mut Value);

fn unchanged(_: &mut Value) {}

#[tokio::test]
async fn an_invalid_id_token_signs_no_user_in() {
    let cases: &[(&str, Signature, Change, Change)] = &[
        ("no signature", Signature::Missing, unchanged, unchanged),
        (
            "signed with the client secret",
            Signature::ClientSecret,
            unchanged,
            unchanged,
        ),
        (
            "signed with the public key",
            Signature::PublicKeyAsSecret,
            unchanged,
            unchanged,
        ),
        (
            "signed by another",
            Signature::Forged(9),
            unchanged,
            unchanged,
        ),
        (
            "unknown key id",
            Signature::Genuine,
            |h| h["kid"] = json!("../../key"),
            unchanged,
        ),
        (
            "another algorithm",
            Signature::Genuine,
            |h| h["alg"] = json!("RS256"),
            unchanged,
        ),
        (
            "crit",
            Signature::Genuine,
            |h| h["crit"] = json!(["exp"]),
            unchanged,
        ),
        (
            "a logout token",
            Signature::Genuine,
            |h| h["typ"] = json!("logout+jwt"),
            unchanged,
        ),
        (
            "an access token",
            Signature::Genuine,
            |h| h["typ"] = json!("at+jwt"),
            unchanged,
        ),
        (
            "its own key",
            Signature::Forged(9),
            |h| h["jwk"] = json!({"kty": "OKP"}),
            unchanged,
        ),
        ("another issuer", Signature::Genuine, unchanged, |c| {
            c["iss"] = json!("https://e.example")
        }),
        ("issuer with a slash", Signature::Genuine, unchanged, |c| {
            c["iss"] = json!(format!("{}/", c["iss"].as_str().expect("text")));
        }),
        ("another audience", Signature::Genuine, unchanged, |c| {
            c["aud"] = json!("other")
        }),
        (
            "one audience too many",
            Signature::Genuine,
            unchanged,
            |c| {
                c["aud"] = json!(["gatepost", "other"]);
            },
        ),
        ("no audience", Signature::Genuine, unchanged, |c| {
            c["aud"] = json!([])
        }),
        ("another client", Signature::Genuine, unchanged, |c| {
            c["azp"] = json!("other")
        }),
        ("another nonce", Signature::Genuine, unchanged, |c| {
            c["nonce"] = json!("other")
        }),
        ("no nonce", Signature::Genuine, unchanged, |c| {
            c["nonce"] = Value::Null
        }),
        ("expired", Signature::Genuine, unchanged, |c| {
            c["exp"] = json!(now() - 1)
        }),
        ("no expiry", Signature::Genuine, unchanged, |c| {
            c["exp"] = Value::Null
        }),
        ("expiry as text", Signature::Genuine, unchanged, |c| {
            c["exp"] = json!("never")
        }),
        ("from the future", Signature::Genuine, unchanged, |c| {
            c["iat"] = json!(now() + 3_600)
        }),
        ("no subject", Signature::Genuine, unchanged, |c| {
            c["sub"] = Value::Null
        }),
        ("another access token", Signature::Genuine, unchanged, |c| {
            c["at_hash"] = json!("eHh4")
        }),
    ];
    for (case, signature, header, claims) in cases {
        let world = World::new().await;
        {
            let mut script = world.provider.script();
            script.signature = *signature;
            script.header = Box::new(*header);
            script.claims = Box::new(*claims);
        }
        let mut browser = world.browser();
        let reply = browser.sign_in(START).await;
        assert!(!reply.sets_session(), "{case}: {reply:#?}");
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{case}: {reply:#?}");
        assert!(!reply.body.contains("eyJ"), "{case}: {}", reply.body);
        assert!(
            browser
                .cookie_names()
                .iter()
                .all(|name| !name.contains("flow")),
            "{case}"
        );
        assert_eq!(world.provider.script().exchanges, 1, "{case}");
    }
}

/// The outpost's clock decides, and not also that of the machine.
#[tokio::test]
async fn an_id_token_that_has_expired_by_the_outposts_clock_signs_no_user_in() {
    let world = World::new().await;
    let issued = now();
    world.wait(3_600);
    let fresh = world.browser().sign_in(START).await;
    assert!(fresh.expect(302).sets_session());
    world.provider.script().claims = Box::new(move |claims| {
        claims["iat"] = json!(issued);
        claims["exp"] = json!(issued + 300);
    });
    let expired = world.browser().sign_in(START).await;
    assert!(!expired.expect(502).sets_session());
}

#[tokio::test]
async fn an_id_token_of_this_access_token_signs_in() {
    let world = World::new().await;
    world.provider.script().claims = Box::new(|claims| {
        // EdDSA hashes with SHA-512 (OpenID Connect Core 1.0 §3.1.3.6).
        let digest = ring::digest::digest(&ring::digest::SHA512, b"the-access-token");
        claims["at_hash"] = json!(URL_SAFE_NO_PAD.encode(&digest.as_ref()[..32]));
        claims["azp"] = json!("gatepost");
    });
    assert!(
        world
            .browser()
            .sign_in(START)
            .await
            .expect(302)
            .sets_session()
    );
}

#[tokio::test]
async fn an_unusable_token_response_signs_no_user_in() {
    let cases: &[(&str, StatusCode, Change, u16)] = &[
        (
            "no ID token",
            StatusCode::OK,
            |r| r["id_token"] = Value::Null,
            502,
        ),
        (
            "no JWT",
            StatusCode::OK,
            |r| r["id_token"] = json!("x.y.z"),
            502,
        ),
        (
            "huge",
            StatusCode::OK,
            |r| r["more"] = json!("x".repeat(2 << 20)),
            503,
        ),
        (
            "an error",
            StatusCode::INTERNAL_SERVER_ERROR,
            unchanged,
            502,
        ),
        ("a redirect", StatusCode::FOUND, unchanged, 503),
    ];
    for (case, status, change, expected) in cases {
        let world = World::new().await;
        world.provider.script().token_status = *status;
        world.provider.script().token_response = Box::new(*change);
        let reply = world.browser().sign_in(START).await;
        assert!(!reply.sets_session(), "{case}");
        assert_eq!(reply.status.as_u16(), *expected, "{case}: {}", reply.body);
    }
    let world = World::new().await;
    let mut browser = world.browser();
    let callback = browser.begin(START).await;
    world.provider.script().down = true;
    browser.load(callback.as_str()).await.expect(502);
}

#[tokio::test]
async fn userinfo_of_another_user_is_refused() {
    let world = World::new().await;
    world.provider.script().userinfo = json!({"sub": "mallory-id", "groups": ["admins"]});
    assert!(
        !world
            .browser()
            .sign_in(START)
            .await
            .expect(502)
            .sets_session()
    );
}

#[tokio::test]
async fn a_provider_that_changed_its_key_signs_in_immediately() {
    let world = World::new().await;
    world.provider.script().key = (2, "key-2");
    assert!(
        world
            .browser()
            .sign_in(START)
            .await
            .expect(302)
            .sets_session()
    );
    assert_eq!(world.provider.script().key_fetches, 2);
}

#[tokio::test]
async fn unknown_key_ids_do_not_make_the_outpost_ask_for_keys_again_and_again() {
    let world = World::new().await;
    world.provider.script().header = Box::new(|header| header["kid"] = json!("made-up"));
    for _ in 0..20 {
        world.browser().sign_in(START).await.expect(502);
    }
    assert_eq!(
        world.provider.script().key_fetches,
        2,
        "at the start, and once for all of these"
    );
    // Keys that cannot be fetched leave those that were.
    world.provider.script().header = Box::new(|_| ());
    assert!(
        world
            .browser()
            .sign_in(START)
            .await
            .expect(302)
            .sets_session()
    );
}

#[tokio::test]
async fn a_key_that_the_provider_withdrew_no_longer_signs_anyone_in() {
    let world = World::new().await;
    world.provider.script().key = (2, "key-2");
    world.find_provider().await;
    world.provider.script().header = Box::new(|header| header["kid"] = json!("key-1"));
    world.provider.script().signature = Signature::Forged(1);
    assert!(
        !world
            .browser()
            .sign_in(START)
            .await
            .expect(502)
            .sets_session()
    );
}

#[tokio::test]
async fn a_provider_that_is_not_who_it_should_be_is_not_used() {
    let cases: &[(&str, Change, &str)] = &[
        (
            "another issuer",
            |d| d["issuer"] = json!("https://evil.example"),
            "issuer mismatch",
        ),
        (
            "issuer with a slash",
            |d| d["issuer"] = json!(format!("{}/", d["issuer"].as_str().expect("text"))),
            "issuer mismatch",
        ),
        (
            "signs with the client secret only",
            |d| d["id_token_signing_alg_values_supported"] = json!(["HS256"]),
            "signing key",
        ),
        (
            "no token endpoint",
            |d| d["token_endpoint"] = Value::Null,
            "`token_endpoint` is missing",
        ),
        (
            "no key set",
            |d| d["jwks_uri"] = Value::Null,
            "discovery document",
        ),
    ];
    for (case, change, says) in cases {
        let world = World::without_provider("").await;
        world.provider.script().discovery = Box::new(*change);
        let snapshot = world.outpost.snapshot();
        let error = snapshot.providers[0].discover().await.expect_err(case);
        assert!(error.to_string().contains(says), "{case}: {error}");
        world.browser().load(START).await.expect(503);
    }
}
