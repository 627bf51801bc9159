//! Assertions: short statements about the user that an application verifies by itself (JWT, RFC 7519).
//!
//! A session cookie has a MAC, and a program that verifies a MAC can compute one too. An assertion has
//! a signature, whose private key only outposts have: what verifies it cannot make another. It travels
//! within the session, as a claim that a header rule copies, so that the plugin needs no key for it.

mod algorithm;
mod keys;
mod signer;

pub use algorithm::{Algorithm, Unsigned};
pub use keys::{AssertionKey, AssertionKeyError, AssertionKeys};
pub use signer::{
    AssertedClaims, AssertionSettings, AssertionSigner, DEFAULT_HEADER, HEADER_WORDS, KnownGroups,
};
