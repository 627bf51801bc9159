//! The most sessions of a store.

/// Logs that a full store ends sessions.
pub(crate) fn warn_full(capacity: impl tracing::Value) {
    tracing::warn!(
        capacity,
        "the session store is full: ended the sessions that were unused for longest"
    );
}
