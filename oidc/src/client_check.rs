//! Checking whether the provider accepts the client's id and secret.

use http::StatusCode;
use serde_json::Value;

use crate::error::SignInError;
use crate::exchange::code_form;
use crate::form::TOKEN_ENDPOINT;
use crate::provider::Provider;

/// Whether a provider accepts the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientVerdict {
    /// It refuses the request for its code, so it accepted the client.
    Taken,
    /// It refuses the client, with this error code.
    Refused(String),
    /// Its response says neither.
    Unclear,
}

impl Provider {
    /// Sends a made-up code to the token endpoint. The provider checks the client first
    /// (RFC 6749 §5.2), so its refusal says whether it accepts the client.
    ///
    /// # Errors
    ///
    /// [`SignInError`] where the token endpoint does not respond, as it would not at a sign-in.
    pub async fn try_client(&self, redirect_uri: &str) -> Result<ClientVerdict, SignInError> {
        let found = self.discovered()?;
        let url = &found.metadata.token_endpoint;
        // At least 43 characters (RFC 7636 §4.1).
        let verifier = "gatepost-check-".repeat(3);
        let form = code_form("gatepost-check", &verifier, redirect_uri);
        let client = self.client(&found, url)?;
        let answer = self.post(url, TOKEN_ENDPOINT, &client, form).await?;
        let (status, answer) = answer.read(TOKEN_ENDPOINT)?;
        let code = answer.get("error").and_then(Value::as_str);
        Ok(match code {
            Some("invalid_grant") => ClientVerdict::Taken,
            // The latter is some providers' code for a wrong secret.
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
