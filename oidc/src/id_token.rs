//! Verifying ID tokens (OpenID Connect Core 1.0 §3.1.3.7).

use std::sync::Arc;

use gatepost_base::{Quoted, QuotedList, Secret};
use gatepost_session::NumericDate;
use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use crate::algorithm;
use crate::json::{excerpt, text, time};
use crate::jwt::{UnverifiedJwt, audiences};
use crate::key_set::SignatureError;
use crate::provider::{Discovered, Provider};

/// The longest ID token that is read, in bytes.
const MAX_TOKEN_BYTES: usize = 256 * 1024;

/// The most audiences that a message shows.
const MAX_SHOWN: usize = 10;

/// How far an ID token's `iat` may lie in the future, in seconds.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// Why an ID token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenError {
    /// It is no signed JWT.
    #[error("it is not a signed JWT")]
    Malformed,
    /// It is another kind of token.
    #[error("`typ` says that it is another kind of token")]
    Type,
    /// Its algorithm is not accepted.
    #[error("`alg` is not one of {0}, which the provider may use")]
    Algorithm(String),
    /// No key of the provider verifies its signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Another issuer issued it.
    #[error("issuer mismatch: `iss` is {}", Quoted(.0))]
    Issuer(String),
    /// It is for another client.
    #[error("`aud` does not name this client: {}", QuotedList(.0))]
    Audience(Vec<String>),
    /// It is also for other audiences, which the settings do not trust.
    #[error(
        "`aud` names others too, which are not in `trustedAudiences`, and `azp` is missing: {}",
        QuotedList(.0)
    )]
    UntrustedAudience(Vec<String>),
    /// It was issued to another client.
    #[error("it was issued to another client: `azp` is {}", Quoted(.0))]
    AuthorizedParty(String),
    /// A required claim is missing or invalid.
    #[error("`{0}` is missing or invalid")]
    Claim(&'static str),
    /// It has expired.
    #[error("it has expired (`exp`): compare the clocks")]
    Expired,
    /// It is from the future.
    #[error("it was issued in the future (`iat`): compare the clocks")]
    IssuedInFuture,
    /// It is of another sign-in.
    #[error("`nonce` is not that of this sign-in")]
    Nonce,
    /// The user has not been authenticated recently enough.
    #[error(
        "the user was not authenticated within the `max_age` of `authorizationParameters`, or \
         `auth_time` does not say when"
    )]
    MaxAge,
    /// It is of another access token.
    #[error("it is not of this access token (`at_hash`)")]
    AccessTokenHash,
}

/// A verified ID token.
#[derive(Debug)]
pub(crate) struct IdToken {
    /// The user (`sub`), who is not empty.
    pub(crate) subject: String,
    /// All claims.
    pub(crate) claims: Map<String, Value>,
    algorithm: Algorithm,
}

/// Whether an ID token has to have a nonce.
#[derive(Clone, Copy)]
pub(crate) enum ExpectedNonce<'a> {
    /// That of the authorization request.
    Is(&'a str),
    /// That of the authorization request, or none.
    IfPresent(&'a str),
    /// Any: a refreshed ID token belongs to no authorization request (§12.2).
    Any,
}

impl Provider {
    /// Verifies an ID token, with keys that are fetched again if the provider may have changed
    /// them.
    ///
    /// # Errors
    ///
    /// [`IdTokenError`].
    pub(crate) async fn verify_id_token(
        &self,
        token: &Secret,
        nonce: ExpectedNonce<'_>,
        found: Arc<Discovered>,
    ) -> Result<IdToken, IdTokenError> {
        let token = UnverifiedJwt::parse(token.expose(), MAX_TOKEN_BYTES);
        let token = token.ok_or(IdTokenError::Malformed)?;
        if !token.header.typ.is_missing_or(&["JWT"]) {
            return Err(IdTokenError::Type);
        }
        let algorithm = token.header.accepted(&found.algorithms);
        let algorithm = algorithm.ok_or_else(|| {
            IdTokenError::Algorithm(algorithm::names(&found.algorithms).join(", "))
        })?;
        self.verify_signature(&token, &algorithm, found).await?;
        self.check_issuer_and_audience(&token.claims)?;
        check_times(&token.claims, self.clock.now())?;
        check_nonce(&token.claims, nonce)?;
        // Locally unique and never reassigned (§2), which an empty one is not.
        let subject = token.text("sub").ok_or(IdTokenError::Claim("sub"))?;
        Ok(IdToken {
            subject: subject.to_owned(),
            claims: token.claims,
            algorithm,
        })
    }

    /// Checks who issued an ID token, and to whom (§3.1.3.7 steps 2 to 5).
    fn check_issuer_and_audience(&self, claims: &Map<String, Value>) -> Result<(), IdTokenError> {
        let issuer = text(claims, "iss").ok_or(IdTokenError::Claim("iss"))?;
        if !self.issues_as(issuer) {
            return Err(IdTokenError::Issuer(excerpt(issuer)));
        }
        let client = self.settings.client_id.as_str();
        let all = || audiences(claims).take(MAX_SHOWN).map(excerpt).collect();
        if !audiences(claims).any(|own| own == client) {
            return Err(IdTokenError::Audience(all()));
        }
        let party = match claims.get("azp") {
            None | Some(Value::Null) => None,
            Some(Value::String(party)) => Some(party.as_str()),
            Some(_) => return Err(IdTokenError::Claim("azp")),
        };
        if let Some(party) = party.filter(|party| *party != client) {
            return Err(IdTokenError::AuthorizedParty(excerpt(party)));
        }
        let trusted = |audience: &str| {
            let mut trusted = self.settings.trusted_audiences.iter();
            audience == client || trusted.any(|own| own == audience)
        };
        if party.is_none() && !audiences(claims).all(trusted) {
            return Err(IdTokenError::UntrustedAudience(all()));
        }
        Ok(())
    }
}

impl IdToken {
    /// Checks that the ID token is of this access token (§3.1.3.8), where it says of which.
    ///
    /// # Errors
    ///
    /// [`IdTokenError::AccessTokenHash`].
    pub(crate) fn check_access_token(&self, access_token: &str) -> Result<(), IdTokenError> {
        let expected = match self.claims.get("at_hash") {
            None | Some(Value::Null) => return Ok(()),
            Some(expected) => expected.as_str().ok_or(IdTokenError::Claim("at_hash"))?,
        };
        let actual = algorithm::left_half_hash(&self.algorithm, access_token);
        if actual == expected.trim_end_matches('=') {
            Ok(())
        } else {
            Err(IdTokenError::AccessTokenHash)
        }
    }
}

impl IdToken {
    /// Checks that the user was authenticated at most `max_age` seconds ago (§3.1.3.7 step 13). The
    /// browser carries the parameter, so a user can leave it out.
    ///
    /// # Errors
    ///
    /// [`IdTokenError::MaxAge`], also where `max_age` is not a number.
    pub(crate) fn check_age(&self, max_age: &str, now: NumericDate) -> Result<(), IdTokenError> {
        let max_age = max_age.parse::<u64>().map_err(|_| IdTokenError::MaxAge)?;
        let at = time(&self.claims, "auth_time").ok_or(IdTokenError::MaxAge)?;
        if now.seconds_since(at) > max_age.saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(IdTokenError::MaxAge);
        }
        Ok(())
    }
}

/// Checks the times (§3.1.3.7 steps 9 and 10).
fn check_times(claims: &Map<String, Value>, now: NumericDate) -> Result<(), IdTokenError> {
    let expires = time(claims, "exp").ok_or(IdTokenError::Claim("exp"))?;
    if expires <= now {
        return Err(IdTokenError::Expired);
    }
    let issued = time(claims, "iat").ok_or(IdTokenError::Claim("iat"))?;
    if issued > now.plus_seconds(CLOCK_SKEW_SECONDS) {
        return Err(IdTokenError::IssuedInFuture);
    }
    Ok(())
}

/// Checks the nonce (§3.1.3.7 step 11), in constant time.
fn check_nonce(
    claims: &Map<String, Value>,
    expected: ExpectedNonce<'_>,
) -> Result<(), IdTokenError> {
    let expected = match expected {
        ExpectedNonce::Any => return Ok(()),
        ExpectedNonce::IfPresent(_) if claims.get("nonce").is_none_or(Value::is_null) => {
            return Ok(());
        }
        ExpectedNonce::IfPresent(expected) | ExpectedNonce::Is(expected) => expected,
    };
    let nonce = text(claims, "nonce").ok_or(IdTokenError::Claim("nonce"))?;
    if bool::from(nonce.as_bytes().ct_eq(expected.as_bytes())) {
        Ok(())
    } else {
        Err(IdTokenError::Nonce)
    }
}
