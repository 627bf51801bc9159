//! The three parts of a cookie's value, a compact JWS (RFC 7515 §7.1).

use alloc::format;
use alloc::string::String;

use gatepost_scan::base64;

use crate::keyring::KeyId;

/// Returns the encoded header that every cookie signed by key `id` starts with.
///
/// A verifier compares it byte for byte and never parses a header, so the client can choose neither
/// `alg` nor any other member (RFC 8725 §3.1).
pub fn encoded_header(id: &KeyId) -> String {
    // A key id needs no escaping in JSON: see `KeyId`.
    base64::encode(format!(r#"{{"alg":"HS256","kid":"{id}","typ":"gatepost+jwt"}}"#).as_bytes())
}

/// A compact JWS taken apart, nothing of it verified.
pub(crate) struct Parts<'a> {
    /// The encoded header.
    pub(crate) header: &'a [u8],
    /// The encoded payload.
    pub(crate) payload: &'a [u8],
    /// The encoded MAC.
    pub(crate) mac: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Splits at the dots, or returns `None` when there are not exactly two.
    pub(crate) fn split(token: &'a [u8]) -> Option<Self> {
        let first = memchr::memchr(b'.', token)?;
        let second = memchr::memrchr(b'.', token)?;
        // Overlapping when there is one dot.
        let payload = token.get(first + 1..second)?;
        if memchr::memchr(b'.', payload).is_some() {
            return None;
        }
        Some(Self {
            header: token.get(..first)?,
            payload,
            mac: token.get(second + 1..)?,
        })
    }
}
