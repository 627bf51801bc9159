//! The name of a key.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// The longest key id, in bytes.
pub(super) const MAX_KEY_ID_BYTES: usize = 64;

/// The name of a key, sent in the clear as `kid` in every cookie (RFC 7515 §4.1.4).
///
/// 1 to 64 characters of `A-Z a-z 0-9 . _ -`, so that it needs no escaping in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a key id, or returns `None` when it is empty, too long or has other characters.
    pub fn new(text: &str) -> Option<Self> {
        let accepted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (!text.is_empty() && text.len() <= MAX_KEY_ID_BYTES && text.bytes().all(accepted))
            .then(|| Self(text.into()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.as_str().to_owned()
    }
}
