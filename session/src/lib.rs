//! Gatepost's session cookie: the format that the plugin and the outpost share.
//!
//! A session cookie is a compact JWS (RFC 7515 §7.1) signed with HMAC-SHA256, so that any JWT
//! library can read it. This crate turns bytes from a request into a session that a program may act
//! on, in steps that cannot be skipped:
//!
//! 1. [`cookie::Candidates`] finds the values in the `Cookie` header lines, whole or in chunks.
//! 2. [`Verifier::authenticate`] checks header, MAC, claims and audience: an [`Authentic`] was
//!    made by the holder of a key in the ring for this audience, at some time.
//! 3. [`Authentic::current`] compares its window with the caller's clock: only a [`Current`]
//!    gives access to the claims as a session in force.
//!
//! The crate is `no_std`: it has no clock, does no I/O and draws no randomness, and a caller
//! passes the time. It cannot make a cookie either: `gatepost-signing` does.
//!
//! ```
//! use gatepost_session::{Audience, KeyRing, NumericDate, Verifier};
//!
//! // A program parses a key of its own, with `KeyRing::parse`.
//! let ring = KeyRing::parse_published("2026a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=")?;
//! let verifier = Verifier::new(&ring, Audience::new("wiki")?);
//! assert!(verifier.authenticate(b"made.up.cookie").is_err());
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! The byte layout is specified in `docs/cookie-format.md`; `testdata/cookies.json` holds vectors
//! for other implementations.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod claims;
pub mod cookie;
mod json;
mod keyring;
mod mac;
pub mod revoked;
pub mod token;
mod verify;

pub use claims::{
    Audience, Claims, InvalidAudience, MoreClaims, NumericDate, SessionId, StandardText,
};
pub use gatepost_scan::{TextList, TextListIter};
pub use json::{JsonReader, Piece};
pub use keyring::{DerivedKey, DerivedKeys, KeyId, KeyRing, KeyRingError, MIN_KEY_BYTES, Purpose};
pub use mac::Mac;
pub use verify::{
    Authentic, CLOCK_SKEW_SECONDS, Current, MAX_TOKEN_BYTES, OpenError, Verifier, WindowError,
};
