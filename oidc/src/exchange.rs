//! Signing a person in at a provider: the authorization code flow with PKCE.

use gatepost_base::{Identity, Secret};
use openidconnect::{
    AuthorizationCode, ClaimsVerificationError, Nonce, PkceCodeVerifier, RedirectUrl,
};
use serde_json::Map;

use crate::claims::{ClaimSources, Wanted, as_map};
use crate::form::Form;
use crate::http_client::HttpError;
use crate::id_token::{verified, verify_access_token};
use crate::jwt::text;
use crate::provider::{Discovered, Provider, Unavailable};
use crate::settings::UnverifiedEmail;
use crate::token_endpoint::{NoTokens, Tokens};

/// A person whom the provider has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who it is.
    pub identity: Identity,
    /// The session's id at the provider, if it names one.
    pub provider_session: Option<String>,
    /// For renewing, if the provider gave one.
    pub refresh_token: Option<Secret>,
    /// The ID token, for signing out.
    pub id_token: Secret,
}

/// Why a sign-in cannot be finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The provider has not been found.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The provider did not answer.
    #[error("the provider's {endpoint} does not answer: {source}")]
    Unreachable {
        /// The endpoint that was asked.
        endpoint: &'static str,
        /// Why not.
        source: HttpError,
    },
    /// The token endpoint refused the code: it was used before, or it is too old.
    #[error("the token endpoint refused the code")]
    CodeRefused,
    /// The token endpoint refused the client.
    #[error("the token endpoint refused: {0:?}")]
    Refused(String),
    /// An endpoint's answer cannot be read.
    #[error("the answer of the provider's {endpoint} cannot be read: {reason}")]
    Unreadable {
        /// The endpoint that was asked.
        endpoint: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// There is no ID token in the token response: the `openid` scope was not granted.
    #[error("the token response has no ID token: is this client allowed the `openid` scope?")]
    NoIdToken,
    /// The ID token does not hold.
    #[error("the ID token was refused: {0}")]
    IdToken(#[source] ClaimsVerificationError),
    /// The ID token was issued to another client.
    #[error("the ID token was issued to another client (`azp`)")]
    AuthorizedParty,
    /// The ID token is about nobody.
    #[error("the ID token has an empty `sub`")]
    NoSubject,
    /// The ID token is of another access token.
    #[error("the ID token is not of this access token (`at_hash`)")]
    AccessTokenHash,
    /// What userinfo says is not of the same person.
    #[error("userinfo was refused: {0}")]
    UserInfo(#[source] ClaimsVerificationError),
    /// The answer came from another provider (RFC 9207).
    #[error("the callback's `iss` is not this provider's issuer, or is missing")]
    ResponseIssuer,
}

impl Provider {
    /// Exchanges a code, verifies what comes back, and says who it is. `extra` names the claims
    /// beyond the standard ones that are wanted.
    ///
    /// # Errors
    ///
    /// [`SignInError`].
    pub async fn finish(
        &self,
        code: AuthorizationCode,
        nonce: Nonce,
        code_verifier: PkceCodeVerifier,
        redirect_uri: RedirectUrl,
        extra: &[String],
    ) -> Result<SignedIn, SignInError> {
        let found = self.discovered()?;
        let tokens = self
            .exchange(&found, &code, &code_verifier, &redirect_uri)
            .await?;
        let access_token = tokens.access()?;
        let id_token = tokens.id_token().ok_or(SignInError::NoIdToken)??;
        let (found, claims) = verified(self, found, &id_token, &nonce).await?;
        verify_access_token(self, &found, &id_token, &claims, access_token)?;

        let subject = claims.subject().to_string();
        let id_claims = as_map(&claims);
        let wanted = self.wanted(extra);
        let lacking = ClaimSources(vec![&id_claims]).lacks(&wanted);
        let userinfo = if lacking && found.metadata.userinfo_endpoint().is_some() {
            self.user_info(&found, access_token, &subject).await?
        } else {
            Map::new()
        };
        let sources = ClaimSources(vec![&id_claims, &userinfo]);
        Ok(SignedIn {
            identity: sources.identity(&wanted, &subject),
            provider_session: text(&id_claims, "sid").map(str::to_owned),
            refresh_token: tokens.refresh,
            id_token: tokens.id.ok_or(SignInError::NoIdToken)?,
        })
    }

    /// What is wanted of a person's claims.
    pub(crate) fn wanted<'w>(&'w self, extra: &'w [String]) -> Wanted<'w> {
        Wanted {
            issuer: self.settings.issuer.as_str(),
            groups: &self.settings.groups_claim,
            extra,
            unverified_email: self.settings.unverified_email == UnverifiedEmail::Accept,
        }
    }

    async fn exchange(
        &self,
        found: &Discovered,
        code: &AuthorizationCode,
        code_verifier: &PkceCodeVerifier,
        redirect_uri: &RedirectUrl,
    ) -> Result<Tokens, SignInError> {
        let form = Form::new()
            .with("grant_type", "authorization_code")
            .with("code", code.secret())
            .with("redirect_uri", redirect_uri.as_str())
            .with("code_verifier", code_verifier.secret());
        self.tokens(found, form).await.map_err(|none| match none {
            NoTokens::Refused { code, .. } if code == "invalid_grant" => SignInError::CodeRefused,
            NoTokens::Refused { code, words } => SignInError::Refused(format!("{code}: {words}")),
            NoTokens::Away { error, .. } | NoTokens::Unreadable(error) => error,
        })
    }
}

/// Returns the error for an answer that cannot be read.
pub(crate) fn unreadable(endpoint: &'static str, reason: &str) -> SignInError {
    SignInError::Unreadable {
        endpoint,
        reason: reason.to_owned(),
    }
}
