//! Requests to a provider: no redirects, bounded in time and size.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use tracing::Instrument as _;

use super::known::PublicAddress;
use crate::metrics::time_provider;
use crate::traces;

/// The longest answer that is read, in bytes. A token response with some hundred groups is a
/// tenth of it.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// For how long a connection is kept that nothing is sent over: long enough for userinfo to go the
/// way of the token request before it, and shorter than servers keep theirs. The shortest default
/// of those in use is gunicorn's two seconds; Node.js and Apache close after five.
const KEPT_IDLE: Duration = Duration::from_secs(1);

/// A client for one provider.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: reqwest::Client,
    /// The same without connections that are kept: for what is sent once more.
    fresh: reqwest::Client,
    /// The provider's name, for the time that it takes.
    provider: String,
}

/// Why a provider could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client cannot be set up.
    #[error("cannot set up TLS: {}", chain(.0))]
    Client(#[source] reqwest::Error),
    /// There is no certificate to trust.
    #[error(
        "this system has no certificate authorities to trust: install its `ca-certificates`, or \
         set `caFile`"
    )]
    NoAuthorities,
    /// No answer: no connection, a certificate that is not trusted, or a timeout.
    #[error("{}", chain(.0))]
    Request(#[source] reqwest::Error),
    /// The answer is too long.
    #[error("the answer is longer than {MAX_RESPONSE_BYTES} bytes")]
    TooLong,
    /// The answer broke off.
    #[error("the answer broke off")]
    BrokenOff,
    /// The provider answered with a redirect, which is not followed.
    #[error("the answer is a redirect, which is not followed: is the issuer's URL exact?")]
    Redirect,
}

/// An error and its causes in one line: the cause says what an operator needs.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    // What TLS makes of an answer in plain text.
    if line.contains("InvalidContentType") {
        line.push_str(" (what answers there speaks http and not https)");
    }
    line
}

/// How a client asks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HttpOptions<'a> {
    /// Certificates that are trusted besides the system's, in PEM.
    pub(crate) authorities: &'a [u8],
    /// Whether what is asked has TLS.
    pub(crate) tls: bool,
    /// Whether any certificate will do.
    pub(crate) insecure: bool,
    /// The address that is named to the server, where it is not the one that is connected to.
    pub(crate) asked_as: Option<&'a PublicAddress>,
}

fn builder(options: &HttpOptions<'_>) -> reqwest::ClientBuilder {
    let builder = match options.asked_as {
        // HTTP/2 has no `Host` that could differ from the URL's.
        Some(address) => reqwest::Client::builder()
            .default_headers(address.headers())
            .http1_only(),
        None => reqwest::Client::builder(),
    };
    builder
        .tls_danger_accept_invalid_certs(options.insecure)
        // A redirect could lead to an address that only the outpost reaches.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(15))
        .pool_idle_timeout(KEPT_IDLE)
        .user_agent(concat!("gatepost/", env!("CARGO_PKG_VERSION")))
}

fn build(
    options: &HttpOptions<'_>,
    builder: impl Fn() -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, HttpError> {
    // Another part of the process may have chosen one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let extra =
        reqwest::Certificate::from_pem_bundle(options.authorities).map_err(HttpError::Client)?;
    if let Ok(client) = builder().tls_certs_merge(extra.clone()).build() {
        return Ok(client);
    }
    // What fails there is finding the system's certificates, as in an image that has none.
    if extra.is_empty() && options.tls && !options.insecure {
        return Err(HttpError::NoAuthorities);
    }
    builder()
        .tls_certs_only(extra)
        .build()
        .map_err(HttpError::Client)
}

/// A client that trusts the system's certificates and those of its options.
pub(crate) fn client(options: &HttpOptions<'_>) -> Result<reqwest::Client, HttpError> {
    build(options, || builder(options))
}

impl HttpClient {
    /// A client that trusts the system's certificates and those of its options. Without either it
    /// can only ask a provider that has no TLS.
    pub(crate) fn new(provider: &str, options: &HttpOptions<'_>) -> Result<Self, HttpError> {
        let fresh = build(options, || builder(options).pool_max_idle_per_host(0))?;
        Ok(Self {
            client: client(options)?,
            fresh,
            provider: provider.to_owned(),
        })
    }

    /// A client for a connection that becomes another protocol's, as only HTTP/1.1's can.
    pub(crate) fn upgrading(options: &HttpOptions<'_>) -> Result<reqwest::Client, HttpError> {
        build(options, || builder(options).http1_only())
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(HttpError::Request)?;
        let response = self.execute(request).await.map_err(HttpError::Request)?;
        if response.status().is_redirection() {
            return Err(HttpError::Redirect);
        }
        let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let body = Limited::new(body, MAX_RESPONSE_BYTES)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    HttpError::TooLong
                } else {
                    HttpError::BrokenOff
                }
            })?;
        Ok(HttpResponse::from_parts(parts, body.to_bytes().to_vec()))
    }

    /// Sends a request, and once more over a fresh connection where the first broke before its
    /// answer began: the server may have closed a kept connection in the same moment, and has then
    /// not read it (RFC 9112 §9.3.1, §9.6).
    ///
    /// RFC 9110 §9.2.2 lets that be done with a POST whose semantics are known to be idempotent,
    /// and what is posted here is. A code and a refresh token that rotates serve once (RFC 6749
    /// §4.1.2, RFC 9700 §4.14.2): had the server read the first request after all, it refuses the
    /// second, and what it gave out has never arrived, so that without the second attempt the
    /// sign-in or the session would be lost just the same. Introspection changes nothing, and a
    /// token for a program is as good as another.
    async fn execute(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        let again = request.try_clone();
        match (self.client.execute(request).await, again) {
            (Err(error), Some(again)) if is_unanswered(&error) => {
                tracing::debug!(
                    provider = self.provider,
                    error = chain(&error),
                    "a connection broke before an answer began: sent once more"
                );
                self.fresh.execute(again).await
            }
            (outcome, _) => outcome,
        }
    }
}

/// Whether a connection that was open broke before an answer began.
fn is_unanswered(error: &reqwest::Error) -> bool {
    use std::io::ErrorKind;
    if error.is_timeout() || error.is_connect() {
        return false;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_closed() || error.is_canceled())
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                error.kind(),
                ErrorKind::BrokenPipe
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset
                    | ErrorKind::NotConnected
                    | ErrorKind::UnexpectedEof
            );
        }
        cause = error.source();
    }
    false
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, mut request: HttpRequest) -> Self::Future {
        let span = traces::provider_request(&self.provider, &mut request);
        Box::pin(async move {
            let answer = time_provider(&self.provider, self.send(request));
            let answer = answer.instrument(span.clone()).await;
            traces::provider_answered(&span, answer.as_ref().map(HttpResponse::status));
            answer
        })
    }
}
