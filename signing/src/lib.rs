//! Making Gatepost's session cookies, and the list of revoked sessions.
//!
//! `gatepost-session` reads what this crate writes. The two are apart so that a program which only
//! verifies cannot make a cookie by mistake: the plugin and the packages for applications depend on
//! `gatepost-session` alone, which `plugin/tests/dependencies.rs` checks.
//!
//! - [`Signer`] makes a cookie's value from claims.
//! - [`CookieAttributes`] writes it as `Set-Cookie` lines, in chunks where it is long.
//! - [`RevokedList`] writes the file in which verifiers look revoked sessions up.
//!
//! Like `gatepost-session`, the crate is `no_std`: the caller passes the time and random bytes.
//!
//! ```
//! use gatepost_session::{Audience, Claims, KeyRing, NumericDate, SessionId, Verifier};
//! use gatepost_signing::Signer;
//!
//! // A program parses a key of its own, with `KeyRing::parse`.
//! let ring = KeyRing::parse_published("2026a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=")?;
//! let now = NumericDate::from_seconds(1_800_000_000);
//! let claims: Claims = serde_json::from_value(serde_json::json!({
//!     "iss": "https://id.example.com",
//!     "sub": "1234",
//!     "aud": "wiki",
//!     "sid": SessionId::from_random([7; 24]),
//!     "iat": now,
//!     "exp": now.plus_seconds(900),
//!     "rnw": now.plus_seconds(600),
//! }))?;
//! let cookie = Signer::new(&ring).sign(&claims)?;
//!
//! let session = Verifier::new(&ring, Audience::new("wiki")?).authenticate(cookie.as_bytes())?;
//! assert_eq!(session.current(now, 0)?.claims(), &claims);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod revoked_list;
mod set_cookie;
mod signer;

pub use revoked_list::RevokedList;
pub use set_cookie::{CookieAttributes, CrossSite};
pub use signer::{SignError, Signer};
