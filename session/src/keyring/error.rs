//! Why a text is not a key ring.

use core::fmt;

use super::key_id::{KeyId, MAX_KEY_ID_BYTES};
use super::limits::{MAX_KEYS, MIN_KEY_BYTES};

/// Why a text is not a key ring. No message contains any part of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRingError {
    /// There is no key at all.
    Empty,
    /// An entry has no `kid:` in front; positions count from 1.
    MissingKeyId {
        /// The entry's place in the list, from 1.
        position: usize,
    },
    /// A key id is empty, longer than 64 bytes or has characters outside `A-Z a-z 0-9 . _ -`.
    InvalidKeyId {
        /// The entry's place in the list, from 1.
        position: usize,
    },
    /// What follows `kid:` is not base64.
    InvalidBase64 {
        /// The entry's key id.
        id: KeyId,
    },
    /// The decoded secret is shorter than [`MIN_KEY_BYTES`].
    ShortKey {
        /// The entry's key id.
        id: KeyId,
        /// The decoded length.
        bytes: usize,
    },
    /// Two entries have one key id, so it would be unclear which verifies.
    DuplicateKeyId {
        /// The repeated key id.
        id: KeyId,
    },
    /// Gatepost's documentation shows the key, so any reader can sign with it.
    PublishedKey {
        /// The entry's key id.
        id: KeyId,
    },
    /// Gatepost's documentation does not show the key, and only such keys were asked for.
    UnpublishedKey {
        /// The entry's key id.
        id: KeyId,
    },
    /// More than 16 keys.
    TooManyKeys,
}

impl fmt::Display for KeyRingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FORM: &str = "expected `kid:base64`, one a line, the signing key first";
        match self {
            Self::Empty => write!(f, "no key: {FORM}"),
            Self::MissingKeyId { position } => {
                write!(f, "key {position} has no key id: {FORM}")
            }
            Self::InvalidKeyId { position } => write!(
                f,
                "key {position} has an invalid key id: expected 1 to {MAX_KEY_ID_BYTES} \
                 characters of A-Z a-z 0-9 . _ -"
            ),
            Self::InvalidBase64 { id } => {
                write!(f, "key `{id}` is not base64: {FORM}")
            }
            Self::ShortKey { id, bytes } => write!(
                f,
                "key `{id}` has {bytes} bytes: expected {MIN_KEY_BYTES} or more \
                 (`gatepost keygen` makes one)"
            ),
            Self::DuplicateKeyId { id } => {
                write!(f, "key id `{id}` is repeated: each key needs its own")
            }
            Self::PublishedKey { id } => write!(
                f,
                "key `{id}` is published in Gatepost's documentation, so anyone can forge sessions \
                 with it: `gatepost keygen` makes one of your own"
            ),
            Self::UnpublishedKey { id } => write!(
                f,
                "key `{id}` is not published in Gatepost's documentation: only keys from there are \
                 for vectors and examples"
            ),
            Self::TooManyKeys => write!(f, "more than {MAX_KEYS} keys: remove retired ones"),
        }
    }
}

impl core::error::Error for KeyRingError {}
