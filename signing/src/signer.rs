//! Signing claims.

use alloc::string::String;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::token::encoded_header;
use gatepost_session::{
    Audience, Authentic, Claims, KeyRing, MAX_TOKEN_BYTES, Mac, OpenError, Purpose, Verifier,
};

/// Signs claims with the first key of a ring.
#[derive(Clone)]
pub struct Signer {
    encoded_header: String,
    mac: Mac,
    ring: KeyRing,
}

impl Signer {
    /// Makes a signer with the first key of the ring.
    pub fn new(ring: &KeyRing) -> Self {
        let keys = ring.derive(Purpose::Session);
        let key = keys.signing();
        Self {
            encoded_header: encoded_header(key.id()),
            mac: key.mac(),
            ring: ring.clone(),
        }
    }

    /// Returns the cookie value for these claims.
    ///
    /// # Errors
    ///
    /// [`SignError::TooLarge`] when it would not fit into the most chunks: leave groups out and
    /// set [`Claims::grp_more`].
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        let token = self.token(claims)?;
        if token.len() > MAX_TOKEN_BYTES {
            Err(SignError::TooLarge)
        } else {
            Ok(token)
        }
    }

    /// Returns the session that a cookie with these claims would be, also where no cookie has room
    /// for them: for a decision on all that the session store knows.
    ///
    /// The claims are signed and verified like a cookie's, since a verified MAC is the only way to
    /// an [`Authentic`].
    ///
    /// # Errors
    ///
    /// [`SignError::Unusable`] when a verifier would refuse the cookie.
    pub fn vouch_for(&self, claims: &Claims) -> Result<Authentic, SignError> {
        let audience =
            Audience::new(&claims.aud).map_err(|_| SignError::Unusable(OpenError::Audience))?;
        let token = self.token(claims)?;
        Verifier::new(&self.ring, audience)
            .authenticate_own(token.as_bytes())
            .map_err(SignError::Unusable)
    }

    /// Returns the compact JWS (RFC 7515 §7.1) of these claims, of whatever length.
    fn token(&self, claims: &Claims) -> Result<String, SignError> {
        let payload = serde_json::to_vec(claims).map_err(|_| SignError::Unserialisable)?;
        let mut token = self.encoded_header.clone();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let mac = self.mac.compute(&[token.as_bytes()]);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut token);
        Ok(token)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(redacted)")
    }
}

/// Why claims cannot be a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignError {
    /// The cookie would be longer than [`MAX_TOKEN_BYTES`].
    TooLarge,
    /// The claims are not representable in JSON. Texts and numbers always are.
    Unserialisable,
    /// A verifier would refuse the cookie: the issuer or the subject is empty, or the audience is
    /// not an application's name.
    Unusable(OpenError),
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
            Self::Unusable(error) => write!(f, "no verifier would accept these claims: {error}"),
        }
    }
}

impl core::error::Error for SignError {}
