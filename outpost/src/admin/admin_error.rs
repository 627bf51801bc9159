//! Why an operator's request has no answer.

use gatepost_store::StoreUnavailable;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It is not sealed with a key of this outpost, too old, or was sent before.
    #[error(
        "the request is not sealed with this outpost's keys, is too old, or was sent before: \
         compare `keys` and the clocks on both sides"
    )]
    Refused,
    /// The session id is invalid.
    #[error("the session id is invalid: `gatepost session list` shows the ids")]
    InvalidSessionId,
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The operating system has no randomness.
    #[error("the operating system has no randomness")]
    NoRandomness,
}
