//! The HTTP client that the relying party is given.

use std::fmt;
use std::sync::Arc;

use openidconnect::{HttpRequest, HttpResponse};
use tokio::sync::Notify;

/// Sends requests to a provider.
///
/// An implementation bounds the time and the length of a response, and does not follow redirects:
/// a redirect could lead to an address that only this process reaches. It returns any other
/// response as it is, whatever its status.
///
/// A request may be sent once more where the connection broke before its response began: RFC 9110
/// §9.2.2 allows that for requests whose semantics are idempotent. A code and a rotating refresh
/// token serve once (RFC 6749 §4.1.2, RFC 9700 §4.14.2), but where the provider read the first
/// request, its response is lost and the second is refused, so that a retry makes nothing worse.
#[async_trait::async_trait]
pub trait HttpClient: fmt::Debug + Send + Sync {
    /// Sends a request and returns its response.
    ///
    /// # Errors
    ///
    /// [`HttpError`] where no complete response arrives.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;
}

/// Why no complete response of a provider arrived. Shown to operators.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct HttpError(Box<dyn std::error::Error + Send + Sync>);

impl HttpError {
    /// Wraps an error of an HTTP client.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// The client of a provider.
#[derive(Clone, Debug)]
pub(crate) struct Http(pub(crate) Arc<dyn HttpClient>);

/// A client that notifies when a request gets no answer, or that of a server that fails.
#[derive(Debug)]
pub(crate) struct Watched {
    client: Arc<dyn HttpClient>,
    failed: Arc<Notify>,
}

impl Watched {
    /// Returns `client`, which notifies `failed`.
    pub(crate) fn new(client: Arc<dyn HttpClient>, failed: Arc<Notify>) -> Self {
        Self { client, failed }
    }
}

#[async_trait::async_trait]
impl HttpClient for Watched {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.client.send(request).await;
        let is_failure = match &answer {
            Ok(answer) => answer.status().is_server_error(),
            Err(_) => true,
        };
        if is_failure {
            self.failed.notify_one();
        }
        answer
    }
}
