//! The form of proofs by which a client shows that it has a key: a compact JWS (RFC 7515 §7.1) whose
//! header says which proof it is (`typ`), and may have the key that signed it (`jwk`).
//!
//! By one, a browser proves that it is on the device of its session; by another, a machine client
//! proves that its access token is its own. Each has claims of its own. The public keys of assertions
//! have their members and thumbprints from here too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The longest proof that is looked at, in bytes: that of an RSA key of 4,096 bits has some 2,000.
const MAX_BYTES: usize = 4_096;

/// The length of a coordinate on P-256, and of a key of Ed25519, in bytes.
pub(crate) const COORDINATE_BYTES: usize = 32;

/// A proof in its parts, of which nothing has been verified. `K` is what `jwk` may be.
#[derive(Debug)]
pub(crate) struct KeyProof<'t, K> {
    /// The algorithm that it names.
    pub algorithm: String,
    /// The key that it brings along.
    pub jwk: K,
    /// The part that is signed.
    pub signed: &'t str,
    claims: &'t str,
    signature: &'t str,
}

/// Why a text is not a proof of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAProof {
    /// It is longer than a proof can be.
    TooLong,
    /// It is not a JWS of this type.
    Malformed,
}

/// A public key whose members are as RFC 7638 §3 wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// A key for ES256.
    P256 {
        /// The x coordinate.
        x: Vec<u8>,
        /// The y coordinate.
        y: Vec<u8>,
    },
    /// A key for RS256.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The public exponent.
        e: Vec<u8>,
    },
    /// A key for `EdDSA` on Ed25519.
    Ed25519 {
        /// The key.
        x: Vec<u8>,
    },
}

#[derive(Deserialize)]
struct Header<K> {
    alg: String,
    typ: String,
    jwk: K,
    crit: Option<Value>,
}

impl<'t, K: DeserializeOwned> KeyProof<'t, K> {
    /// Takes a proof apart whose `typ` is `kind`.
    ///
    /// # Errors
    ///
    /// [`NotAProof`].
    pub(crate) fn parse(text: &'t str, kind: &str) -> Result<Self, NotAProof> {
        if text.len() > MAX_BYTES {
            return Err(NotAProof::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(NotAProof::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(NotAProof::Malformed)?;
        let header: Header<K> = read(header).ok_or(NotAProof::Malformed)?;
        if header.typ != kind || header.crit.is_some() {
            return Err(NotAProof::Malformed);
        }
        Ok(Self {
            algorithm: header.alg,
            jwk: header.jwk,
            signed,
            claims,
            signature,
        })
    }
}

impl<K> KeyProof<'_, K> {
    /// Returns what it says. `None` where that is malformed.
    pub(crate) fn claims<C: DeserializeOwned>(&self) -> Option<C> {
        read(self.claims)
    }

    /// Returns the signature. `None` where it is malformed.
    pub(crate) fn signature(&self) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(self.signature).ok()
    }
}

impl PublicKey {
    /// Returns whether the key made the signature.
    pub(crate) fn has_signed(&self, signed: &str, signature: &[u8]) -> bool {
        let signed = signed.as_bytes();
        let verified = match self {
            Self::P256 { x, y } => {
                // An uncompressed point (SEC 1 §2.3.3).
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            Self::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, x).verify(signed, signature),
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                signed,
                signature,
            ),
        };
        verified.is_ok()
    }

    /// Returns the members that make its thumbprint (RFC 7638 §3.2), in the order of their names.
    pub(crate) fn members(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::P256 { x, y } => {
                json!({"crv": "P-256", "kty": "EC", "x": text(x), "y": text(y)})
            }
            Self::Ed25519 { x } => json!({"crv": "Ed25519", "kty": "OKP", "x": text(x)}),
            Self::Rsa { n, e } => json!({"e": text(e), "kty": "RSA", "n": text(n)}),
        }
    }

    /// Returns the thumbprint of the key (RFC 7638 §3).
    pub(crate) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.members().to_string()))
    }
}

/// Reads a part that is JSON.
fn read<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
