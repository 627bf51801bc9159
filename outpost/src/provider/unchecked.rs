//! A provider's JWTs other than ID tokens, taken apart: logout tokens and access tokens.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::NumericDate;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Discovered, Provider};

/// The most keys of a provider that are tried for one token.
const MAX_KEYS_TRIED: usize = 4;

/// The header of a JWS (RFC 7515 §4), as far as it matters.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: CoreJwsSigningAlgorithm,
    pub(super) kid: Option<String>,
    typ: Option<String>,
    pub(super) crit: Option<Value>,
}

impl Header {
    /// The media type that it states. The prefix may be left out (RFC 7515 §4.1.9).
    pub(super) fn media_type(&self) -> Option<&str> {
        let typ = self.typ.as_deref()?;
        Some(match typ.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        })
    }
}

/// A JWT in three parts, of which nothing has been checked.
pub(super) struct Unchecked<'a> {
    pub(super) header: Header,
    pub(super) claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unchecked<'a> {
    /// Takes a token of at most so many bytes apart; `None` when it is no signed JWT.
    pub(super) fn parse(token: &'a str, max_bytes: usize) -> Option<Self> {
        if token.len() > max_bytes {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        Some(Self {
            header: serde_json::from_slice(&decode(header)?).ok()?,
            claims: serde_json::from_slice(&decode(claims)?).ok()?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// A claim that is a text and says something.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        text(&self.claims, claim)
    }

    /// A claim that is a time.
    pub(super) fn time(&self, claim: &str) -> Option<NumericDate> {
        time(&self.claims, claim)
    }

    /// Whether `aud` names this audience.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        is_for(&self.claims, audience)
    }

    /// Whether one of the provider's keys signed it: the one that it names, or any where it names
    /// none.
    fn is_signed_by_one_of(&self, found: &Discovered) -> bool {
        let named = self.header.kid.as_ref();
        let fits = |key: &&CoreJsonWebKey| match (named, key.key_id()) {
            (Some(kid), Some(own)) => *own == JsonWebKeyId::new(kid.clone()),
            (Some(_), None) | (None, _) => true,
        };
        let keys = found.keys.keys().iter().filter(fits);
        keys.take(MAX_KEYS_TRIED).any(|key| {
            let signed = self.signed.as_bytes();
            key.verify_signature(&self.header.alg, signed, &self.signature)
                .is_ok()
        })
    }
}

impl Provider {
    /// Whether one of the provider's keys signed a token. They are fetched again for an unknown
    /// one, no more often than for ID tokens.
    pub(super) async fn has_signed(&self, token: &Unchecked<'_>, found: Arc<Discovered>) -> bool {
        if token.is_signed_by_one_of(&found) {
            return true;
        }
        let fresh = self.refetch_keys(found).await;
        token.is_signed_by_one_of(&fresh)
    }
}

/// A claim that is a text and says something.
pub(super) fn text<'c>(claims: &'c Map<String, Value>, claim: &str) -> Option<&'c str> {
    let text = claims.get(claim).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// A claim that is a time (RFC 7519 §2).
pub(super) fn time(claims: &Map<String, Value>, claim: &str) -> Option<NumericDate> {
    let seconds = claims.get(claim)?.as_u64();
    seconds.map(NumericDate::from_seconds)
}

/// Whether `aud` names this audience.
pub(super) fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(own)) => own == audience,
        Some(Value::Array(audiences)) => audiences.iter().any(|own| own == audience),
        Some(_) | None => false,
    }
}
