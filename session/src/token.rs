//! The three parts of a cookie's value, a compact JWS (RFC 7515 §7.1).

use alloc::format;
use alloc::string::String;

use gatepost_scan::base64;

use crate::keyring::KeyId;
use gatepost_scan::{find, split_once};

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
        let (header, rest) = split_once(b'.', token)?;
        let (payload, mac) = split_once(b'.', rest)?;
        find(b'.', mac).is_none().then_some(Self {
            header,
            payload,
            mac,
        })
    }
}
