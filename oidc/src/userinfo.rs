//! The userinfo endpoint (OpenID Connect Core 1.0 §5.3).

use openidconnect::core::CoreGenderClaim;
use openidconnect::{AccessToken, SubjectIdentifier, UserInfoClaims, UserInfoError};
use serde_json::{Map, Value};

use crate::claims::{ClaimMap, as_map};
use crate::exchange::SignInError;
use crate::http_client::HttpError;
use crate::provider::{Discovered, Provider};

impl Provider {
    /// Fetches the claims of a user from the userinfo endpoint.
    ///
    /// # Errors
    ///
    /// [`SignInError::UserInfo`] where they are another user's than `subject`.
    pub(crate) async fn user_info(
        &self,
        found: &Discovered,
        access_token: &AccessToken,
        subject: &str,
    ) -> Result<Map<String, Value>, SignInError> {
        const ENDPOINT: &str = "userinfo endpoint";
        let unreadable = |reason: String| SignInError::Unreadable {
            endpoint: ENDPOINT,
            reason,
        };
        let claims: UserInfoClaims<ClaimMap, CoreGenderClaim> = found
            .client
            .user_info(
                access_token.clone(),
                Some(SubjectIdentifier::new(subject.to_owned())),
            )
            .map_err(|error| unreadable(error.to_string()))?
            .request_async(&self.http)
            .await
            .map_err(|error: UserInfoError<HttpError>| match error {
                UserInfoError::Request(source) => SignInError::Unreachable {
                    endpoint: ENDPOINT,
                    source,
                },
                UserInfoError::ClaimsVerification(error) => SignInError::UserInfo(error),
                UserInfoError::Response(status, ..) => unreadable(format!("it answers {status}")),
                UserInfoError::Parse(error) => unreadable(format!("at {}", error.path())),
                _ => unreadable("it cannot be read".to_owned()),
            })?;
        Ok(as_map(&claims))
    }
}
