//! Logout tokens: the provider says that somebody has signed out (OpenID Connect Back-Channel
//! Logout 1.0).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::NumericDate;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Discovered, Provider, Unavailable};
use crate::store::Selection;

/// The member of `events` that makes a token a logout token (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The media types that a token may state. The first is the one of logout tokens (§2.4); the second
/// says nothing, and is what providers write that are older than the first (RFC 7519 §5.1). Any
/// other is that of another kind of token.
const TYPES: [&str; 2] = ["logout+jwt", "JWT"];

/// How long ago a token may have been issued, in seconds.
const MAX_AGE_SECONDS: u64 = 120;

/// How far the provider's clock may be ahead, in seconds.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The most keys of a provider that are tried for one token.
const MAX_KEYS_TRIED: usize = 4;

/// A logout token that holds.
#[derive(Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// Whose sessions end.
    pub which: Selection,
    /// Who has signed out, where the token says it.
    pub subject: Option<String>,
    /// The token's id, by which it serves once.
    pub id: String,
    /// Until when its id has to be remembered.
    pub remember_until: NumericDate,
}

/// Why something is not a logout token that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutTokenError {
    /// There is not exactly one form field with a token.
    #[error("expected one form field `logout_token`")]
    Form,
    /// Not a signed JWT.
    #[error("not a signed JWT")]
    Malformed,
    /// Of another kind, by its `typ`.
    #[error("`typ` says that it is another kind of token")]
    Type,
    /// No provider of the configuration has this issuer.
    #[error("`iss` is none of the configured providers")]
    Issuer,
    /// Signed in a way that is not accepted.
    #[error("`alg` is not one that is accepted")]
    Algorithm,
    /// Signed by no key of the provider.
    #[error("no key of the provider signed it")]
    Signature,
    /// Meant for somebody else.
    #[error("`aud` does not name this client")]
    Audience,
    /// Too old, from the future, or without its times.
    #[error("`iat` or `exp` is missing, past or not yet")]
    Time,
    /// Without an id.
    #[error("`jti` is missing")]
    Id,
    /// Used before.
    #[error("`jti` was used before")]
    Replayed,
    /// Not about a logout.
    #[error("`events` does not say that it is about a logout")]
    Event,
    /// It has what only ID tokens have.
    #[error("it has a `nonce`, as an ID token")]
    Nonce,
    /// About nobody.
    #[error("neither `sub` nor `sid` is there")]
    Nobody,
    /// The provider has not been found, so its keys are not known.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl Header {
    fn may_be_logout(&self) -> bool {
        let Some(typ) = self.typ.as_deref() else {
            return true;
        };
        // The prefix may be left out (RFC 7515 §4.1.9).
        let media = typ.strip_prefix("application/").unwrap_or(typ);
        TYPES.iter().any(|own| own.eq_ignore_ascii_case(media))
    }
}

/// A token that has been taken apart, of which nothing has been checked.
pub struct UncheckedLogoutToken<'a> {
    header: Header,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> UncheckedLogoutToken<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// [`LogoutTokenError::Malformed`].
    pub fn parse(token: &'a str) -> Result<Self, LogoutTokenError> {
        const MALFORMED: LogoutTokenError = LogoutTokenError::Malformed;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(MALFORMED);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, claims) = signed.split_once('.').ok_or(MALFORMED)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        Ok(Self {
            header: serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?,
            claims: serde_json::from_slice(&decode(claims)?).map_err(|_| MALFORMED)?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// The issuer that it names.
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    fn text(&self, claim: &str) -> Option<&str> {
        let text = self.claims.get(claim).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    }

    fn time(&self, claim: &str) -> Option<NumericDate> {
        let value = self.claims.get(claim)?;
        value.as_u64().map(NumericDate::from_seconds)
    }

    fn is_for(&self, client_id: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(audience)) => audience == client_id,
            Some(Value::Array(audiences)) => audiences.iter().any(|own| own == client_id),
            Some(_) | None => false,
        }
    }

    /// The checks of §2.6 that take no key, in words of the specification.
    fn check_claims(
        &self,
        client_id: &str,
        now: NumericDate,
    ) -> Result<LogoutToken, LogoutTokenError> {
        if !self.is_for(client_id) {
            return Err(LogoutTokenError::Audience);
        }
        let issued = self.time("iat").ok_or(LogoutTokenError::Time)?;
        let expires = self.time("exp").ok_or(LogoutTokenError::Time)?;
        if now.seconds_since(issued) > MAX_AGE_SECONDS
            || issued.seconds_since(now) > CLOCK_SKEW_SECONDS
            || expires.plus_seconds(CLOCK_SKEW_SECONDS) <= now
        {
            return Err(LogoutTokenError::Time);
        }
        let id = self.text("jti").ok_or(LogoutTokenError::Id)?;
        let event = self.claims.get("events").and_then(|e| e.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(LogoutTokenError::Event);
        }
        if self.claims.contains_key("nonce") {
            return Err(LogoutTokenError::Nonce);
        }
        let issuer = self.issuer().ok_or(LogoutTokenError::Issuer)?.to_owned();
        let subject = self.text("sub").map(str::to_owned);
        let which = match (self.text("sid"), &subject) {
            (Some(session), _) => Selection::ProviderSession {
                issuer,
                session: session.to_owned(),
            },
            (None, Some(subject)) => Selection::Subject {
                issuer,
                subject: subject.clone(),
            },
            (None, None) => return Err(LogoutTokenError::Nobody),
        };
        Ok(LogoutToken {
            which,
            subject,
            id: id.to_owned(),
            // By then it is refused for its age.
            remember_until: issued.plus_seconds(MAX_AGE_SECONDS + CLOCK_SKEW_SECONDS),
        })
    }

    fn is_signed_by(&self, key: &CoreJsonWebKey) -> bool {
        key.verify_signature(&self.header.alg, self.signed.as_bytes(), &self.signature)
            .is_ok()
    }

    fn is_signed_by_one_of(&self, found: &Discovered) -> bool {
        let named = self.header.kid.as_ref();
        let fits = |key: &&CoreJsonWebKey| match (named, key.key_id()) {
            (Some(kid), Some(own)) => *own == JsonWebKeyId::new(kid.clone()),
            (Some(_), None) | (None, _) => true,
        };
        let keys = found.keys.keys().iter().filter(fits);
        keys.take(MAX_KEYS_TRIED).any(|key| self.is_signed_by(key))
    }
}

impl Provider {
    /// Verifies a logout token (§2.6), but for whether it was used before.
    ///
    /// The signature is checked before anything else that costs something, and the keys are
    /// fetched again for an unknown one no more often than for ID tokens.
    ///
    /// # Errors
    ///
    /// [`LogoutTokenError`].
    pub async fn verify_logout_token(
        &self,
        token: &UncheckedLogoutToken<'_>,
        now: NumericDate,
    ) -> Result<LogoutToken, LogoutTokenError> {
        if !token.header.may_be_logout() {
            return Err(LogoutTokenError::Type);
        }
        if token.issuer() != Some(self.settings.issuer.as_str()) {
            return Err(LogoutTokenError::Issuer);
        }
        let found = self.discovered()?;
        if !found.algorithms.contains(&token.header.alg) || token.header.crit.is_some() {
            return Err(LogoutTokenError::Algorithm);
        }
        let logout = token.check_claims(self.settings.client_id.as_str(), now)?;
        if token.is_signed_by_one_of(&found) {
            return Ok(logout);
        }
        let fresh = self.refetch_keys(found).await;
        if token.is_signed_by_one_of(&fresh) {
            Ok(logout)
        } else {
            Err(LogoutTokenError::Signature)
        }
    }
}
