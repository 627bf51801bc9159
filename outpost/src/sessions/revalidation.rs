//! What a provider says of a session.

use std::sync::Arc;

use gatepost_oidc::SignInError;
use gatepost_store::{SessionRecord, StoreUnavailable};

/// What a provider says of a session.
#[derive(Clone, Debug)]
pub enum Revalidation {
    /// It is valid; this is its current record.
    Valid(Arc<SessionRecord>),
    /// It has ended, here too.
    Ended,
    /// Only the browser can ask: there is no refresh token.
    NeedsBrowser,
    /// The refresh token was refused without a reason. The browser can ask, and until it has done
    /// so, no request extends the session.
    Refused,
    /// The answer is not there yet. A request whose window is open does not wait for it.
    Pending,
}

/// Why nothing is known of a session.
#[derive(Debug, thiserror::Error)]
pub enum RevalidationError {
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The provider has been unavailable for longer than sessions may go on without it.
    #[error(transparent)]
    Provider(#[from] SignInError),
}
