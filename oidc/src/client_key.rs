//! Authenticating the client by a signed assertion (RFC 7523 §2.2, OpenID Connect Core 1.0 §9).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

/// Seconds for which an assertion is valid: it is sent immediately.
const LIFETIME_SECONDS: u64 = 60;

/// The private key of a client (`private_key_jwt`).
pub struct ClientKey {
    pair: Pair,
    id: Option<String>,
    /// A hash by which two keys are compared without keeping the key.
    digest: ring::digest::Digest,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a text is not the private key of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeyError {
    /// It has no private key in PEM.
    #[error("expected a private key in PEM")]
    Pem,
    /// The key is of an unsupported kind.
    #[error(
        "unsupported private key: use RSA (2048 bits or more), EC (P-256 or P-384) or Ed25519 in \
         PKCS #8, as from `openssl genpkey`"
    )]
    Kind,
}

/// The operating system has no randomness, or the key cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign an assertion with the client's key")]
pub struct ClientError;

impl ClientKey {
    /// Parses a private key in PEM (RFC 7468). `id` is the `kid` by which the provider knows it.
    ///
    /// # Errors
    ///
    /// [`ClientKeyError`].
    pub fn parse(pem: &[u8], id: Option<String>) -> Result<Self, ClientKeyError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| ClientKeyError::Pem)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, key.secret_der());
        let pair = match &key {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())
                .ok()
                .map(|pair| Pair::Rsa(Box::new(pair))),
            PrivateKeyDer::Pkcs8(der) => Pair::from_pkcs8(der.secret_pkcs8_der()),
            _ => None,
        };
        Ok(Self {
            pair: pair.ok_or(ClientKeyError::Kind)?,
            id,
            digest,
        })
    }

    /// Makes an assertion of this client for an audience, valid from now on.
    pub(crate) fn assertion(
        &self,
        client: &str,
        audience: &str,
        now: u64,
    ) -> Result<String, ClientError> {
        let mut header = json!({"alg": self.pair.algorithm(), "typ": "JWT"});
        if let (Some(id), Some(header)) = (&self.id, header.as_object_mut()) {
            header.insert("kid".to_owned(), json!(id));
        }
        let signed = signed_part(&header, client, audience, now)?;
        let signature = self.pair.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Makes an assertion with a MAC of the client secret (`client_secret_jwt`).
pub(crate) fn secret_assertion(
    secret: &str,
    client: &str,
    audience: &str,
    now: u64,
) -> Result<String, ClientError> {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let signed = signed_part(&header, client, audience, now)?;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let mac = ring::hmac::sign(&key, signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac)))
}

/// Returns header and claims of an assertion (RFC 7523 §3).
fn signed_part(
    header: &serde_json::Value,
    client: &str,
    audience: &str,
    now: u64,
) -> Result<String, ClientError> {
    let mut id = [0_u8; 16];
    SystemRandom::new().fill(&mut id).map_err(|_| ClientError)?;
    let claims = json!({
        "iss": client, "sub": client, "aud": audience, "jti": URL_SAFE_NO_PAD.encode(id),
        "iat": now, "exp": now.saturating_add(LIFETIME_SECONDS),
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    Ok(format!("{}.{}", part(header), part(&claims)))
}

impl Pair {
    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let random = SystemRandom::new();
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Some(Self::Rsa(Box::new(pair)));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Some(Self::Ed25519(pair));
        }
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random);
        if let Ok(pair) = p256 {
            return Some(Self::P256(pair));
        }
        let p384 = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der, &random);
        p384.ok().map(Self::P384)
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, signed: &[u8]) -> Result<Vec<u8>, ClientError> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
                    .map_err(|_| ClientError)?;
                Ok(signature)
            }
            Self::P256(pair) | Self::P384(pair) => {
                let signature = pair.sign(&random, signed).map_err(|_| ClientError)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.sign(signed).as_ref().to_vec()),
        }
    }
}

impl PartialEq for ClientKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.digest.as_ref() == other.digest.as_ref()
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
