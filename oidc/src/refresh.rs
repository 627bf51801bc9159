//! Renewing with a refresh token (RFC 6749 §6, OpenID Connect Core 1.0 §12).

use std::time::Duration;

use serde_json::Map;

use crate::claims::{Answered, ClaimSources};
use crate::discovery;
use crate::error::SignInError;
use crate::form::Form;
use crate::id_token::ExpectedNonce;
use crate::named_claim::NamedClaim;
use crate::provider::Provider;
use crate::token_endpoint::{IssuedToken, TokenError};
use gatepost_base::{Identity, Secret};

/// How long a provider may take to respond at all.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// What a renewal brings.
#[derive(Debug)]
pub struct Refreshed {
    /// The user, as the provider describes them now.
    pub identity: Identity,
    /// Why the user is described as before: the new ID token is invalid, and confirms nothing.
    pub unconfirmed: Option<SignInError>,
    /// The next refresh token, where the provider rotates them.
    pub refresh_token: Option<Secret>,
    /// The next access token, where there is one.
    pub access_token: Option<IssuedToken>,
    /// The next ID token, where there is one (OpenID Connect Core 1.0 §12.2).
    pub id_token: Option<Secret>,
}

/// Why a session could not be renewed at its provider.
#[derive(Debug)]
pub enum RefreshError {
    /// The session has ended at the provider; the reason is for the log.
    Over(&'static str),
    /// This session cannot be renewed now, which says nothing about others: the provider refuses the
    /// client, or its response is invalid.
    NotThisOne(SignInError),
    /// The refresh token is refused without a reason: by the provider, for which the session may be
    /// over, or by something in between, which says nothing of it.
    Unexplained(SignInError),
    /// The provider cannot serve any client now.
    Away {
        /// The cause.
        error: SignInError,
        /// After what time it asks to be tried again.
        retry_after: Option<Duration>,
    },
}

/// Returns why a session has ended, where an error code says that: the grant is invalid, or the user
/// has to do something at the provider, as at a sign-in.
///
/// RFC 6749 §5.2, OpenID Connect Core 1.0 §3.1.2.6 (Entra ID and others answer with its codes),
/// RFC 6750 §3.1.
fn end_of_session(code: &str) -> Option<&'static str> {
    Some(match code {
        "invalid_grant" | "invalid_token" | "expired_token" => "it refuses the refresh token",
        "access_denied" => "it denies the user access",
        "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => "it wants the user to interact",
        _ => return None,
    })
}

impl From<TokenError> for RefreshError {
    fn from(none: TokenError) -> Self {
        match none {
            TokenError::Away { error, retry_after } => Self::Away { error, retry_after },
            TokenError::Unexplained(error) => Self::Unexplained(error),
            TokenError::Unreadable(error) => Self::NotThisOne(error),
            TokenError::Refused { code, error } => match end_of_session(&code) {
                Some(reason) => Self::Over(reason),
                // The client's fault and not the session's: the operator has to correct it.
                None => Self::NotThisOne(error),
            },
        }
    }
}

impl Provider {
    /// Renews with a refresh token. `known` is the user as of the last time; `extra` names the claims
    /// that the identity takes beyond the standard ones.
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
        extra: &[NamedClaim],
    ) -> Result<Refreshed, RefreshError> {
        let found = self.discovered().map_err(|error| RefreshError::Away {
            error: error.into(),
            retry_after: None,
        })?;
        let form = Form::new()
            .with("grant_type", "refresh_token")
            .with("refresh_token", refresh_token.expose());
        let tokens = self.tokens(&found, form).await?;
        let mut refreshed = Refreshed {
            identity: known.clone(),
            unconfirmed: None,
            refresh_token: tokens.refresh.clone(),
            access_token: tokens.issued().ok(),
            id_token: None,
        };
        let provider = self.settings.name.as_str();
        let mut id_claims = Map::new();
        if let Some(id_token) = &tokens.id {
            let any = ExpectedNonce::Any;
            let verified = self.verify_id_token(id_token, any, found.clone()).await;
            let verified = verified.and_then(|id_token| {
                if let Ok(access_token) = tokens.access() {
                    id_token.check_access_token(access_token.secret())?;
                }
                Ok(id_token)
            });
            match verified {
                Ok(id_token) if id_token.subject != known.subject => {
                    return Err(RefreshError::Over("it answers for another user"));
                }
                Ok(id_token) => {
                    id_claims = id_token.claims;
                    refreshed.id_token.clone_from(&tokens.id);
                }
                Err(error) => {
                    tracing::warn!(provider, %error, "the refreshed ID token is invalid");
                    // Who issued the one may have issued the other.
                    refreshed.access_token = None;
                    refreshed.unconfirmed = Some(error.into());
                    return Ok(refreshed);
                }
            }
        }
        let wanted = self.wanted(extra);
        let lacking = ClaimSources(vec![&id_claims]).lacks_at_renewal(&wanted, known);
        let mut userinfo = Map::new();
        if lacking && found.metadata.userinfo_endpoint.is_some() {
            let asked = match tokens.access() {
                Ok(access_token) => self.user_info(&found, access_token, &known.subject).await,
                Err(error) => Err(error),
            };
            match asked {
                Ok(claims) => userinfo = claims,
                Err(SignInError::OtherSubject) => {
                    return Err(RefreshError::Over("its userinfo answers for another user"));
                }
                Err(error) => {
                    tracing::warn!(provider, %error, "claims of userinfo stay as they were");
                    let sources = ClaimSources(vec![&id_claims]);
                    refreshed.identity = sources.renewed(&wanted, known, Answered::NotUserinfo);
                    return Ok(refreshed);
                }
            }
        }
        if !id_claims.is_empty() || !userinfo.is_empty() {
            let sources = ClaimSources(vec![&id_claims, &userinfo]);
            let mut identity = sources.renewed(&wanted, known, Answered::All);
            let added = self.add_groups_left_out(&mut identity, &sources.0, &tokens);
            if let Err(error) = added.await {
                tracing::warn!(provider, %error, "the groups stay as they were");
                identity.groups.clone_from(&known.groups);
                identity.groups_whole = known.groups_whole;
            }
            refreshed.identity = identity;
        }
        Ok(refreshed)
    }

    /// Returns whether the provider responds at all.
    pub async fn answers(&self) -> bool {
        let Ok(found) = self.discovered() else {
            return false;
        };
        let asked = discovery::fetch_keys(&found.metadata, &self.http);
        matches!(tokio::time::timeout(SIGN_OF_LIFE, asked).await, Ok(Ok(_)))
    }
}
