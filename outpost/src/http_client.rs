//! The HTTP client: no redirects, bounded in time and size.

use std::path::PathBuf;
use std::time::Duration;

use gatepost_oidc::PublicAddress;
use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

/// The longest answer that is read, in bytes. A token response with some hundred groups is a
/// tenth of it.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// How long an idle connection is kept: long enough for the userinfo request to use the connection
/// of the token request before it, and shorter than servers keep theirs. The shortest default of
/// those in use is gunicorn's two seconds; Node.js and Apache close after five.
const POOL_IDLE: Duration = Duration::from_secs(1);

/// A client for one server.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: reqwest::Client,
    /// The same without a connection pool, for retries.
    fresh: reqwest::Client,
}

/// Why no complete response arrived, or why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {}", chain(.0))]
    Client(#[source] reqwest::Error),
    /// There is no certificate authority to trust.
    #[error(
        "this system has no certificate authorities to trust: install its `ca-certificates`, or \
         set `caFile`"
    )]
    NoAuthorities,
    /// The token that the server wants to see cannot be read.
    #[error("cannot read the token in {}: {source}", path.display())]
    TokenFile {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No response: no connection, an untrusted certificate, or a timeout.
    #[error("{}", advised(chain(.0)))]
    Request(#[source] reqwest::Error),
    /// The response is too long.
    #[error("the answer is longer than {MAX_RESPONSE_BYTES} bytes")]
    TooLong,
    /// The connection broke before the response was complete.
    #[error("the answer broke off")]
    BrokenOff,
    /// The response is a redirect, which is not followed.
    #[error("the answer is a redirect, which is not followed: is the issuer's URL exact?")]
    Redirect,
}

/// Returns an error's line with what to do where no known authority has signed the certificate.
fn advised(mut chain: String) -> String {
    if is_untrusted(&chain) {
        chain.push_str(
            ": no authority that this system knows has signed the server's certificate: name the file \
             with the authority's certificate in `caFile`, or in the variable `SSL_CERT_FILE`",
        );
    }
    if is_authority(&chain) {
        chain.push_str(NO_AUTHORITY);
    }
    chain
}

/// What to do about a server whose certificate is one of an authority, as `openssl req -x509` makes it.
pub(crate) const NO_AUTHORITY: &str = ": the server's certificate is itself an authority's, which no \
                                       server may show: make it anew with `openssl req … -addext \
                                       basicConstraints=critical,CA:FALSE`, or sign one with an authority";

/// Returns whether, by an error's line, the server's certificate is one of an authority.
pub(crate) fn is_authority(chain: &str) -> bool {
    chain.contains("CaUsedAsEndEntity")
}

/// Returns whether, by an error's line, no known authority has signed the server's certificate.
pub(crate) fn is_untrusted(chain: &str) -> bool {
    chain.contains("UnknownIssuer")
}

/// Returns an error and its causes in one line: the operator needs the cause.
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
    // How TLS fails on a response in plain text.
    if line.contains("InvalidContentType") {
        line.push_str(" (what answers there speaks http and not https)");
    }
    line
}

/// How a client connects.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HttpOptions<'a> {
    /// Certificates that are trusted besides the system's, in PEM.
    pub(crate) authorities: &'a [u8],
    /// Whether the server has TLS.
    pub(crate) tls: bool,
    /// Whether any certificate is accepted.
    pub(crate) insecure: bool,
    /// The address in `Host`, where it differs from the URL's.
    pub(crate) asked_as: Option<&'a PublicAddress>,
    /// Whether single requests have another `Host` than their URL's.
    pub(crate) names_hosts: bool,
}

fn builder(options: &HttpOptions<'_>) -> reqwest::ClientBuilder {
    let mut builder = reqwest::Client::builder();
    if let Some(address) = options.asked_as {
        builder = builder.default_headers(address.headers());
    }
    if options.asked_as.is_some() || options.names_hosts {
        // HTTP/2 has no `Host` that could differ from the URL's.
        builder = builder.http1_only();
    }
    builder
        .tls_danger_accept_invalid_certs(options.insecure)
        // A redirect could lead to an address that only the outpost reaches.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(15))
        .pool_idle_timeout(POOL_IDLE)
        .user_agent(concat!("gatepost/", env!("CARGO_PKG_VERSION")))
}

fn build(
    options: &HttpOptions<'_>,
    builder: impl Fn() -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, HttpError> {
    // Another part of the process may have installed one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let extra =
        reqwest::Certificate::from_pem_bundle(options.authorities).map_err(HttpError::Client)?;
    if let Ok(client) = builder().tls_certs_merge(extra.clone()).build() {
        return Ok(client);
    }
    // That failed for lack of system certificates, as in an image that has none.
    if extra.is_empty() && options.tls && !options.insecure {
        return Err(HttpError::NoAuthorities);
    }
    builder()
        .tls_certs_only(extra)
        .build()
        .map_err(HttpError::Client)
}

/// Returns a client that trusts the system's certificates and those of its options.
pub(crate) fn client(options: &HttpOptions<'_>) -> Result<reqwest::Client, HttpError> {
    build(options, || builder(options))
}

impl HttpClient {
    /// Returns a client that trusts the system's certificates and those of its options. Without
    /// either it can only reach a server that has no TLS.
    pub(crate) fn new(options: &HttpOptions<'_>) -> Result<Self, HttpError> {
        let fresh = build(options, || builder(options).pool_max_idle_per_host(0))?;
        Ok(Self {
            client: client(options)?,
            fresh,
        })
    }

    /// Returns a client for connections that are upgraded to another protocol, which needs
    /// HTTP/1.1.
    pub(crate) fn upgrading(options: &HttpOptions<'_>) -> Result<reqwest::Client, HttpError> {
        build(options, || builder(options).http1_only())
    }

    /// Sends a request and returns its response.
    ///
    /// # Errors
    ///
    /// [`HttpError`].
    pub(crate) async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(HttpError::Request)?;
        let response = self.execute(request).await.map_err(HttpError::Request)?;
        if response.status().is_redirection() {
            return Err(HttpError::Redirect);
        }
        let (parts, body) = Response::<reqwest::Body>::from(response).into_parts();
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
        Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
    }

    /// Sends a request, and retries once over a fresh connection where the first broke before a
    /// response began: the server may have closed an idle connection at that moment, and has then
    /// not read the request (RFC 9112 §9.3.1, §9.6).
    ///
    /// RFC 9110 §9.2.2 allows that for a POST whose semantics are known to be idempotent, as those
    /// posted here are. A code and a refresh token that rotates serve once (RFC 6749 §4.1.2, RFC
    /// 9700 §4.14.2): if the server did read the first request, it refuses the second, but its
    /// first response never arrived, so that without the second attempt the sign-in or the session
    /// would be lost just the same. Introspection changes nothing, and a token for a program is as
    /// good as another.
    async fn execute(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        let again = request.try_clone();
        match (self.client.execute(request).await, again) {
            (Err(error), Some(again)) if is_unanswered(&error) => {
                tracing::debug!(
                    host = again.url().host_str(),
                    error = chain(&error),
                    "the connection broke before a response began: retrying once"
                );
                self.fresh.execute(again).await
            }
            (outcome, _) => outcome,
        }
    }
}

/// Returns whether an open connection broke before a response began.
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
