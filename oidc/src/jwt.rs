//! A provider's JWTs other than ID tokens, taken apart: logout tokens and access tokens.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::NumericDate;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyId};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::provider::{Discovered, Provider};

/// The most keys of a provider that are tried for one token.
const MAX_KEYS_TRIED: usize = 4;

/// The header of a JWS (RFC 7515 §4), as far as it matters.
#[derive(Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: CoreJwsSigningAlgorithm,
    pub(crate) kid: Option<String>,
    typ: Option<String>,
    pub(crate) crit: Option<Value>,
}

impl Header {
    /// The media type that it states. The prefix may be left out (RFC 7515 §4.1.9).
    pub(crate) fn media_type(&self) -> Option<&str> {
        self.typ.as_deref().map(media_type)
    }
}

/// A media type without the prefix that may be left out (RFC 7515 §4.1.9).
pub(crate) fn media_type(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    }
}

/// What a signed JWT says, whatever its algorithm and signature.
pub(crate) struct Outline {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
}

impl Outline {
    /// Takes a token apart: `None` for one that is no signed JWT, `Some(None)` for one that begins
    /// as one and cannot be read.
    pub(crate) fn of(token: &str) -> Option<Option<Self>> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _] = parts.as_slice() else {
            return None;
        };
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        if !header.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let read = || {
            let Object(header) = serde_json::from_slice(&header).ok()?;
            let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
            let Object(claims) = serde_json::from_slice(&claims).ok()?;
            Some(Self { header, claims })
        };
        Some(read())
    }
}

/// A JWT in three parts, of which nothing has been checked.
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
            header: serde_json::from_slice(&decode(header)?).ok()?,
            claims: serde_json::from_slice::<Object>(&decode(claims)?).ok()?.0,
            signed,
            signature: decode(signature)?,
        })
    }

    /// A claim that is a text and says something.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        text(&self.claims, claim)
    }

    /// A claim that is a time.
    pub(crate) fn time(&self, claim: &str) -> Option<NumericDate> {
        time(&self.claims, claim)
    }

    /// Whether `aud` names this audience.
    pub(crate) fn is_for(&self, audience: &str) -> bool {
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

/// A JSON object in which no member stands twice: of two, one reader would take the first and
/// another the last (RFC 8259 §4, RFC 7519 §4).
#[derive(Debug, Default)]
pub(crate) struct Object(pub(crate) Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member that stands twice"));
                    }
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Provider {
    /// Whether one of the provider's keys signed a token. They are fetched again for an unknown
    /// one, no more often than for ID tokens.
    pub(crate) async fn has_signed(
        &self,
        token: &UnverifiedJwt<'_>,
        found: Arc<Discovered>,
    ) -> bool {
        if token.is_signed_by_one_of(&found) {
            return true;
        }
        let fresh = self.refetch_keys(found).await;
        token.is_signed_by_one_of(&fresh)
    }
}

/// A claim that is a text and says something.
pub(crate) fn text<'c>(claims: &'c Map<String, Value>, claim: &str) -> Option<&'c str> {
    let text = claims.get(claim).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// A claim that is a time (RFC 7519 §2), of which parts of a second are left out.
pub(crate) fn time(claims: &Map<String, Value>, claim: &str) -> Option<NumericDate> {
    /// The year 9999, beyond which a number is no time but a mistake.
    const LAST: f64 = 253_402_300_799.0;
    let value = claims.get(claim)?;
    let seconds = value.as_u64().or_else(|| {
        let seconds = value.as_f64().filter(|s| (0.0..=LAST).contains(s))?;
        // In range, so that nothing is cut off but what is meant to be.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(seconds as u64)
    });
    seconds.map(NumericDate::from_seconds)
}

/// Whether `aud` names this audience.
pub(crate) fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(own)) => own == audience,
        Some(Value::Array(audiences)) => audiences.iter().any(|own| own == audience),
        Some(_) | None => false,
    }
}
