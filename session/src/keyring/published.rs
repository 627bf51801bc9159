//! Keys that anybody can read in Gatepost's documentation, examples and test vectors.

use core::fmt;

use super::{KeyId, KeyRing};

/// The secrets that pages, examples and `testdata/cookies.json` show. `tests/published_keys.rs` looks
/// for others there.
const PUBLISHED: [&[u8; 32]; 4] = [
    b"BCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`a",
    b"abcdefghijklmnopqrstuvwxyz123456",
    b"test-only-test-only-test-only-32",
    b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
];

/// A key whose secret everybody can read, with which everybody can sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKey {
    /// The key's id.
    pub id: KeyId,
}

impl fmt::Display for PublishedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.id;
        write!(
            f,
            "key `{id}` is an example that everybody can read, and sign with: `gatepost keygen` makes \
             one"
        )
    }
}

impl core::error::Error for PublishedKey {}

impl KeyRing {
    /// Checks that no key of the ring is one that Gatepost's own documentation or test vectors show.
    ///
    /// The ring itself takes them, for those examples and vectors. What serves users calls this.
    ///
    /// # Errors
    ///
    /// Names the first such key.
    pub fn check_unpublished(&self) -> Result<(), PublishedKey> {
        for secret in self.secrets() {
            if PUBLISHED.iter().any(|known| secret.bytes[..] == known[..]) {
                let id = secret.id.clone();
                return Err(PublishedKey { id });
            }
        }
        Ok(())
    }
}
