//! The userinfo endpoint (OpenID Connect Core 1.0 §5.3).

use std::sync::Arc;

use openidconnect::AccessToken;
use serde_json::{Map, Value};

use crate::error::{SignInError, unreadable};
use crate::json;
use crate::jwt::{UnverifiedJwt, is_for};
use crate::provider::{Discovered, Provider};

const ENDPOINT: &str = "userinfo endpoint";

/// The longest signed response that is read, in bytes.
const MAX_TOKEN_BYTES: usize = 1 << 20;

impl Provider {
    /// Fetches the claims of a user from the userinfo endpoint.
    ///
    /// # Errors
    ///
    /// [`SignInError::OtherSubject`] where they are another user's than `subject` (§5.3.2).
    pub(crate) async fn user_info(
        &self,
        found: &Arc<Discovered>,
        access_token: &AccessToken,
        subject: &str,
    ) -> Result<Map<String, Value>, SignInError> {
        let url = found.metadata.userinfo_endpoint.as_ref();
        let url = url.ok_or_else(|| unreadable(ENDPOINT, "missing"))?;
        let response = self.get_with_token(url, ENDPOINT, access_token).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(unreadable(ENDPOINT, &format!("it answers {status}")));
        }
        let claims = self.claims_of(response.body(), found).await?;
        match json::needed_text(&claims, "sub") {
            Ok(own) if own == subject => Ok(claims),
            Ok(_) => Err(SignInError::OtherSubject),
            Err(error) => Err(unreadable(ENDPOINT, &error.to_string())),
        }
    }

    /// Returns the claims of a response: JSON, or a signed JWT (§5.3.2), whatever its media type.
    async fn claims_of(
        &self,
        body: &[u8],
        found: &Arc<Discovered>,
    ) -> Result<Map<String, Value>, SignInError> {
        let refused = |reason: &str| unreadable(ENDPOINT, reason);
        let token = std::str::from_utf8(body).ok().map(str::trim);
        let token = token.and_then(|text| UnverifiedJwt::parse(text, MAX_TOKEN_BYTES));
        let Some(token) = token else {
            return json::parse(body).map_err(|error| refused(&error.to_string()));
        };
        let algorithm = token.header.accepted(&found.algorithms);
        let algorithm = algorithm.ok_or_else(|| refused("its `alg` is not accepted"))?;
        self.verify_signature(&token, &algorithm, Arc::clone(found))
            .await
            .map_err(|error| refused(&error.to_string()))?;
        let is_own = |own: &Value| own.as_str().is_some_and(|own| self.issues_as(own));
        if token.claims.get("iss").is_some_and(|own| !is_own(own)) {
            return Err(refused("its `iss` is another issuer"));
        }
        let client = self.settings.client_id.as_str();
        if token.claims.contains_key("aud") && !is_for(&token.claims, client) {
            return Err(refused("its `aud` does not name this client"));
        }
        Ok(token.claims)
    }
}
