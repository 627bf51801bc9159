//! Why a request to the provider fails.

use gatepost_base::Quoted;

use crate::client_key::ClientError;
use crate::client_refused::ClientRefused;
use crate::http_client::HttpError;
use crate::id_token::IdTokenError;
use crate::provider::Unavailable;

/// Why a sign-in, or another request to the provider, fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The provider has not been discovered.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The provider did not respond.
    #[error("the provider's {endpoint} does not respond: {source}")]
    Unreachable {
        /// The endpoint.
        endpoint: &'static str,
        /// The cause.
        source: HttpError,
    },
    /// The token endpoint refused the code: it was used before, or it is too old.
    #[error("the token endpoint refused the code")]
    CodeRefused,
    /// The token endpoint refused the client: its id, or what proves that it is the client.
    #[error(transparent)]
    ClientRefused(#[from] Box<ClientRefused>),
    /// The token endpoint refused the request.
    #[error("the token endpoint refused: {}", Quoted(.0))]
    Refused(String),
    /// An endpoint's response is invalid.
    #[error("the response of the provider's {endpoint} is invalid: {reason}")]
    Unreadable {
        /// The endpoint.
        endpoint: &'static str,
        /// The problem.
        reason: String,
    },
    /// There is no ID token in the token response: the `openid` scope was not granted.
    #[error("the token response has no ID token: is this client allowed the `openid` scope?")]
    NoIdToken,
    /// The ID token is invalid.
    #[error("the ID token was refused: {0}")]
    IdToken(#[from] IdTokenError),
    /// Userinfo is of another user.
    #[error("userinfo is of another user (`sub`)")]
    OtherSubject,
    /// The client cannot authenticate.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The authorization response is another provider's (RFC 9207).
    #[error("the callback's `iss` is not this provider's issuer, or is missing")]
    ResponseIssuer,
}

/// Returns the error for an invalid response.
pub(crate) fn unreadable(endpoint: &'static str, reason: &str) -> SignInError {
    SignInError::Unreadable {
        endpoint,
        reason: reason.to_owned(),
    }
}
