//! Asking a provider about credentials: a program's, for a token in exchange (RFC 6749 §4.3, §4.4),
//! or whether a token holds (RFC 7662); and whether it takes those of the client that we are.

use http::StatusCode;
use serde_json::Value;

use super::access_token::{
    CredentialsError, Holder, Refusal, TokenRules, check_says_no_other_kind,
};
use super::post::{Client, Form, TOKEN_ENDPOINT};
use super::{Provider, SignInError};
use crate::config::{Grant, MachineSettings};
use gatepost_base::Secret;

const INTROSPECTION_ENDPOINT: &str = "introspection endpoint";

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
    /// Gets an access token for a name and a password, as the application's settings say.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`].
    pub async fn token_for(
        &self,
        user: &str,
        password: &Secret,
        settings: &MachineSettings,
    ) -> Result<Secret, CredentialsError> {
        let found = self.discovered()?;
        let url = found.metadata.token_endpoint();
        let url = url.ok_or_else(|| unreadable(TOKEN_ENDPOINT, "missing"))?;
        let own = self.client(&found);
        let password = password.expose();
        let (client, form) = match settings.grant {
            Grant::ClientCredentials => {
                let theirs = Client {
                    id: user,
                    secret: Some(password),
                    by_post: own.by_post,
                };
                let form = Form::new().with("grant_type", "client_credentials");
                (theirs, form)
            }
            Grant::Password => {
                let form = Form::new().with("grant_type", "password");
                (own, form.with("username", user).with("password", password))
            }
            // The person's own token or app password takes the place of the client's secret.
            Grant::Authentik => {
                let form = Form::new().with("grant_type", "client_credentials");
                let ours = Client {
                    secret: None,
                    by_post: true,
                    ..own
                };
                (ours, form.with("username", user).with("password", password))
            }
        };
        let form = match settings.scopes.as_slice() {
            [] => form,
            scopes => form.with("scope", &scopes.join(" ")),
        };
        let further = settings.parameters.iter();
        let form = further.fold(form, |form, (name, value)| form.with(name, value));
        let answer = self.post(url.url(), TOKEN_ENDPOINT, &client, form).await?;
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
            // Where the caller is the client, it is theirs that is invalid; else it is ours.
            Some("invalid_client") if settings.grant == Grant::ClientCredentials => {
                Err(Refusal::Credentials.into())
            }
            Some(code) => Err(unreadable(TOKEN_ENDPOINT, &format!("it refuses: {code:?}")).into()),
            None if status == StatusCode::UNAUTHORIZED => Err(Refusal::Credentials.into()),
            None => Err(unreadable(TOKEN_ENDPOINT, &format!("it answers {status}")).into()),
        }
    }

    /// Shows the provider the client and its secret, with a code that nobody was given. Nothing
    /// comes of it but the provider's word on the client, which it looks at first (RFC 6749 §5.2).
    ///
    /// # Errors
    ///
    /// [`SignInError`] where the token endpoint does not answer, as it would not at a sign-in.
    pub async fn try_client(&self, redirect_uri: &str) -> Result<ClientVerdict, SignInError> {
        let found = self.discovered()?;
        let url = found.metadata.token_endpoint();
        let url = url.ok_or_else(|| unreadable(TOKEN_ENDPOINT, "missing"))?;
        let form = Form::new()
            .with("grant_type", "authorization_code")
            .with("code", "gatepost-check")
            // At least 43 characters (RFC 7636 §4.1).
            .with("code_verifier", &"gatepost-check-".repeat(3))
            .with("redirect_uri", redirect_uri);
        let client = self.client(&found);
        let answer = self.post(url.url(), TOKEN_ENDPOINT, &client, form).await?;
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

    /// Asks the provider about a token.
    pub(super) async fn introspected(
        &self,
        token: &Secret,
        rules: TokenRules<'_>,
    ) -> Result<Holder, CredentialsError> {
        self.check_before_introspection(token.expose())?;
        let found = self.discovered()?;
        let further = found.metadata.additional_metadata();
        let url = further.introspection_endpoint.as_ref();
        let url = url.ok_or_else(|| unreadable(INTROSPECTION_ENDPOINT, "missing"))?;
        let form = Form::new()
            .with("token", token.expose())
            .with("token_type_hint", "access_token");
        let client = self.client(&found);
        let answer = self
            .post(url, INTROSPECTION_ENDPOINT, &client, form)
            .await?;
        let (status, answer) = answer.read(INTROSPECTION_ENDPOINT)?;
        if !status.is_success() {
            let reason = format!("it answers {status}");
            return Err(unreadable(INTROSPECTION_ENDPOINT, &reason).into());
        }
        if answer.get("active") != Some(&Value::Bool(true)) {
            return Err(Refusal::Inactive.into());
        }
        check_says_no_other_kind(&answer)?;
        Ok(self.holder_of(answer, rules)?)
    }

    /// Whether it has an introspection endpoint, as far as it has been found.
    pub fn introspects(&self) -> bool {
        let found = self.discovered.load();
        found.as_ref().is_some_and(|found| {
            let further = found.metadata.additional_metadata();
            further.introspection_endpoint.is_some()
        })
    }
}

fn unreadable(endpoint: &'static str, reason: &str) -> SignInError {
    SignInError::Unreadable {
        endpoint,
        reason: reason.to_owned(),
    }
}
