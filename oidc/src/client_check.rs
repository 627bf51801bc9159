//! Checking whether the provider accepts the client's id and secret.

use http::StatusCode;
use serde_json::Value;

use crate::client_refused::ClientRefused;
use crate::error::SignInError;
use crate::exchange::code_form;
use crate::form::TOKEN_ENDPOINT;
use crate::provider::Provider;

/// Whether a provider accepts the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientVerdict {
    /// It refuses the request for its code, so it accepted the client.
    Taken,
    /// It refuses the client.
    Refused(ClientRefused),
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
            Some(code) if is_about_the_client(code) => {
                ClientVerdict::Refused(ClientRefused::of(&self.settings, code.to_owned()))
            }
            None if status == StatusCode::UNAUTHORIZED => {
                ClientVerdict::Refused(ClientRefused::of(&self.settings, status.to_string()))
            }
            _ => ClientVerdict::Unclear,
        })
    }

    /// Returns the error for a refusal of the token endpoint (RFC 6749 §5.2), or of the one for pushed
    /// requests (RFC 9126 §2.3).
    pub(crate) fn refused(&self, code: &str, words: &str) -> SignInError {
        // A provider may repeat what it was sent.
        let secret = self.settings.client_secret.as_ref();
        let words = match secret {
            Some(secret) if words.contains(secret.secret().as_str()) => "",
            _ => words,
        };
        let reason = match words {
            "" => code.to_owned(),
            words => format!("{code}: {words}"),
        };
        if is_about_the_client(code) {
            Box::new(ClientRefused::of(&self.settings, reason)).into()
        } else {
            SignInError::Refused(reason)
        }
    }
}

/// Returns whether an error code says that the client is unknown, or has not proved that it is the client.
/// The latter code is that of some providers for a wrong secret.
fn is_about_the_client(code: &str) -> bool {
    matches!(code, "invalid_client" | "unauthorized_client")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gatepost_base::Clock;
    use openidconnect::{ClientId, ClientSecret, HttpRequest, HttpResponse, IssuerUrl};

    use super::*;
    use crate::http_client::{HttpClient, HttpError};
    use crate::settings::ProviderSettings;

    /// A client for settings that nothing is sent by.
    #[derive(Debug)]
    struct Nowhere;

    #[async_trait::async_trait]
    impl HttpClient for Nowhere {
        async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            Ok(HttpResponse::default())
        }
    }

    /// Some name the client in their words, and a few what it has sent.
    #[test]
    fn a_refusal_says_what_to_correct_and_no_secret() {
        let issuer = IssuerUrl::new("https://id.example.com".to_owned()).expect("a URL");
        let mut settings =
            ProviderSettings::new("main", issuer, ClientId::new("gatepost".to_owned()));
        let said = |settings: &ProviderSettings, code, words| {
            let clock = Clock::system();
            let provider = Provider::new(settings.clone(), Arc::new(Nowhere), clock);
            provider.refused(code, words).to_string()
        };
        let without = said(&settings, "invalid_client", "");
        for part in [
            "`main`",
            "`gatepost`",
            "`clientSecret` is not set",
            "invalid_client",
        ] {
            assert!(without.contains(part), "{part}: {without}");
        }
        settings.client_secret = Some(ClientSecret::new("change-me".to_owned()));
        let wrong = said(&settings, "unauthorized_client", "Invalid client secret");
        assert!(wrong.contains("with its secret"), "{wrong}");
        assert!(
            wrong.contains("unauthorized_client: Invalid client secret"),
            "{wrong}"
        );
        let echoed = said(&settings, "invalid_client", "`change-me` is wrong");
        assert!(
            echoed.contains("(`invalid_client`)") && !echoed.contains("change-me"),
            "{echoed}"
        );
        let other = said(&settings, "invalid_scope", "");
        assert_eq!(other, "the token endpoint refused: `invalid_scope`");
    }
}
