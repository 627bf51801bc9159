//! What a provider says of a session, and when it is asked.

use std::sync::Arc;

use gatepost_oidc::{IssuedToken, Provider, SignInError};
use gatepost_session::NumericDate;
use gatepost_store::{AccessToken, SessionRecord, StoreUnavailable};

use crate::session_times::SessionTimes;

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

/// Returns how long sessions of this provider last.
pub(super) fn of_provider(times: &SessionTimes, provider: &Provider) -> SessionTimes {
    let own = provider.settings().refresh_after;
    SessionTimes {
        refresh_after: own.unwrap_or(times.refresh_after),
        ..*times
    }
}

/// Returns whether the provider is to be asked whether a session is still valid.
pub(super) fn is_due(record: &SessionRecord, times: &SessionTimes, now: NumericDate) -> bool {
    now >= record.last_validated.plus_seconds(times.refresh_after)
}

/// Returns the access token of a session, which was issued at `now`.
pub(super) fn access_token(issued: IssuedToken, now: NumericDate) -> AccessToken {
    AccessToken {
        token: issued.token,
        ends: issued.expires_in.map(|seconds| now.plus_seconds(seconds)),
    }
}
