//! The keys that sign assertions.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Unsigned};
use crate::key_proof::{COORDINATE_BYTES, PublicKey};

/// The most keys of a file: of two algorithms, with their predecessors and successors.
const MAX_KEYS: usize = 16;

/// How much of the key's thumbprint is its id, in characters of base64: 96 bits. It travels in every
/// cookie.
const ID_CHARACTERS: usize = 16;

/// The keys of a file, in its order. The first key of an algorithm signs, and applications learn of
/// all.
#[derive(Clone, Debug, Default)]
pub struct AssertionKeys(Vec<Arc<AssertionKey>>);

/// A key pair.
pub struct AssertionKey {
    id: String,
    pair: Pair,
    /// The header of its assertions, encoded.
    header: String,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

/// Why a file has no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionKeyError {
    /// There is no key in it.
    #[error(
        "expected private keys in PEM (PKCS#8, not encrypted); `gatepost keygen --assertion` makes one"
    )]
    Missing,
    /// The PEM is damaged.
    #[error("key {0} is not PEM")]
    Pem(usize),
    /// It is another kind of key.
    #[error("key {0}: expected a P-256 or Ed25519 key in PKCS#8 (`-----BEGIN PRIVATE KEY-----`)")]
    Kind(usize),
    /// The same key twice.
    #[error("key {0} is there twice")]
    Twice(usize),
    /// More keys than a file may have.
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
}

impl AssertionKeys {
    /// Reads the keys of a file in PEM.
    ///
    /// # Errors
    ///
    /// [`AssertionKeyError`], which has no part of a key.
    pub fn parse(pem: &str) -> Result<Self, AssertionKeyError> {
        let mut keys: Vec<Arc<AssertionKey>> = Vec::new();
        for (at, found) in PrivateKeyDer::pem_slice_iter(pem.as_bytes()).enumerate() {
            let position = at.saturating_add(1);
            let found = found.map_err(|_| AssertionKeyError::Pem(position))?;
            let key = match &found {
                PrivateKeyDer::Pkcs8(der) => AssertionKey::from_pkcs8(der.secret_pkcs8_der()),
                _ => None,
            };
            let key = key.ok_or(AssertionKeyError::Kind(position))?;
            if keys.iter().any(|own| own.id == key.id) {
                return Err(AssertionKeyError::Twice(position));
            }
            if keys.len() == MAX_KEYS {
                return Err(AssertionKeyError::TooMany);
            }
            keys.push(Arc::new(key));
        }
        match keys.is_empty() {
            true => Err(AssertionKeyError::Missing),
            false => Ok(Self(keys)),
        }
    }

    /// Makes a key, as PEM.
    ///
    /// # Errors
    ///
    /// [`Unsigned`], since the operating system has no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Zeroizing<String>, Unsigned> {
        let random = SystemRandom::new();
        let der = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            }
            // The first version of PKCS#8, without the public key, which more programs read: the DER of
            // RFC 8410 §7 around a seed.
            Algorithm::EdDsa => return ed25519_pem(),
        };
        let der = Zeroizing::new(der.map_err(|_| Unsigned)?.as_ref().to_vec());
        Ok(pem(&der))
    }

    /// Returns whether no key is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the key that signs with this algorithm.
    pub fn signing(&self, algorithm: Algorithm) -> Option<&Arc<AssertionKey>> {
        self.0.iter().find(|key| key.algorithm() == algorithm)
    }

    /// Returns whether an assertion says that one of these keys signed it, with this algorithm. Only
    /// for what the outpost itself has put into a session: no signature is checked.
    pub fn are_named_by(&self, assertion: &str, algorithm: Algorithm) -> bool {
        let (header, _) = assertion.split_once('.').unwrap_or_default();
        let mut keys = self.0.iter();
        keys.any(|key| key.algorithm() == algorithm && key.header == header)
    }

    /// Returns the same keys of which that with this id signs, if it is there.
    pub fn signing_with(&self, id: &str) -> Option<Self> {
        let at = self.0.iter().position(|key| key.id == id)?;
        let mut keys = self.0.clone();
        keys.get_mut(..=at)?.rotate_right(1);
        Some(Self(keys))
    }

    /// Returns what applications verify with: the public keys (RFC 7517 §5).
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.0.iter().map(|key| key.jwk()).collect();
        json!({"keys": keys})
    }
}

impl AssertionKey {
    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let es256 =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
        let pair = match es256 {
            Ok(pair) => Pair::Es256(pair),
            // OpenSSL writes Ed25519 keys without the public half.
            Err(_) => Pair::EdDsa(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?),
        };
        let id = pair.public().thumbprint().get(..ID_CHARACTERS)?.to_owned();
        let header = json!({"alg": pair.algorithm().name(), "kid": id, "typ": "JWT"});
        Some(Self {
            header: URL_SAFE_NO_PAD.encode(header.to_string()),
            id,
            pair,
        })
    }

    /// Returns its id (`kid`): the first 96 bits of its thumbprint (RFC 7638).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the algorithm that it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.pair.algorithm()
    }

    /// Returns the public key (RFC 7517 §4, RFC 8037 §2).
    fn jwk(&self) -> Value {
        let mut jwk = self.pair.public().members();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".to_owned(), json!(self.id));
            members.insert("alg".to_owned(), json!(self.algorithm().name()));
            members.insert("use".to_owned(), json!("sig"));
        }
        jwk
    }

    /// Returns a signed JWT with these claims (RFC 7515 §7.1).
    pub(super) fn sign(&self, payload: &impl Serialize) -> Result<String, Unsigned> {
        // Texts, numbers, lists and flags are always representable.
        let payload = serde_json::to_vec(payload).map_err(|_| Unsigned)?;
        let mut token = self.header.clone();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = match &self.pair {
            Pair::Es256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), token.as_bytes());
                URL_SAFE_NO_PAD.encode(signed.map_err(|_| Unsigned)?)
            }
            Pair::EdDsa(pair) => URL_SAFE_NO_PAD.encode(pair.sign(token.as_bytes())),
        };
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }
}

impl Pair {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256(_) => Algorithm::Es256,
            Self::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// Returns the public key.
    fn public(&self) -> PublicKey {
        match self {
            Self::Es256(pair) => {
                // An uncompressed point (SEC 1 §2.3.3): `4`, then two coordinates.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at_checked(COORDINATE_BYTES).unwrap_or_default();
                PublicKey::P256 {
                    x: x.to_vec(),
                    y: y.to_vec(),
                }
            }
            Self::EdDsa(pair) => PublicKey::Ed25519 {
                x: pair.public_key().as_ref().to_vec(),
            },
        }
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({})", self.id)
    }
}

/// Returns a new Ed25519 key as PEM (RFC 8410 §7).
fn ed25519_pem() -> Result<Zeroizing<String>, Unsigned> {
    const BEFORE_SEED: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let mut der = Zeroizing::new([0; 48]);
    if let Some((start, seed)) = der.split_at_mut_checked(BEFORE_SEED.len()) {
        start.copy_from_slice(&BEFORE_SEED);
        getrandom::fill(seed).map_err(|_| Unsigned)?;
    }
    Ok(pem(der.as_slice()))
}

/// Returns a private key as PEM (RFC 7468 §10).
fn pem(der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END PRIVATE KEY-----");
    text
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    use super::*;

    /// RFC 8037 appendix A: a key, its thumbprint and a signature.
    #[test]
    fn a_key_has_the_thumbprint_and_the_signatures_of_the_standard() {
        let seed = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .expect("base64");
        let mut der = vec![
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        der.extend(seed);
        let keys = AssertionKeys::parse(&pem(&der)).expect("a key");
        let jwk = &keys.jwks()["keys"][0];
        assert_eq!(jwk["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let id = keys.signing(Algorithm::EdDsa).expect("a key").id();
        assert!(
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".starts_with(id),
            "{id}"
        );
        assert_eq!(jwk["kid"], id);
        assert!(keys.signing(Algorithm::Es256).is_none());
    }

    #[test]
    fn what_a_key_signs_its_public_half_verifies() {
        for algorithm in Algorithm::ALL {
            let keys = AssertionKeys::generate(algorithm).expect("a key");
            let keys = AssertionKeys::parse(&keys).expect("a key");
            let jwks = keys.jwks();
            let jwk = &jwks["keys"][0];
            assert!(
                jwk.get("d").is_none() && jwk["alg"] == algorithm.name(),
                "{jwk}"
            );
            let token = keys
                .signing(algorithm)
                .expect("a key")
                .sign(&json!({"sub": "1"}));
            let token = token.expect("signed");
            let (signed, signature) = token.rsplit_once('.').expect("a JWT");
            let part = |name: &str| {
                let text = jwk[name].as_str().unwrap_or_default();
                URL_SAFE_NO_PAD.decode(text).expect("base64")
            };
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
            let verified = match algorithm {
                Algorithm::Es256 => {
                    let point = [&[4][..], &part("x"), &part("y")].concat();
                    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                        .verify(signed.as_bytes(), &signature)
                }
                Algorithm::EdDsa => UnparsedPublicKey::new(&ED25519, part("x"))
                    .verify(signed.as_bytes(), &signature),
            };
            assert!(verified.is_ok(), "{algorithm:?}");
        }
    }

    #[test]
    fn one_key_signs_and_all_are_published() {
        let made = |algorithm| AssertionKeys::generate(algorithm).expect("a key");
        let texts = [
            made(Algorithm::Es256),
            made(Algorithm::EdDsa),
            made(Algorithm::Es256),
        ];
        let all = texts.iter().map(|text| text.as_str());
        let all = AssertionKeys::parse(&all.collect::<Vec<_>>().join("\n")).expect("keys");
        let [first, eddsa, second] = &all.0[..] else {
            panic!("{all:?}")
        };
        assert_eq!(all.jwks()["keys"].as_array().map(Vec::len), Some(3));
        let signing = |keys: &AssertionKeys| {
            Algorithm::ALL.map(|algorithm| keys.signing(algorithm).expect("a key").id().to_owned())
        };
        assert_eq!(signing(&all), [first.id(), eddsa.id()]);
        let other = all.signing_with(second.id()).expect("the key");
        assert_eq!(signing(&other), [second.id(), eddsa.id()]);
        assert!(all.signing_with("x").is_none());
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let good = AssertionKeys::generate(Algorithm::Es256).expect("a key");
        let twice = format!("{}\n{}", *good, *good);
        let sec1 = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
        let cut = good.replace("PRIVATE KEY-----\nM", "PRIVATE KEY-----\n");
        for (text, expected) in [
            ("", AssertionKeyError::Missing),
            ("a:QkNERUZH", AssertionKeyError::Missing),
            (sec1, AssertionKeyError::Kind(1)),
            (&twice, AssertionKeyError::Twice(2)),
        ] {
            assert_eq!(AssertionKeys::parse(text).expect_err(text), expected);
        }
        assert!(AssertionKeys::parse(&cut).is_err());
        let keys = AssertionKeys::parse(&good).expect("a key");
        let shown = format!("{keys:?}");
        assert!(!good.contains(&shown) && shown.len() < 60, "{shown}");
    }
}
