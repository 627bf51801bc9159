//! A browser's proof that it has the key of a session: a JWS with `typ` `dbsc+jwt`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_base::DeviceKey;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

/// The longest proof that is looked at, in bytes: that of an RSA key of 4,096 bits has some 2,000.
const MAX_BYTES: usize = 4_096;

/// The length of a coordinate on P-256, in bytes.
const COORDINATE_BYTES: usize = 32;

/// A proof in its three parts, of which nothing has been verified.
#[derive(Debug)]
pub struct Proof<'t> {
    algorithm: Algorithm,
    /// The public key that the proof brings along.
    key: Option<DeviceKey>,
    challenge: String,
    signed: &'t str,
    signature: Vec<u8>,
}

/// The algorithms of proofs. There is no variant for any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Es256,
    Rs256,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// It is longer than a proof can be.
    #[error("the proof is too long")]
    TooLong,
    /// It is no JWS of a proof.
    #[error("the proof is not a signed JWT with `typ` dbsc+jwt")]
    Malformed,
    /// Its algorithm is neither ES256 nor RS256, or not that of the key.
    #[error("the proof's algorithm is not ES256 or RS256, or not that of the key")]
    Algorithm,
    /// It registers no key, or one that cannot be used.
    #[error("the registration has no public key for its algorithm")]
    Key,
    /// It renews a session, and brings a key along.
    #[error("a renewal brings a key along, which only a registration may")]
    UnexpectedKey,
    /// The key did not sign it.
    #[error("the proof is not signed by the key")]
    Signature,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    jwk: Option<Value>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
}

#[derive(Deserialize)]
#[serde(tag = "kty")]
enum Jwk {
    #[serde(rename = "EC")]
    Ec { crv: String, x: String, y: String },
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
}

impl<'t> Proof<'t> {
    /// Takes the value of `Secure-Session-Response` apart: a string of structured fields (RFC 9651
    /// §3.3.3), which browsers also send without its quotation marks.
    ///
    /// # Errors
    ///
    /// [`InvalidProof`].
    pub fn parse(value: &'t str) -> Result<Self, InvalidProof> {
        let text = unquoted(value);
        if text.len() > MAX_BYTES {
            return Err(InvalidProof::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(InvalidProof::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidProof::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = decode(header)
            .and_then(|header| serde_json::from_slice(&header).ok())
            .ok_or(InvalidProof::Malformed)?;
        if header.typ != "dbsc+jwt" || header.crit.is_some() {
            return Err(InvalidProof::Malformed);
        }
        let algorithm = match header.alg.as_str() {
            "ES256" => Algorithm::Es256,
            "RS256" => Algorithm::Rs256,
            _ => return Err(InvalidProof::Algorithm),
        };
        let key = header
            .jwk
            .map(|jwk| key_of(jwk, algorithm).ok_or(InvalidProof::Key))
            .transpose()?;
        let claims: Claims = decode(claims)
            .and_then(|claims| serde_json::from_slice(&claims).ok())
            .ok_or(InvalidProof::Malformed)?;
        Ok(Self {
            algorithm,
            key,
            challenge: claims.jti,
            signed,
            signature: decode(signature).ok_or(InvalidProof::Malformed)?,
        })
    }

    /// Returns the challenge that it says it answers.
    pub fn challenge(&self) -> &str {
        &self.challenge
    }

    /// Verifies a registration by the key that it brings along, and returns that.
    ///
    /// # Errors
    ///
    /// [`InvalidProof`].
    pub fn registered_key(&self) -> Result<&DeviceKey, InvalidProof> {
        let key = self.key.as_ref().ok_or(InvalidProof::Key)?;
        self.verify(key)?;
        Ok(key)
    }

    /// Verifies a renewal by the key that was registered.
    ///
    /// # Errors
    ///
    /// [`InvalidProof`].
    pub fn verify_renewal(&self, key: &DeviceKey) -> Result<(), InvalidProof> {
        if self.key.is_some() {
            return Err(InvalidProof::UnexpectedKey);
        }
        self.verify(key)
    }

    fn verify(&self, key: &DeviceKey) -> Result<(), InvalidProof> {
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidProof::Key);
        let signed = self.signed.as_bytes();
        let verified = match (key, self.algorithm) {
            (DeviceKey::Es256 { x, y }, Algorithm::Es256) => {
                // An uncompressed point (SEC 1 §2.3.3).
                let mut point = vec![4];
                point.extend(decode(x)?);
                point.extend(decode(y)?);
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(signed, &self.signature)
            }
            (DeviceKey::Rs256 { n, e }, Algorithm::Rs256) => RsaPublicKeyComponents {
                n: decode(n)?,
                e: decode(e)?,
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, signed, &self.signature),
            (DeviceKey::Es256 { .. }, Algorithm::Rs256)
            | (DeviceKey::Rs256 { .. }, Algorithm::Es256) => return Err(InvalidProof::Algorithm),
        };
        verified.map_err(|_| InvalidProof::Signature)
    }
}

/// Returns the key of a JWK (RFC 7517, RFC 7518 §6), if it is one for this algorithm.
fn key_of(jwk: Value, algorithm: Algorithm) -> Option<DeviceKey> {
    let is_coordinate = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text);
        bytes.is_ok_and(|bytes| bytes.len() == COORDINATE_BYTES)
    };
    match (serde_json::from_value(jwk).ok()?, algorithm) {
        (Jwk::Ec { crv, x, y }, Algorithm::Es256)
            if crv == "P-256" && is_coordinate(&x) && is_coordinate(&y) =>
        {
            Some(DeviceKey::Es256 { x, y })
        }
        (Jwk::Rsa { n, e }, Algorithm::Rs256) => Some(DeviceKey::Rs256 { n, e }),
        _ => None,
    }
}

/// Returns the content of a string of structured fields (RFC 9651 §3.3.3), whatever its parameters
/// (§3.1.2). None of the strings that are read here has an escape. Browsers also send a string
/// without its quotation marks.
pub fn unquoted(value: &str) -> &str {
    let value = value.trim_matches([' ', '\t']);
    let Some(rest) = value.strip_prefix('"') else {
        return value
            .split_once(';')
            .map_or(value, |(text, _)| text)
            .trim_end();
    };
    match rest.split_once('"') {
        Some((text, behind)) if behind.trim_start().starts_with(';') || behind.is_empty() => text,
        // It is no string, and not what is asked for either.
        _ => value,
    }
}
