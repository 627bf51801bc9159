//! What clients prove besides their token: proofs of a key (DPoP), and certificates that a proxy hands on.

#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost::client_certificate::Thumbprint;
use gatepost::machine_clients::{DpopProof, ExpectedProof};
use gatepost_base::Secret;
use gatepost_fuzz::now;
use libfuzzer_sys::fuzz_target;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use url::Url;

const TOKEN: &str = "a-token";

/// Verifies a text as the outpost does.
fn verify(text: &str, url: &Url, token: &Secret) -> Option<DpopProof> {
    let expected = ExpectedProof {
        method: "GET",
        url,
        token,
        now: now(),
    };
    let proof = DpopProof::parse(text, &expected).ok()?;
    let key = proof.key().to_owned();
    let proof = proof.verify().ok()?;
    assert_eq!(proof.key(), key);
    assert_eq!(key.len(), 43);
    Some(proof)
}

/// A key that the fuzzer has, so that it gets beyond the signature.
fn own_key() -> &'static Ed25519KeyPair {
    static KEY: LazyLock<Ed25519KeyPair> =
        LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"));
    &KEY
}

fn signed(header: &str, claims: &[u8]) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = own_key().sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

fuzz_target!(|data: &[u8]| {
    let url = Url::parse("https://wiki.example.com/api").expect("a URL");
    let token = Secret::new(TOKEN.to_owned());
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = verify(text, &url, &token);
        if let Some(thumbprint) = Thumbprint::of_header(text) {
            assert_eq!(thumbprint.as_str().len(), 43);
            // Every form of one certificate has one thumbprint, whatever blanks are around it.
            let again = Thumbprint::of_header(&format!(" {text} "));
            assert!(again.is_none_or(|again| again == thumbprint));
        }
    }
    // Header, claims and signature, a line each, so that the fuzzer need not learn base64.
    let parts: Vec<String> = data
        .splitn(3, |byte| *byte == b'\n')
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .collect();
    assert!(
        verify(&parts.join("."), &url, &token).is_none(),
        "no key has signed it"
    );
    // Claims that a key has signed.
    let x = URL_SAFE_NO_PAD.encode(own_key().public_key().as_ref());
    let header = json!({
        "typ": "dpop+jwt", "alg": "EdDSA", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": x },
    });
    if verify(&signed(&header.to_string(), data), &url, &token).is_some() {
        let claims: Value = serde_json::from_slice(data).expect("JSON");
        assert_eq!(claims["htm"], "GET");
        let ath = ring::digest::digest(&ring::digest::SHA256, TOKEN.as_bytes());
        assert_eq!(claims["ath"], URL_SAFE_NO_PAD.encode(ath));
        let htu = Url::parse(claims["htu"].as_str().expect("text")).expect("a URL");
        assert_eq!((htu.origin(), htu.path()), (url.origin(), url.path()));
        let made = claims["iat"].as_f64().expect("a number");
        let apart = made - now().as_seconds() as f64;
        assert!((-60.0..=31.0).contains(&apart), "{apart}");
        assert_ne!(claims["jti"], "");
    }
});
