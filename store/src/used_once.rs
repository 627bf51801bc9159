//! Values that may be used once.

use std::fmt;

use gatepost_session::NumericDate;

use crate::StoreUnavailable;

/// Remembers values that may be used once, such as the `jti` of a logout token (OpenID Connect
/// Back-Channel Logout 1.0 §2.6), until they expire.
#[async_trait::async_trait]
pub trait UsedOnce: Send + Sync + fmt::Debug {
    /// Returns whether `value` was used and has not expired at `now`.
    async fn was_used(&self, value: &str, now: NumericDate) -> Result<bool, StoreUnavailable>;

    /// Marks `value` as used until it expires. Returns false when it was used before.
    async fn use_once(
        &self,
        value: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable>;

    /// Marks a value as used as [`Self::use_once`] does, also in a store whose memory is full. It is
    /// for requests that end sessions and keys: only operators and providers can make such a value,
    /// so no client can fill the store with them.
    async fn use_once_to_end(
        &self,
        value: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        self.use_once(value, now, expires).await
    }
}
