//! Percent-encoding (RFC 3986 §2.1).

use alloc::string::String;
use alloc::vec::Vec;

/// Appends bytes with everything but unreserved characters percent-encoded (RFC 3986 §2.3).
pub(crate) fn push_encoded(url: &mut String, bytes: &[u8]) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(*byte));
        } else {
            url.push('%');
            for digit in [byte >> 4, byte & 0x0f] {
                let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                url.push(digit.to_ascii_uppercase());
            }
        }
    }
}

/// Returns the text that [`push_encoded`] made this of; `None` for anything that it does not make.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next()?)? << 4) | digit(bytes.next()?)?,
            byte => byte,
        });
    }
    let decoded = String::from_utf8(decoded).ok()?;
    let mut again = String::new();
    push_encoded(&mut again, decoded.as_bytes());
    (again == text).then_some(decoded)
}

/// Returns the value of a hexadecimal digit, in either case.
pub(crate) fn digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
