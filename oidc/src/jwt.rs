//! Signed JWTs (RFC 7515, RFC 7519): ID tokens, logout tokens and access tokens.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::NumericDate;
use openidconnect::ClientSecret;
use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use ring::hmac;
use serde_json::{Map, Value};

use crate::algorithm;
use crate::json::{self, text, time};
use crate::key_set::{self, KeyClaim, KeySet, SignatureError};
use crate::provider::{Discovered, Provider};

/// The header of a JWS (RFC 7515 §4), as far as it matters.
pub(crate) struct Header {
    /// The algorithm; `None` for one that is never accepted.
    algorithm: Option<Algorithm>,
    pub(crate) kid: Option<String>,
    /// What `typ` says.
    pub(crate) typ: Typ,
    /// Whether there are extensions that have to be understood (§4.1.11), which none are.
    is_critical: bool,
}

/// The type that the header of a JWT names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typ {
    /// Nothing.
    Missing,
    /// A media type, without the prefix that may be left out (RFC 7515 §4.1.9).
    Is(String),
    /// Something that is not a text.
    Invalid,
}

impl Typ {
    fn of(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Missing,
            Some(Value::String(typ)) => Self::Is(media_type(typ).to_owned()),
            Some(_) => Self::Invalid,
        }
    }

    /// Returns whether it is missing or one of these, in any case.
    pub(crate) fn is_missing_or(&self, accepted: &[&str]) -> bool {
        match self {
            Self::Missing => true,
            Self::Is(own) => accepted.iter().any(|one| one.eq_ignore_ascii_case(own)),
            Self::Invalid => false,
        }
    }
}

impl Header {
    fn of(members: &Map<String, Value>) -> Self {
        Self {
            algorithm: text(members, "alg").and_then(algorithm::parse),
            kid: key_set::id(members.get("kid")),
            typ: Typ::of(members.get("typ")),
            is_critical: members.contains_key("crit"),
        }
    }

    /// Returns the algorithm, where it is one of these and the token needs no extension.
    pub(crate) fn accepted(&self, by: &[Algorithm]) -> Option<Algorithm> {
        let accepted = |own: &Algorithm| by.contains(own) && !self.is_critical;
        self.algorithm.clone().filter(accepted)
    }
}

/// Returns a media type without the prefix that may be left out (RFC 7515 §4.1.9).
fn media_type(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    }
}

/// What a token looks like, whatever its algorithm and signature.
pub(crate) enum Outline {
    /// No signed JWT: only its issuer can read it.
    Opaque,
    /// It begins as a signed JWT, and cannot be read as one.
    Unreadable,
    /// A signed JWT.
    Jwt {
        header: Header,
        claims: Map<String, Value>,
    },
}

impl Outline {
    /// Takes a token apart.
    pub(crate) fn of(token: &str) -> Self {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _] = parts.as_slice() else {
            return Self::Opaque;
        };
        let Ok(header) = URL_SAFE_NO_PAD.decode(header) else {
            return Self::Opaque;
        };
        if !header.trim_ascii_start().starts_with(b"{") {
            return Self::Opaque;
        }
        let read = || {
            let header = Header::of(&json::parse(&header).ok()?);
            let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
            let claims = json::parse(&claims).ok()?;
            Some(Self::Jwt { header, claims })
        };
        read().unwrap_or(Self::Unreadable)
    }
}

/// A JWT in three parts, of which nothing has been verified.
pub(crate) struct UnverifiedJwt<'a> {
    pub(crate) header: Header,
    pub(crate) claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> UnverifiedJwt<'a> {
    /// Takes a token of at most so many bytes apart; `None` when it is no signed JWT.
    pub(crate) fn parse(token: &'a str, max_bytes: usize) -> Option<Self> {
        if token.len() > max_bytes {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        Some(Self {
            header: Header::of(&json::parse(&decode(header)?).ok()?),
            claims: json::parse(&decode(claims)?).ok()?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// Returns a claim that is a text and not empty.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        text(&self.claims, claim)
    }

    /// Returns a claim that is a time.
    pub(crate) fn time(&self, claim: &str) -> Option<NumericDate> {
        time(&self.claims, claim)
    }

    /// Returns whether `aud` names this audience.
    pub(crate) fn is_for(&self, audience: &str) -> bool {
        is_for(&self.claims, audience)
    }

    /// Verifies the signature with the keys of the provider, or with the client secret if the
    /// provider signs with it. The caller has checked that the algorithm is accepted.
    fn verify(
        &self,
        algorithm: &Algorithm,
        found: &Discovered,
        secret: Option<&ClientSecret>,
    ) -> Result<(), SignatureError> {
        let signed = self.signed.as_bytes();
        if let (Algorithm::HmacSha256, Some(secret)) = (algorithm, secret) {
            // RFC 7518 §3.2; Core 1.0 §10.1 says the key. `ring` compares in constant time, and takes
            // a MAC of any length: `openidconnect` panics where it is not 32 bytes long.
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.secret().as_bytes());
            if hmac::verify(&key, signed, &self.signature).is_ok() {
                return Ok(());
            }
        }
        self.verify_with(algorithm, &found.keys)
    }

    /// Verifies the signature by these keys. The caller has checked that the algorithm is accepted.
    pub(crate) fn verify_with(
        &self,
        algorithm: &Algorithm,
        keys: &KeySet,
    ) -> Result<(), SignatureError> {
        let claim = KeyClaim {
            algorithm,
            kid: self.header.kid.as_deref(),
            issuer: self.text("iss"),
        };
        keys.verify(claim, self.signed.as_bytes(), &self.signature)
    }
}

impl Provider {
    /// Verifies the signature of a token. The keys are fetched again where none fits, unless that
    /// was done a short while ago.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub(crate) async fn verify_signature(
        &self,
        token: &UnverifiedJwt<'_>,
        algorithm: &Algorithm,
        found: Arc<Discovered>,
    ) -> Result<Arc<Discovered>, SignatureError> {
        let secret = self.mac_secret(&found);
        let Err(error) = token.verify(algorithm, &found, secret) else {
            return Ok(found);
        };
        let fresh = self.refetch_keys(Arc::clone(&found)).await;
        if Arc::ptr_eq(&found, &fresh) {
            return Err(error);
        }
        token.verify(algorithm, &fresh, self.mac_secret(&fresh))?;
        Ok(fresh)
    }
}

/// Returns whether `aud` names this audience.
pub(crate) fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    audiences(claims).any(|own| own == audience)
}

/// Returns the audiences that `aud` names. Entries that are not texts are left out.
pub(crate) fn audiences(claims: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let list = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    list.iter().filter_map(Value::as_str)
}
