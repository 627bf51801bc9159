//! The keys by which the provider signs.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

pub(super) fn key_pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key")
}

/// Returns a key that was made for these tests and has signed nothing else: `ring` cannot generate
/// one.
pub(super) fn rsa_key_pair() -> RsaKeyPair {
    RsaKeyPair::from_der(include_bytes!("rsa.der")).expect("a key")
}

/// Returns a signature by RS256 with the key of [`rsa_key`].
pub(crate) fn rsa_signature(signed: &str) -> Vec<u8> {
    let pair = rsa_key_pair();
    let mut signature = vec![0; pair.public().modulus_len()];
    let random = SystemRandom::new();
    pair.sign(
        &RSA_PKCS1_SHA256,
        &random,
        signed.as_bytes(),
        &mut signature,
    )
    .expect("signed");
    signature
}

/// Returns the public part of the RSA key, under the id that ID tokens name.
pub(crate) fn rsa_key() -> Value {
    let public = rsa_key_pair();
    let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(public.public());
    let (n, e) = (
        URL_SAFE_NO_PAD.encode(public.n),
        URL_SAFE_NO_PAD.encode(public.e),
    );
    json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "key-1", "n": n, "e": e})
}

pub(super) fn ecdsa_key_pair() -> &'static EcdsaKeyPair {
    static MADE: OnceLock<EcdsaKeyPair> = OnceLock::new();
    MADE.get_or_init(|| {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let pkcs8 = pkcs8.expect("a key");
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
        pair.expect("a key")
    })
}

/// Returns the public part of the P-256 key, under the id that ID tokens name.
pub(crate) fn ecdsa_key() -> Value {
    // An uncompressed point: 4, then both coordinates.
    let point = ecdsa_key_pair().public_key().as_ref();
    let (x, y) = point[1..].split_at(32);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": "key-1", "x": x, "y": y})
}

/// Returns the public part of this seed's key.
pub(crate) fn key(seed: u8, kid: &str) -> Value {
    let x = URL_SAFE_NO_PAD.encode(key_pair(seed).public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": kid, "x": x})
}
