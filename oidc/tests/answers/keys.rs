//! Key sets as providers write them (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use gatepost_base::Secret;
use gatepost_oidc::{
    AccessTokenSettings, IdTokenError, Proved, SignInError, TokenRules, UnverifiedLogoutToken,
};
use gatepost_session::NumericDate;
use p521::ecdsa::signature::Signer as _;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};

use crate::double::{
    CLIENT, Double, ISSUER, claims, discovered, finish, header, now, public_key, settings, sign,
    signed_part, token_response,
};

/// Signs in with this ID token at a provider with these keys.
async fn accepts(keys: Value, id_token: &str) -> Result<(), SignInError> {
    let double = Double::new();
    double.answer("/keys", &json!({"keys": keys}));
    double.answer("/token", &token_response(id_token));
    finish(&*discovered(&double, settings()).await)
        .await
        .map(|_| ())
}

fn without(mut value: Value, member: &str) -> Value {
    value.as_object_mut().expect("an object").remove(member);
    value
}

fn with(mut value: Value, member: &str, to: Value) -> Value {
    value[member] = to;
    value
}

/// Returns another key of the same kind.
fn other_key(kid: &str) -> Value {
    let key = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).expect("a key");
    with(
        with(
            public_key(),
            "x",
            json!(URL_SAFE_NO_PAD.encode(key.public_key().as_ref())),
        ),
        "kid",
        json!(kid),
    )
}

#[tokio::test]
async fn key_ids_may_be_missing_or_shared() {
    let named = sign(&header(), &claims());
    let unnamed = sign(&without(header(), "kid"), &claims());
    let number = sign(&with(header(), "kid", json!(7)), &claims());
    for (case, keys, token, accepted) in [
        (
            "none in the set",
            json!([without(public_key(), "kid")]),
            &named,
            true,
        ),
        (
            "several without",
            json!([without(other_key("x"), "kid"), without(public_key(), "kid")]),
            &unnamed,
            true,
        ),
        (
            "several of one name",
            json!([other_key("k"), public_key()]),
            &named,
            true,
        ),
        (
            "none in the token",
            json!([other_key("x"), public_key()]),
            &unnamed,
            true,
        ),
        (
            "a number",
            json!([with(public_key(), "kid", json!("7"))]),
            &number,
            true,
        ),
        (
            "another",
            json!([with(public_key(), "kid", json!("other"))]),
            &named,
            false,
        ),
        (
            "a null",
            json!([with(public_key(), "kid", json!(null))]),
            &named,
            true,
        ),
        ("another key", json!([other_key("k")]), &named, false),
        (
            "for encryption",
            json!([with(public_key(), "use", json!("enc")), other_key("x")]),
            &named,
            false,
        ),
        (
            "invalid keys next to it",
            json!([7, {}, {"kty": "oct", "k": "AA"}, {"kty": "RSA", "n": 7}, public_key()]),
            &named,
            true,
        ),
        (
            "certificates that cannot be read",
            json!([with(public_key(), "x5c", json!({}))]),
            &named,
            true,
        ),
    ] {
        let outcome = accepts(keys, token).await;
        assert_eq!(outcome.is_ok(), accepted, "{case}: {outcome:?}");
    }
}

/// ID tokens, logout tokens and access tokens are verified by the same keys, however the provider
/// writes them.
#[tokio::test]
async fn every_kind_of_token_is_verified_by_the_same_keys() {
    let unnamed = without(public_key(), "kid");
    let x = public_key()["x"].as_str().expect("x").to_owned();
    let padded = with(public_key(), "x", json!(format!("{x}=")));
    for (case, keys, header, accepted) in [
        (
            "several without id",
            json!([without(other_key("x"), "kid"), unnamed]),
            without(header(), "kid"),
            true,
        ),
        (
            "several of one id",
            json!([other_key("k"), public_key()]),
            header(),
            true,
        ),
        ("an id in the token alone", json!([unnamed]), header(), true),
        (
            "lower case",
            json!([public_key()]),
            with(header(), "alg", json!("eddsa")),
            true,
        ),
        ("padded", json!([padded]), header(), true),
        ("another key", json!([other_key("k")]), header(), false),
    ] {
        let double = Double::new();
        double.answer("/keys", &json!({"keys": keys}));
        double.answer("/token", &token_response(&sign(&header, &claims())));
        let provider = discovered(&double, settings()).await;
        let finished = finish(&provider).await;
        assert_eq!(finished.is_ok(), accepted, "{case}: {finished:?}");

        let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        let logout = json!({
            "iss": ISSUER, "aud": CLIENT, "iat": now(), "exp": now() + 60, "jti": "1",
            "sub": "alice-id", "events": event,
        });
        let logout = sign(&with(header.clone(), "typ", json!("logout+jwt")), &logout);
        let logout = UnverifiedLogoutToken::parse(&logout).expect("a token");
        let verified = provider.verify_logout_token(&logout).await;
        assert_eq!(verified.is_ok(), accepted, "{case}: {verified:?}");

        let access = json!({
            "iss": ISSUER, "aud": CLIENT, "iat": now(), "exp": now() + 60, "sub": "robot-id",
        });
        let access = Secret::new(sign(&with(header, "typ", json!("at+jwt")), &access));
        let rules = TokenRules {
            settings: &AccessTokenSettings::default(),
            extra: &[],
            proved: Proved::default(),
            is_fresh: false,
            max_age: 3_600,
            now: NumericDate::from_seconds(now()),
        };
        let holder = provider.holder(&access, rules).await;
        assert_eq!(holder.is_ok(), accepted, "{case}: {holder:?}");
    }
}

#[tokio::test]
async fn a_refused_signature_says_which_algorithm_and_key() {
    let token = sign(&with(header(), "kid", json!("new\u{1b}")), &claims());
    let Err(SignInError::IdToken(IdTokenError::Signature(error))) =
        accepts(json!([public_key()]), &token).await
    else {
        panic!("refused for its signature");
    };
    let text = error.to_string();
    for part in [
        "`alg` EdDSA",
        r"`kid` `new\u{1b}`",
        "0 of 1 keys fit",
        "fetched 0 s ago",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn algorithms_are_read_in_any_case_and_base64_in_any_form() {
    let lower = sign(&with(header(), "alg", json!("eddsa")), &claims());
    accepts(json!([with(public_key(), "alg", json!("EDDSA"))]), &lower)
        .await
        .expect("any case");
    let x = public_key()["x"].as_str().expect("x").to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(x).expect("base64url");
    let named = sign(&header(), &claims());
    for text in [URL_SAFE.encode(&bytes), STANDARD.encode(&bytes)] {
        let keys = json!([with(public_key(), "x", json!(text))]);
        accepts(keys, &named).await.expect(&text);
    }
    for alg in ["none", "HS256", "EdDSA "] {
        let token = sign(&with(header(), "alg", json!(alg)), &claims());
        let refused = accepts(json!([public_key()]), &token).await;
        let Err(SignInError::IdToken(IdTokenError::Algorithm(_))) = refused else {
            panic!("{alg}: {refused:?}");
        };
    }
}

#[tokio::test]
async fn coordinates_may_lack_their_leading_zeros() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    // One of 256 has such a coordinate.
    let (key, x, y) = loop {
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a key");
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (x.to_vec(), y.to_vec());
        if x[0] == 0 {
            break (key, x, y);
        }
    };
    let signed = signed_part(&json!({"alg": "ES256"}), &claims());
    let signature = key.sign(&random, signed.as_bytes()).expect("signed");
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
    let longer = [vec![0], x.clone()].concat();
    for (case, x) in [
        ("full", &x[..]),
        ("without zero", &x[1..]),
        ("longer", &longer),
    ] {
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(&y));
        let keys = json!([{"kty": "EC", "crv": "P-256", "x": x, "y": y}]);
        accepts(keys, &token).await.expect(case);
    }
}

#[tokio::test]
async fn es512_is_verified() {
    let key = p521::ecdsa::SigningKey::from_slice(&[1; 66]).unwrap_or_else(|_| {
        let mut bytes = [0; 66];
        bytes[65] = 9;
        p521::ecdsa::SigningKey::from_slice(&bytes).expect("a key")
    });
    let point = p521::ecdsa::VerifyingKey::from(&key).to_encoded_point(false);
    let coordinate = |bytes: Option<&p521::FieldBytes>| {
        URL_SAFE_NO_PAD.encode(bytes.expect("a coordinate").as_slice())
    };
    let jwk = json!({
        "kty": "EC", "crv": "P-521", "kid": "k",
        "x": coordinate(point.x()), "y": coordinate(point.y()),
    });
    let mut claims = claims();
    claims["at_hash"] = json!(at_hash_sha512("access"));
    let signed = signed_part(&json!({"alg": "ES512", "kid": "k"}), &claims);
    let signature: p521::ecdsa::Signature = key.sign(signed.as_bytes());
    let good = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()));
    accepts(json!([jwk]), &good).await.expect("verified");
    let other = signed_part(
        &json!({"alg": "ES512", "kid": "k"}),
        &json!({"sub": "mallory"}),
    );
    let forged = format!("{other}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()));
    accepts(json!([jwk]), &forged).await.expect_err("forged");
}

fn at_hash_sha512(text: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA512, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..32])
}
