//! The limits of a ring.

/// The shortest secret a ring accepts, in bytes: the output size of SHA-256, below which an HMAC
/// key weakens the MAC (RFC 2104 §3, RFC 7518 §3.2).
pub const MIN_KEY_BYTES: usize = 32;

/// The most keys a ring holds. A rotation needs two; each further one costs a derivation at start.
pub(super) const MAX_KEYS: usize = 16;
