//! Forms that are posted to a provider in the name of a client.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::client_key::secret_assertion;
use crate::error::SignInError;
use crate::json;
use crate::provider::{Discovered, Provider, client_authentication};
use crate::settings::ClientAuthentication;

/// The token endpoint's name in messages.
pub(crate) const TOKEN_ENDPOINT: &str = "token endpoint";

/// A client, and how it authenticates (RFC 6749 §2.3).
pub(crate) struct Client<'a> {
    pub(crate) id: &'a str,
    pub(crate) proof: Proof<'a>,
}

/// How a client authenticates.
pub(crate) enum Proof<'a> {
    /// A public client does not.
    None,
    /// By its secret in `Authorization`.
    Basic(&'a str),
    /// By its secret in the form.
    Post(&'a str),
    /// By an assertion (RFC 7523 §2.2).
    Assertion(String),
}

/// The type of an assertion (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A form (`application/x-www-form-urlencoded`). It may hold passwords, so it is wiped.
pub(crate) struct Form(Zeroizing<String>);

impl Form {
    pub(crate) fn new() -> Self {
        Self(Zeroizing::default())
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
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

/// The response to a form. The body is never logged: it may hold tokens.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns a response without headers.
    #[cfg(test)]
    pub(crate) fn of(status: StatusCode, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body,
        }
    }

    /// Returns the status and the JSON object of the body; an empty one where a refusal has none.
    ///
    /// # Errors
    ///
    /// [`SignInError::Unreadable`] for a status of 500 and more, and for a success without an object.
    pub(crate) fn read(
        self,
        endpoint: &'static str,
    ) -> Result<(StatusCode, Map<String, Value>), SignInError> {
        let status = self.status;
        if status.is_server_error() {
            return Err(unreadable(endpoint, format!("it answers {status}")));
        }
        let answer = json::parse(&self.body);
        if status.is_success() {
            let answer = answer.map_err(|error| unreadable(endpoint, error.to_string()))?;
            return Ok((status, answer));
        }
        Ok((status, answer.unwrap_or_default()))
    }

    /// Returns `error` and `error_description` of a refusal (RFC 6749 §5.2).
    ///
    /// The `error` of a challenge does not count: it is about an access token (RFC 6750 §3), and a gateway
    /// in between writes it too.
    pub(crate) fn refusal(&self) -> Option<(String, String)> {
        let answer = json::parse(&self.body).unwrap_or_default();
        let words = |name: &str| {
            let text = answer.get(name).and_then(Value::as_str);
            text.map(json::excerpt)
        };
        let code = words("error")?;
        Some((code, words("error_description").unwrap_or_default()))
    }

    /// Returns `Retry-After` (RFC 9110 §10.2.3), where it is in seconds.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        value.trim().parse().ok().map(Duration::from_secs)
    }
}

impl Provider {
    /// Returns the client of the settings at this endpoint, with a fresh assertion where it needs
    /// one.
    ///
    /// The assertion is for the token endpoint (RFC 7523 §3), also at the provider's other endpoints,
    /// but only where both are of one server. A provider could otherwise name another's token endpoint
    /// in its document, and use there what this client sent to the provider itself.
    ///
    /// # Errors
    ///
    /// [`SignInError::Client`] where an assertion cannot be made.
    pub(crate) fn client(
        &self,
        found: &Discovered,
        endpoint: &Url,
    ) -> Result<Client<'_>, SignInError> {
        let settings = self.settings();
        let id = settings.client_id.as_str();
        let secret = settings.client_secret.as_ref().map(|s| s.secret().as_str());
        let token_endpoint = &found.metadata.token_endpoint;
        let is_one_server = endpoint.origin() == token_endpoint.origin();
        let audience = if is_one_server {
            token_endpoint.as_str()
        } else {
            endpoint.as_str()
        };
        let now = self.clock.now().as_seconds();
        let method = client_authentication(settings, &found.metadata);
        let proof = match (method, secret, &settings.client_key) {
            (ClientAuthentication::PrivateKeyJwt, _, Some(key)) => {
                Proof::Assertion(key.assertion(id, audience, now)?)
            }
            (ClientAuthentication::SecretJwt, Some(secret), _) => {
                Proof::Assertion(secret_assertion(secret, id, audience, now)?)
            }
            (ClientAuthentication::Post, Some(secret), _) => Proof::Post(secret),
            (_, Some(secret), _) => Proof::Basic(secret),
            (_, None, _) => Proof::None,
        };
        Ok(Client { id, proof })
    }

    /// Posts a form.
    ///
    /// # Errors
    ///
    /// [`SignInError::Unreachable`] where no response arrives.
    pub(crate) async fn post(
        &self,
        url: &Url,
        endpoint: &'static str,
        client: &Client<'_>,
        form: Form,
    ) -> Result<Answer, SignInError> {
        let mut request = Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        let form = match &client.proof {
            Proof::Basic(secret) => {
                let encode = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = Zeroizing::new(format!("{}:{}", encode(client.id), encode(secret)));
                let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
                let mut value = HeaderValue::from_str(&value)
                    .map_err(|error| unreadable(endpoint, error.to_string()))?;
                value.set_sensitive(true);
                request = request.header(AUTHORIZATION, value);
                form
            }
            Proof::Post(secret) => form
                .with("client_id", client.id)
                .with("client_secret", secret),
            Proof::Assertion(assertion) => form
                .with("client_id", client.id)
                .with("client_assertion_type", JWT_BEARER)
                .with("client_assertion", assertion),
            Proof::None => form.with("client_id", client.id),
        };
        let request = request
            .body(form.0.as_bytes().to_vec())
            .map_err(|error| unreadable(endpoint, error.to_string()))?;
        let unreachable = |source| SignInError::Unreachable { endpoint, source };
        let (parts, body) = self
            .http
            .0
            .send(request)
            .await
            .map_err(unreachable)?
            .into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

fn unreadable(endpoint: &'static str, reason: String) -> SignInError {
    SignInError::Unreadable { endpoint, reason }
}
