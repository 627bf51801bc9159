//! Logout tokens, by which a provider says that a user signed out (OpenID Connect Back-Channel Logout
//! 1.0).

use gatepost_session::NumericDate;
use serde_json::Value;

use crate::jwt::UnverifiedJwt;
use crate::key_set::SignatureError;
use crate::provider::{Provider, Unavailable};
use crate::settings::ProviderSettings;

/// The member of `events` that makes a token a logout token (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The media types that `typ` may be: that of logout tokens (§2.4), and that of any JWT, which older
/// providers write (RFC 7519 §5.1).
const TYPES: [&str; 2] = ["logout+jwt", "JWT"];

/// How long ago a token may have been issued, in seconds.
const MAX_AGE_SECONDS: u64 = 120;

/// How far the provider's clock may be ahead, in seconds.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// The longest token that is read, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A verified logout token.
#[derive(Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// The issuer of the provider's settings.
    pub issuer: String,
    /// The user who signed out (`sub`); without a session, all of this user's sessions end.
    pub subject: Option<String>,
    /// The session at the provider that ended (`sid`). Subject or session is there.
    pub session: Option<String>,
    /// The token's id (`jti`), so that it is used once.
    pub id: String,
    /// Until when its id has to be remembered.
    pub remember_until: NumericDate,
}

/// Why a logout token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutTokenError {
    /// The form does not have exactly one token.
    #[error("expected one form field `logout_token`")]
    Form,
    /// It is not a signed JWT.
    #[error("not a signed JWT")]
    Malformed,
    /// It is another kind of token, by its `typ`.
    #[error("`typ` says that it is another kind of token")]
    Type,
    /// No provider of the configuration has this issuer.
    #[error("`iss` is not one of the configured providers")]
    Issuer,
    /// Its algorithm is not accepted.
    #[error("`alg` is not one that is accepted")]
    Algorithm,
    /// No key of the provider verifies its signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is for another client.
    #[error("`aud` does not name this client")]
    Audience,
    /// It is too old, from the future, or its times are missing.
    #[error("`iat` is missing, or `iat` or `exp` is past or not yet")]
    Time,
    /// It has no id.
    #[error("`jti` is missing")]
    Id,
    /// It was used before.
    #[error("`jti` was used before")]
    Replayed,
    /// It is not about a logout.
    #[error("`events` does not say that it is about a logout")]
    Event,
    /// It has a claim of ID tokens (§2.4).
    #[error("it has a `nonce`, as an ID token")]
    Nonce,
    /// It names neither a user nor a session.
    #[error("neither `sub` nor `sid` is there, or one of them is empty")]
    NoSubject,
    /// The provider has not been discovered, so its keys are unknown.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A logout token that has been taken apart, of which nothing has been verified.
pub struct UnverifiedLogoutToken<'a>(UnverifiedJwt<'a>);

impl<'a> UnverifiedLogoutToken<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// [`LogoutTokenError::Malformed`].
    pub fn parse(token: &'a str) -> Result<Self, LogoutTokenError> {
        UnverifiedJwt::parse(token, MAX_TOKEN_BYTES)
            .map(Self)
            .ok_or(LogoutTokenError::Malformed)
    }

    /// Returns the issuer that it names.
    pub fn issuer(&self) -> Option<&str> {
        self.0.text("iss")
    }

    /// Checks the claims (§2.6).
    fn check_claims(
        &self,
        settings: &ProviderSettings,
        now: NumericDate,
    ) -> Result<LogoutToken, LogoutTokenError> {
        let token = &self.0;
        if !token.is_for(settings.client_id.as_str()) {
            return Err(LogoutTokenError::Audience);
        }
        let issued = token.time("iat").ok_or(LogoutTokenError::Time)?;
        // Required (§2.4), but Ory Hydra leaves it out: `iat` bounds the age in any case.
        let is_over = match token.claims.get("exp") {
            None | Some(Value::Null) => false,
            Some(_) => {
                let expires = token.time("exp").ok_or(LogoutTokenError::Time)?;
                expires.plus_seconds(CLOCK_SKEW_SECONDS) <= now
            }
        };
        if is_over
            || now.seconds_since(issued) > MAX_AGE_SECONDS
            || issued.seconds_since(now) > CLOCK_SKEW_SECONDS
        {
            return Err(LogoutTokenError::Time);
        }
        let id = token.text("jti").ok_or(LogoutTokenError::Id)?;
        let event = token.claims.get("events").and_then(|e| e.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(LogoutTokenError::Event);
        }
        if token.claims.contains_key("nonce") {
            return Err(LogoutTokenError::Nonce);
        }
        // An empty one is not an absent one.
        let is_valid =
            |claim: &str| token.claims.contains_key(claim) == token.text(claim).is_some();
        if !is_valid("sub") || !is_valid("sid") {
            return Err(LogoutTokenError::NoSubject);
        }
        let subject = token.text("sub").map(str::to_owned);
        let session = token.text("sid").map(str::to_owned);
        if subject.is_none() && session.is_none() {
            return Err(LogoutTokenError::NoSubject);
        }
        Ok(LogoutToken {
            issuer: settings.issuer.to_string(),
            subject,
            session,
            id: id.to_owned(),
            // After that it is refused for its age.
            remember_until: issued.plus_seconds(MAX_AGE_SECONDS + CLOCK_SKEW_SECONDS),
        })
    }
}

impl Provider {
    /// Verifies a logout token (§2.6). The caller checks whether it was used before.
    ///
    /// The keys are fetched again for an unknown one, no more often than for ID tokens.
    ///
    /// # Errors
    ///
    /// [`LogoutTokenError`].
    pub async fn verify_logout_token(
        &self,
        token: &UnverifiedLogoutToken<'_>,
    ) -> Result<LogoutToken, LogoutTokenError> {
        if !token.0.header.typ.is_missing_or(&TYPES) {
            return Err(LogoutTokenError::Type);
        }
        if !token.issuer().is_some_and(|issuer| self.issues_as(issuer)) {
            return Err(LogoutTokenError::Issuer);
        }
        let found = self.discovered()?;
        let algorithm = token.0.header.accepted(&found.algorithms);
        let algorithm = algorithm.ok_or(LogoutTokenError::Algorithm)?;
        let logout = token.check_claims(&self.settings, self.clock.now())?;
        self.verify_signature(&token.0, &algorithm, found).await?;
        Ok(logout)
    }
}
