//! The path of a request, and what servers may make of it and of a method.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use gatepost_scan::plain_path;

use crate::percent;

/// The longest path that can be public, in bytes. Longer ones are never public and are not decoded:
/// the memory for a decision must not grow with an anonymous request.
pub(super) const MAX_PATH_BYTES: usize = 8 * 1024;

/// How surely a rule is meant for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meant {
    /// However a server reads the request, the rule is not meant.
    No,
    /// Some server may read the request as one that the rule is for.
    Possibly,
    /// Every server reads it as one.
    Surely,
}

/// The path of a request, decoded where every server reads it alike.
pub(crate) struct RequestPath<'t>(pub(super) Option<Cow<'t, [u8]>>);

impl<'t> RequestPath<'t> {
    pub(crate) fn of(target: &'t [u8]) -> Self {
        let decoded = || unambiguous_path(target).map(|path| Cow::Owned(path.into_bytes()));
        let plain = plain_path(target).filter(|path| path.len() <= MAX_PATH_BYTES);
        Self(plain.map(Cow::Borrowed).or_else(decoded))
    }
}

impl RequestPath<'_> {
    /// Returns the first character of a clear path, as a set of bits: its last five.
    pub(crate) fn beginning(&self) -> Option<u32> {
        let path = self.0.as_ref()?;
        let first = path.get(1).filter(|byte| byte.is_ascii())?;
        Some(1 << (first & 31))
    }
}

/// Returns the decoded path of a target (path and query, still encoded) if every server reads it
/// alike, else `None`: whatever matches paths in another way has to start from this one.
pub fn unambiguous_path(target: &[u8]) -> Option<String> {
    let path = target.split(|byte| *byte == b'?').next()?;
    if path.len() > MAX_PATH_BYTES {
        return None;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, after @ ..] => {
                let byte = percent::digit(*high)? << 4 | percent::digit(*low)?;
                if byte == b'/' {
                    return None;
                }
                decoded.push(byte);
                after
            }
            [byte, after @ ..] if byte.is_ascii_graphic() => {
                decoded.push(*byte);
                after
            }
            _ => return None,
        };
    }
    String::from_utf8(decoded)
        .ok()
        .filter(|path| is_unambiguous(path))
}

/// Returns whether every server reads a decoded path alike: it is absolute, has no empty segments
/// and none that ends in a dot or a blank, which Windows drops (dot segments are among them), and
/// no character that some server gives a meaning besides itself, such as a second decoding, path
/// parameters, another separator or the end of the path.
pub(super) fn is_unambiguous(path: &str) -> bool {
    let bytes = path.as_bytes();
    let ends_badly = |pair: &[u8]| matches!(pair, [b'/' | b'.' | b' ', b'/']);
    if !matches!(bytes, [b'/', ..])
        || matches!(bytes, [.., b'.' | b' '])
        || bytes.windows(2).any(ends_badly)
    {
        return false;
    }
    !path
        .chars()
        .any(|c| matches!(c, '%' | ';' | '\\' | '?' | '#') || c.is_ascii_control() || is_folded(c))
}

/// Returns whether a server may read a character beyond ASCII as a dot, a separator, a blank,
/// another of the characters above, or not at all: it normalises text (NFKC), maps host names
/// (IDNA), or takes the nearest of a smaller set. Whole blocks where most of it is of that kind.
fn is_folded(c: char) -> bool {
    const FIRST_AND_LAST: [(u32, u32); 21] = [
        (0x80, 0xa0),
        (0xa5, 0xa5),
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x37e, 0x37e),
        (0x61c, 0x61c),
        (0x180b, 0x180f),
        (0x2000, 0x200f),
        (0x2024, 0x202f),
        (0x2044, 0x206f),
        (0x20a9, 0x20a9),
        (0x2100, 0x2106),
        (0x2215, 0x2216),
        (0x2488, 0x249b),
        (0x29f5, 0x29f9),
        (0x3000, 0x3002),
        (0x33c2, 0x33d8),
        (0xfe00, 0xfe6f),
        (0xfeff, 0xffff),
        (0x1f100, 0x1f10a),
        (0xe0000, u32::MAX),
    ];
    let c = u32::from(c);
    let within = |(first, last): &(u32, u32)| (*first..=*last).contains(&c);
    FIRST_AND_LAST.iter().any(within)
}

/// Returns whether a rule for a method is meant by a request with another: an application may
/// answer HEAD by what it has for GET, and some servers write methods in capitals first. A method
/// that the proxy did not say may be any.
pub(crate) fn meant_method(own: &[u8], method: &[u8]) -> Meant {
    if own == method {
        Meant::Surely
    } else if own.eq_ignore_ascii_case(method)
        || method == crate::request::UNKNOWN_METHOD.as_bytes()
        || (own == b"GET" && method.eq_ignore_ascii_case(b"HEAD"))
    {
        Meant::Possibly
    } else {
        Meant::No
    }
}
