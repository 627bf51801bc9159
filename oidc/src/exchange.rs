//! Exchanging the code of an authorization response (OpenID Connect Core 1.0 §3.1.3).

use std::sync::Arc;

use gatepost_base::{Identity, Secret};
use openidconnect::{
    AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
};
use serde_json::Map;

use crate::claims::{ClaimSources, Wanted};
use crate::error::SignInError;
use crate::form::{Form, TOKEN_ENDPOINT};
use crate::groups;
use crate::id_token::{ExpectedNonce, IdToken};
use crate::json::text;
use crate::named_claim::NamedClaim;
use crate::provider::{Discovered, Provider};
use crate::settings::{NonceCheck, UnverifiedEmail};
use crate::token_endpoint::{IssuedToken, TokenError, Tokens};

/// A user whom the provider has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// The user.
    pub identity: Identity,
    /// The id of the session at the provider (`sid`), if the ID token has one.
    pub provider_session: Option<String>,
    /// The refresh token, if the provider issued one.
    pub refresh_token: Option<Secret>,
    /// The access token, for an application that calls the provider in the user's name.
    pub access_token: IssuedToken,
    /// The ID token, for signing out.
    pub id_token: Secret,
}

impl Provider {
    /// Exchanges the code of an authorization response, verifies the ID token and returns the user.
    /// `extra` names the claims that the identity takes beyond the standard ones.
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
        extra: &[NamedClaim],
    ) -> Result<SignedIn, SignInError> {
        let found = self.discovered()?;
        let form = code_form(code.secret(), code_verifier.secret(), &redirect_uri);
        let tokens = self.exchange(&found, form).await?;
        let access_token = tokens.access()?;
        let raw = tokens.id.as_ref().ok_or(SignInError::NoIdToken)?;
        let nonce = match self.settings.nonce {
            NonceCheck::Required => ExpectedNonce::Is(nonce.secret()),
            NonceCheck::IfPresent => ExpectedNonce::IfPresent(nonce.secret()),
        };
        let id_token = self.verify_id_token(raw, nonce, Arc::clone(&found)).await?;
        id_token.check_access_token(access_token.secret())?;
        if let Some(max_age) = self.settings.authorization_parameter("max_age") {
            id_token.check_age(max_age, self.clock.now())?;
        }

        let IdToken {
            subject, claims, ..
        } = id_token;
        let wanted = self.wanted(extra);
        let lacking = ClaimSources(vec![&claims]).lacks(&wanted);
        let userinfo = if lacking && found.metadata.userinfo_endpoint.is_some() {
            self.user_info(&found, access_token, &subject).await?
        } else {
            Map::new()
        };
        let sources = ClaimSources(vec![&claims, &userinfo]);
        let mut identity = sources.identity(&wanted, &subject);
        self.add_groups_left_out(&mut identity, &sources.0, &tokens)
            .await?;
        if identity.groups.is_empty() {
            groups::explain_absence(&self.settings.name, &sources.0, &self.settings.claims);
        }
        Ok(SignedIn {
            identity,
            provider_session: text(&claims, "sid").map(str::to_owned),
            access_token: tokens.issued()?,
            refresh_token: tokens.refresh,
            id_token: tokens.id.ok_or(SignInError::NoIdToken)?,
        })
    }

    /// Returns whether an exchange that failed like this would fail for every other code too.
    ///
    /// The browser brings the code, and may have made it up so that a firewall refuses it, or that
    /// the token endpoint fails. So this sends the token endpoint a random code, which a provider in
    /// order refuses with a reason.
    pub async fn fails_for_all(&self, failure: &SignInError, redirect_uri: &str) -> bool {
        let endpoint = match failure {
            SignInError::Unavailable(_) => return true,
            SignInError::Unreachable { endpoint, .. }
            | SignInError::Unreadable { endpoint, .. } => *endpoint,
            _ => return false,
        };
        // Any later endpoint was asked with the token of a valid code.
        if endpoint != TOKEN_ENDPOINT {
            return true;
        }
        let Ok(found) = self.discovered() else {
            return true;
        };
        let code = CsrfToken::new_random();
        let (_, verifier) = PkceCodeChallenge::new_random_sha256();
        let form = code_form(code.secret(), verifier.secret(), redirect_uri);
        matches!(
            self.exchange(&found, form).await,
            Err(SignInError::Unreachable { .. } | SignInError::Unreadable { .. })
        )
    }

    /// Returns what an identity takes from claims.
    pub(crate) fn wanted<'w>(&'w self, extra: &'w [NamedClaim]) -> Wanted<'w> {
        Wanted {
            issuer: self.settings.issuer.as_str(),
            claims: &self.settings.claims,
            extra,
            unverified_email: self.settings.unverified_email == UnverifiedEmail::Accept,
        }
    }

    async fn exchange(&self, found: &Discovered, form: Form) -> Result<Tokens, SignInError> {
        self.tokens(found, form).await.map_err(|error| match error {
            TokenError::Refused { code, .. } if code == "invalid_grant" => SignInError::CodeRefused,
            TokenError::Refused { error, .. } => error,
            TokenError::Away { error, .. }
            | TokenError::Unexplained(error)
            | TokenError::Unreadable(error) => error,
        })
    }
}

/// Returns the form that exchanges a code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5).
pub(crate) fn code_form(code: &str, code_verifier: &str, redirect_uri: &str) -> Form {
    Form::new()
        .with("grant_type", "authorization_code")
        .with("code", code)
        .with("redirect_uri", redirect_uri)
        .with("code_verifier", code_verifier)
}
