//! Keys that anyone can read in Gatepost's documentation, examples and test vectors.

/// The secrets that pages, examples and `testdata/cookies.json` show. `tests/published_keys.rs` looks
/// for others there.
const PUBLISHED: [&[u8; 32]; 4] = [
    b"BCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`a",
    b"abcdefghijklmnopqrstuvwxyz123456",
    b"test-only-test-only-test-only-32",
    b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
];

/// The holders of a ring's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The operator alone.
    Operator,
    /// Every reader of Gatepost's documentation.
    Readers,
}

impl Holder {
    /// Returns who holds a secret, as far as this crate can know.
    pub(super) fn of(secret: &[u8]) -> Self {
        if PUBLISHED.iter().any(|known| secret == &known[..]) {
            Self::Readers
        } else {
            Self::Operator
        }
    }
}
