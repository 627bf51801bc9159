//! The encoding of the parts of a JWS (RFC 7515 §2).

use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Base64url without padding (RFC 4648 §5), refusing bits set beyond the last byte, so that no
/// two texts decode to the same bytes.
pub(crate) static BASE64: base64::engine::GeneralPurpose = URL_SAFE_NO_PAD;
