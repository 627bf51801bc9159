//! Exchanging a name and a password for an access token (RFC 6749 §4.3, §4.4).

use gatepost_base::{Quoted, Secret};
use http::StatusCode;
use serde_json::Value;

use crate::access_token::{CredentialsError, Refusal};
use crate::error::unreadable;
use crate::form::{Client, Form, Proof, TOKEN_ENDPOINT};
use crate::json::excerpt;
use crate::provider::{Provider, client_authentication};
use crate::settings::{ClientAuthentication, Grant, TokenRequest};

impl Provider {
    /// Requests an access token for a name and a password, as the settings say.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`].
    pub async fn token_for(
        &self,
        user: &str,
        password: &Secret,
        request: &TokenRequest,
    ) -> Result<Secret, CredentialsError> {
        let found = self.discovered()?;
        let url = &found.metadata.token_endpoint;
        let own = self.client(&found, url)?;
        let password = password.expose();
        let (client, form) = match request.grant {
            Grant::ClientCredentials => {
                let proof = match client_authentication(&self.settings, &found.metadata) {
                    ClientAuthentication::Post => Proof::Post(password),
                    _ => Proof::Basic(password),
                };
                let theirs = Client { id: user, proof };
                let form = Form::new().with("grant_type", "client_credentials");
                (theirs, form)
            }
            Grant::Password => {
                let form = Form::new().with("grant_type", "password");
                (own, form.with("username", user).with("password", password))
            }
            // The user's own token or app password takes the place of the client's secret.
            Grant::Authentik => {
                let form = Form::new().with("grant_type", "client_credentials");
                let ours = Client {
                    proof: Proof::None,
                    ..own
                };
                (ours, form.with("username", user).with("password", password))
            }
        };
        let form = match request.scopes.as_slice() {
            [] => form,
            scopes => form.with("scope", &scopes.join(" ")),
        };
        let further = request.parameters.iter();
        let form = further.fold(form, |form, (name, value)| form.with(name, value));
        let answer = self.post(url, TOKEN_ENDPOINT, &client, form).await?;
        let (status, answer) = answer.read(TOKEN_ENDPOINT)?;
        if status.is_success() {
            let token = answer.get("access_token").and_then(Value::as_str);
            let token = token.ok_or_else(|| unreadable(TOKEN_ENDPOINT, "it gives no token"))?;
            return Ok(Secret::new(token.to_owned()));
        }
        // RFC 6749 §5.2.
        match answer.get("error").and_then(Value::as_str) {
            Some("invalid_grant" | "unauthorized_client" | "access_denied") => {
                Err(Refusal::Credentials.into())
            }
            // With this grant the name and the password are the client's.
            Some("invalid_client") if request.grant == Grant::ClientCredentials => {
                Err(Refusal::Credentials.into())
            }
            Some(code) => {
                let reason = format!("it refuses: {}", Quoted(excerpt(code)));
                Err(unreadable(TOKEN_ENDPOINT, &reason).into())
            }
            None if status == StatusCode::UNAUTHORIZED => Err(Refusal::Credentials.into()),
            None => Err(unreadable(TOKEN_ENDPOINT, &format!("it answers {status}")).into()),
        }
    }
}
