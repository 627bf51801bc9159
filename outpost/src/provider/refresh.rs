//! Asking a provider whether a session still holds, and what it says of the person now.

use std::time::Duration;

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{
    Nonce, OAuth2TokenResponse as _, RefreshToken, RequestTokenError, TokenResponse as _,
};
use serde_json::Map;

use super::claims::ClaimSources;
use super::http::HttpError;
use super::sign_in::{as_map, verified};
use super::{Provider, TokenError, discovery};
use crate::provider::SignInError;
use crate::store::{Identity, Secret};

/// How long a provider may take to show that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// What a provider says at a renewal.
#[derive(Debug)]
pub struct Refreshed {
    /// Who the person is now.
    pub identity: Identity,
    /// The next refresh token, where the provider gives a new one each time.
    pub refresh_token: Option<Secret>,
    /// The next ID token, where there is one (OpenID Connect Core 1.0 §12.2).
    pub id_token: Option<Secret>,
}

/// Why a session could not be renewed at its provider.
#[derive(Debug)]
pub enum RefreshError {
    /// The session is over, in words for the log.
    Over(&'static str),
    /// The provider did not answer, or in a way that says nothing of the session.
    NotAnswered(SignInError),
}

impl<E: Into<SignInError>> From<E> for RefreshError {
    fn from(error: E) -> Self {
        Self::NotAnswered(error.into())
    }
}

impl Provider {
    /// Renews with a refresh token (RFC 6749 §6, OpenID Connect Core 1.0 §12). `known` is what is
    /// known of the person so far; `extra` names the claims beyond the standard ones.
    ///
    /// Once the provider has taken the token, everything after is best effort: the token that came
    /// in its place must reach the caller, so claims that cannot be had stay as they were.
    ///
    /// # Errors
    ///
    /// [`RefreshError`].
    pub async fn refresh(
        &self,
        refresh_token: &Secret,
        known: &Identity,
        extra: &[String],
    ) -> Result<Refreshed, RefreshError> {
        const ENDPOINT: &str = "token endpoint";
        let found = self.discovered().map_err(SignInError::from)?;
        let unreadable = |reason: String| SignInError::Unreadable {
            endpoint: ENDPOINT,
            reason,
        };
        let token = RefreshToken::new(refresh_token.expose().to_owned());
        let response = found
            .client
            .exchange_refresh_token(&token)
            .map_err(|error| unreadable(error.to_string()))?
            .request_async(&self.http)
            .await
            .map_err(
                |error: RequestTokenError<HttpError, TokenError>| match error {
                    RequestTokenError::ServerResponse(refusal) => match refusal.error() {
                        CoreErrorResponseType::InvalidGrant => {
                            RefreshError::Over("it refuses the refresh token")
                        }
                        // The client's fault and not the session's: for the operator to mend.
                        error => SignInError::Refused(error.to_string()).into(),
                    },
                    RequestTokenError::Request(source) => SignInError::Unreachable {
                        endpoint: ENDPOINT,
                        source,
                    }
                    .into(),
                    // The body is left out: it may hold tokens.
                    RequestTokenError::Parse(error, _) => {
                        unreadable(format!("at {}", error.path())).into()
                    }
                    RequestTokenError::Other(reason) => unreadable(reason).into(),
                },
            )?;
        let mut refreshed = Refreshed {
            identity: known.clone(),
            refresh_token: response
                .refresh_token()
                .map(|token| Secret::new(token.secret().clone())),
            id_token: None,
        };
        let mut found = found;
        let mut id_claims = Map::new();
        if let Some(id_token) = response.id_token() {
            // It belongs to no sign-in of a browser, so there is no nonce to compare.
            let any = |_: Option<&Nonce>| Ok(());
            match verified(self, found.clone(), id_token, any).await {
                Ok((_, claims)) if claims.subject().as_str() != known.subject => {
                    return Err(RefreshError::Over("it answers for somebody else"));
                }
                Ok((newer, claims)) => {
                    found = newer;
                    id_claims = as_map(&claims);
                    refreshed.id_token = Some(Secret::new(id_token.to_string()));
                }
                Err(error) => {
                    let provider = self.settings.name.as_str();
                    tracing::warn!(provider, %error, "the refreshed ID token does not hold");
                    return Ok(refreshed);
                }
            }
        }
        let groups_claim = &self.settings.groups_claim;
        let lacking = ClaimSources(vec![&id_claims]).lacks(groups_claim, extra);
        let mut userinfo = Map::new();
        if lacking && found.metadata.userinfo_endpoint().is_some() {
            match self
                .user_info(&found, response.access_token(), &known.subject)
                .await
            {
                Ok(claims) => userinfo = claims,
                Err(SignInError::UserInfo(_)) => {
                    return Err(RefreshError::Over("its userinfo answers for somebody else"));
                }
                Err(error) => {
                    let provider = self.settings.name.as_str();
                    tracing::warn!(provider, %error, "claims stay as they were");
                    return Ok(refreshed);
                }
            }
        }
        if !id_claims.is_empty() || !userinfo.is_empty() {
            let sources = ClaimSources(vec![&id_claims, &userinfo]);
            let issuer = self.settings.issuer.as_str();
            let mut identity = sources.identity(issuer, &known.subject, groups_claim, extra);
            // A renewal is no authentication: what the token leaves out of the last one holds.
            identity.auth_time = identity.auth_time.or(known.auth_time);
            identity.acr = identity.acr.or_else(|| known.acr.clone());
            if identity.amr.is_empty() {
                identity.amr.clone_from(&known.amr);
            }
            refreshed.identity = identity;
        }
        Ok(refreshed)
    }

    /// Whether the provider answers at all.
    pub async fn answers(&self) -> bool {
        let Ok(found) = self.discovered() else {
            return false;
        };
        let asked = discovery::fetch_keys(&self.settings, &found.metadata, &self.http);
        matches!(tokio::time::timeout(SIGN_OF_LIFE, asked).await, Ok(Ok(_)))
    }
}
