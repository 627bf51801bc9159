//! A browser's proof that it has the key of a session: a JWS with `typ` `dbsc+jwt`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_base::DeviceKey;
use serde::Deserialize;
use serde_json::Value;

use crate::key_proof::{COORDINATE_BYTES, KeyProof, NotAProof, PublicKey};

/// A proof in its three parts, of which nothing has been verified.
#[derive(Debug)]
pub(crate) struct Proof<'t> {
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

impl From<NotAProof> for InvalidProof {
    fn from(reason: NotAProof) -> Self {
        match reason {
            NotAProof::TooLong => Self::TooLong,
            NotAProof::Malformed => Self::Malformed,
        }
    }
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
    pub(crate) fn parse(value: &'t str) -> Result<Self, InvalidProof> {
        let proof = KeyProof::<Option<Value>>::parse(unquoted(value), "dbsc+jwt")?;
        let algorithm = match proof.algorithm.as_str() {
            "ES256" => Algorithm::Es256,
            "RS256" => Algorithm::Rs256,
            _ => return Err(InvalidProof::Algorithm),
        };
        let claims = proof.claims::<Claims>();
        let signature = proof.signature();
        let key = proof
            .jwk
            .map(|jwk| key_of(jwk, algorithm).ok_or(InvalidProof::Key))
            .transpose()?;
        Ok(Self {
            algorithm,
            key,
            challenge: claims.ok_or(InvalidProof::Malformed)?.jti,
            signed: proof.signed,
            signature: signature.ok_or(InvalidProof::Malformed)?,
        })
    }

    /// Returns the challenge that it says it answers.
    pub(crate) fn challenge(&self) -> &str {
        &self.challenge
    }

    /// Verifies a registration by the key that it brings along, and returns that.
    ///
    /// # Errors
    ///
    /// [`InvalidProof`].
    pub(crate) fn registered_key(&self) -> Result<&DeviceKey, InvalidProof> {
        let key = self.key.as_ref().ok_or(InvalidProof::Key)?;
        self.verify(key)?;
        Ok(key)
    }

    /// Verifies a renewal by the key that was registered.
    ///
    /// # Errors
    ///
    /// [`InvalidProof`].
    pub(crate) fn verify_renewal(&self, key: &DeviceKey) -> Result<(), InvalidProof> {
        if self.key.is_some() {
            return Err(InvalidProof::UnexpectedKey);
        }
        self.verify(key)
    }

    fn verify(&self, key: &DeviceKey) -> Result<(), InvalidProof> {
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidProof::Key);
        let public = match (key, self.algorithm) {
            (DeviceKey::Es256 { x, y }, Algorithm::Es256) => PublicKey::P256 {
                x: decode(x)?,
                y: decode(y)?,
            },
            (DeviceKey::Rs256 { n, e }, Algorithm::Rs256) => PublicKey::Rsa {
                n: decode(n)?,
                e: decode(e)?,
            },
            (DeviceKey::Es256 { .. }, Algorithm::Rs256)
            | (DeviceKey::Rs256 { .. }, Algorithm::Es256) => return Err(InvalidProof::Algorithm),
        };
        if public.has_signed(self.signed, &self.signature) {
            Ok(())
        } else {
            Err(InvalidProof::Signature)
        }
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
pub(crate) fn unquoted(value: &str) -> &str {
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
