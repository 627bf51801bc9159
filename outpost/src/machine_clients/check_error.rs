//! Why credentials do not let a machine client in.

use gatepost_oidc::{CredentialsError, Refusal, SignInError};
use gatepost_store::StoreUnavailable;

use crate::rate_limit::TooMany;

/// Why a machine client's credentials do not let it in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The credentials are invalid.
    #[error("credentials refused: {0}")]
    Refused(#[from] Refusal),
    /// The provider could not be asked, so the credentials may be valid.
    #[error(transparent)]
    NotAnswered(#[from] SignInError),
    /// Too many other credentials are being checked.
    #[error("too many credentials are being checked at the provider")]
    Busy,
    /// The credentials are an API key that does not hold.
    #[error("API key refused: {0}")]
    ApiKey(#[from] ApiKeyRefusal),
    /// The credentials are an API key, and the store cannot be asked about it.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The client has sent too many invalid credentials.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl From<CredentialsError> for CheckError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Refused(refusal) => Self::Refused(refusal),
            CredentialsError::NotAnswered(error) => Self::NotAnswered(error),
        }
    }
}

/// Why an API key is refused. For the log: a client must not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyRefusal {
    /// It is not a key, or a part of it is missing.
    #[error("not an API key: its length or its checksum is wrong")]
    Malformed,
    /// The store has no such key: it was revoked, has ended, or was never created.
    #[error("unknown: revoked, ended, or never created")]
    Unknown,
    /// It was revoked, and the store has it again.
    #[error("revoked")]
    Revoked,
    /// Its time is over.
    #[error("ended")]
    Ended,
    /// It is for other applications.
    #[error("not for this application")]
    Application,
    /// The application accepts no API keys.
    #[error("an API key, and `machines` does not have `apiKey`")]
    NotAccepted,
}
