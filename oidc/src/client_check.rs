//! Checking whether the provider accepts the client's id and secret.

use http::StatusCode;
use serde_json::Value;

use crate::exchange::SignInError;
use crate::form::{Form, TOKEN_ENDPOINT};
use crate::provider::Provider;

/// What a provider makes of the client that the outpost is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientVerdict {
    /// It looks at what the client wants, so it has nothing against the client.
    Taken,
    /// It refuses the client, with this code.
    Refused(String),
    /// Its answer says neither.
    Unclear,
}

impl Provider {
    /// Shows the provider the client and its secret, with a code that nobody was given. Nothing
    /// comes of it but the provider's word on the client, which it looks at first (RFC 6749 §5.2).
    ///
    /// # Errors
    ///
    /// [`SignInError`] where the token endpoint does not answer, as it would not at a sign-in.
    pub async fn try_client(&self, redirect_uri: &str) -> Result<ClientVerdict, SignInError> {
        let found = self.discovered()?;
        let url = &found.metadata.token_endpoint;
        let form = Form::new()
            .with("grant_type", "authorization_code")
            .with("code", "gatepost-check")
            // At least 43 characters (RFC 7636 §4.1).
            .with("code_verifier", &"gatepost-check-".repeat(3))
            .with("redirect_uri", redirect_uri);
        let client = self.client(&found)?;
        let answer = self.post(url, TOKEN_ENDPOINT, &client, form).await?;
        let (status, answer) = answer.read(TOKEN_ENDPOINT)?;
        let code = answer.get("error").and_then(Value::as_str);
        Ok(match code {
            Some("invalid_grant") => ClientVerdict::Taken,
            // The latter is what some say of a wrong secret.
            Some(code @ ("invalid_client" | "unauthorized_client")) => {
                ClientVerdict::Refused(code.to_owned())
            }
            None if status == StatusCode::UNAUTHORIZED => {
                ClientVerdict::Refused(status.to_string())
            }
            _ => ClientVerdict::Unclear,
        })
    }
}
