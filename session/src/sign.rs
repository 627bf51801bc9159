//! Making session cookies. Only with the `sign` feature.

use alloc::string::String;
use core::fmt;

use base64::Engine as _;
use hmac::Mac as _;

use crate::claims::Claims;
use crate::keyring::{KeyRing, Purpose};
use crate::token::{BASE64, Mac, encoded_header, keyed_mac};
use crate::verify::{Authentic, MAX_TOKEN_BYTES};

/// Signs claims with the first key of a ring.
#[derive(Clone)]
pub struct Signer {
    encoded_header: String,
    mac: Mac,
}

impl Signer {
    /// A signer with the first key of the ring, or `None` if the ring derives none, which a
    /// parsed [`KeyRing`] always does.
    pub fn new(ring: &KeyRing) -> Option<Self> {
        let keys = ring.derive(Purpose::Session);
        let key = keys.first()?;
        Some(Self {
            encoded_header: encoded_header(key.id()),
            mac: keyed_mac(key)?,
        })
    }

    /// The cookie value for these claims.
    ///
    /// # Errors
    ///
    /// [`SignError::TooLarge`] when it would not fit into the most chunks: leave groups out and
    /// set [`Claims::grp_more`].
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        let payload = serde_json::to_vec(claims).map_err(|_| SignError::Unserialisable)?;
        let mut token = self.encoded_header.clone();
        token.push('.');
        BASE64.encode_string(payload, &mut token);
        let mac = self
            .mac
            .clone()
            .chain_update(token.as_bytes())
            .finalize()
            .into_bytes();
        token.push('.');
        BASE64.encode_string(mac, &mut token);
        if token.len() > MAX_TOKEN_BYTES {
            Err(SignError::TooLarge)
        } else {
            Ok(token)
        }
    }
}

impl Signer {
    /// The session that a cookie with these claims would be, without making the cookie: for
    /// deciding on more than a cookie has room for. Whoever can sign could as well have signed it.
    pub fn vouch_for(&self, claims: Claims) -> Authentic {
        Authentic::new(claims)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(redacted)")
    }
}

/// Why claims could not be made into a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignError {
    /// The cookie would be longer than [`MAX_TOKEN_BYTES`].
    TooLarge,
    /// The claims are not representable in JSON. Texts and numbers always are.
    Unserialisable,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => {
                write!(
                    f,
                    "the session cookie would be larger than {MAX_TOKEN_BYTES} bytes"
                )
            }
            Self::Unserialisable => f.write_str("the claims cannot be written as JSON"),
        }
    }
}

impl core::error::Error for SignError {}
