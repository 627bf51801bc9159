//! Asking a provider about credentials: a program's, for a token in exchange (RFC 6749 §4.3, §4.4),
//! or whether a token holds (RFC 7662); and whether it takes those of the client that we are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use openidconnect::AsyncHttpClient as _;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::access_token::{CredentialsError, Holder, Refusal, TokenRules};
use super::{Discovered, Provider, SignInError};
use crate::config::{Grant, MachineSettings};
use crate::store::Secret;

const TOKEN_ENDPOINT: &str = "token endpoint";
const INTROSPECTION_ENDPOINT: &str = "introspection endpoint";

/// Who asks, and how it shows that (RFC 6749 §2.3.1).
struct Client<'a> {
    id: &'a str,
    secret: Option<&'a str>,
    by_post: bool,
}

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

/// A form that is being filled in. It may hold passwords.
struct Form(Zeroizing<String>);

impl Form {
    fn new() -> Self {
        Self(Zeroizing::default())
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        for part in form_urlencoded::byte_serialize(name.as_bytes()) {
            self.0.push_str(part);
        }
        self.0.push('=');
        for part in form_urlencoded::byte_serialize(value.as_bytes()) {
            self.0.push_str(part);
        }
        self
    }
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
        let url = url.ok_or_else(|| unreadable(TOKEN_ENDPOINT, "there is none"))?;
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
        let (status, answer) = self.post(url.url(), TOKEN_ENDPOINT, &client, form).await?;
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
        let url = url.ok_or_else(|| unreadable(TOKEN_ENDPOINT, "there is none"))?;
        let form = Form::new()
            .with("grant_type", "authorization_code")
            .with("code", "gatepost-check")
            // At least 43 characters (RFC 7636 §4.1).
            .with("code_verifier", &"gatepost-check-".repeat(3))
            .with("redirect_uri", redirect_uri);
        let client = self.client(&found);
        let (status, answer) = self.post(url.url(), TOKEN_ENDPOINT, &client, form).await?;
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
        let found = self.discovered()?;
        let further = found.metadata.additional_metadata();
        let url = further.introspection_endpoint.as_ref();
        let url = url.ok_or_else(|| unreadable(INTROSPECTION_ENDPOINT, "there is none"))?;
        let form = Form::new()
            .with("token", token.expose())
            .with("token_type_hint", "access_token");
        let client = self.client(&found);
        let (status, answer) = self
            .post(url, INTROSPECTION_ENDPOINT, &client, form)
            .await?;
        if !status.is_success() {
            let reason = format!("it answers {status}");
            return Err(unreadable(INTROSPECTION_ENDPOINT, &reason).into());
        }
        if answer.get("active") != Some(&Value::Bool(true)) {
            return Err(Refusal::Inactive.into());
        }
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

    /// The client that the outpost is.
    fn client(&self, found: &Discovered) -> Client<'_> {
        let settings = self.settings();
        Client {
            id: settings.client_id.as_str(),
            secret: settings.client_secret.as_ref().map(|s| s.secret().as_str()),
            by_post: super::authenticates_by_post(settings, &found.metadata),
        }
    }

    async fn post(
        &self,
        url: &Url,
        endpoint: &'static str,
        client: &Client<'_>,
        form: Form,
    ) -> Result<(StatusCode, Map<String, Value>), SignInError> {
        let mut request = Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        let form = match client.secret {
            Some(secret) if !client.by_post => {
                let encode = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = Zeroizing::new(format!("{}:{}", encode(client.id), encode(secret)));
                let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
                let mut value = HeaderValue::from_str(&value)
                    .map_err(|error| unreadable(endpoint, &error.to_string()))?;
                value.set_sensitive(true);
                request = request.header(AUTHORIZATION, value);
                form
            }
            secret => {
                let form = form.with("client_id", client.id);
                match secret {
                    Some(secret) => form.with("client_secret", secret),
                    None => form,
                }
            }
        };
        let request = request
            .body(form.0.as_bytes().to_vec())
            .map_err(|error| unreadable(endpoint, &error.to_string()))?;
        let unreachable = |source| SignInError::Unreachable { endpoint, source };
        let response = self.http.call(request).await.map_err(unreachable)?;
        let status = response.status();
        if status.is_server_error() {
            return Err(unreadable(endpoint, &format!("it answers {status}")));
        }
        // The body is never shown: it may hold tokens.
        let answer = serde_json::from_slice(response.body());
        if status.is_success() {
            let answer = answer.map_err(|_| unreadable(endpoint, "no JSON object"))?;
            return Ok((status, answer));
        }
        Ok((status, answer.unwrap_or_default()))
    }
}

fn unreadable(endpoint: &'static str, reason: &str) -> SignInError {
    SignInError::Unreadable {
        endpoint,
        reason: reason.to_owned(),
    }
}
