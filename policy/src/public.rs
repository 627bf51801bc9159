//! Paths that need no session.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::percent;

mod covering;
mod possible;

pub(crate) use possible::{Meant, RequestPath, meant_method};

/// The longest path that can be public, in bytes. Longer ones are never public and are not decoded:
/// the memory for a decision must not grow with an anonymous request.
const MAX_PATH_BYTES: usize = 8 * 1024;

/// The paths of an application that are open to every client.
///
/// A pattern is a path, compared exactly and with its case. `*` as the last segment matches
/// everything below (`/static/*` matches `/static/` and `/static/a/b`, not `/static`); elsewhere
/// `*` matches any characters within its segment (`/users/*/avatar`, `/img/*.png`). With `METHOD=`
/// in front (`GET=/hook`) the pattern applies to that method only.
///
/// Only a path with one meaning can match. Servers disagree about encoded slashes, dot segments,
/// empty segments, segments that end in a dot or a blank, `;` parameters, wide dots and slashes,
/// and invalid escapes, so a path that has any of them is never public, whatever the pattern. Nor
/// is one of more than 8 KiB.
#[derive(Clone, Debug, Default)]
pub struct PublicPaths {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    method: Option<Box<[u8]>>,
    segments: Vec<Box<[u8]>>,
    /// Whether everything below the last segment matches too.
    subtree: bool,
    /// Its text, without the `*` of a subtree.
    literal: Box<[u8]>,
    /// Whether that text has no further `*`.
    is_literal: bool,
}

impl PublicPaths {
    /// Parses patterns.
    ///
    /// # Errors
    ///
    /// The first pattern that could never match, and why.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidPattern> {
        let mut parsed = Vec::new();
        for pattern in patterns {
            parsed.push(Pattern::parse(pattern)?);
        }
        Ok(Self { patterns: parsed })
    }

    /// Returns whether there is no public path at all.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns whether these patterns surely match whatever `others` match: each of the others lies
    /// within one of these.
    pub fn covers(&self, others: &Self) -> bool {
        let covered = |other| self.patterns.iter().any(|own| own.covers(other));
        others.patterns.iter().all(covered)
    }

    /// Returns a method and a path that are public, where any are. One for `GET` comes first.
    pub fn example(&self) -> Option<(&str, String)> {
        let method = |pattern: &Pattern| pattern.method.as_deref().unwrap_or(b"GET") == b"GET";
        let by_get = self.patterns.iter().find(|pattern| method(pattern));
        let pattern = by_get.or(self.patterns.first())?;
        let below = pattern.subtree.then_some(&b"x"[..]);
        let segments = pattern.segments.iter().map(AsRef::as_ref).chain(below);
        let mut path = String::new();
        for segment in segments {
            path.push('/');
            path.push_str(&core::str::from_utf8(segment).ok()?.replace('*', "x"));
        }
        let method = pattern.method.as_deref().unwrap_or(b"GET");
        Some((core::str::from_utf8(method).ok()?, path))
    }

    /// Returns whether a request of this method and target (path and query, still encoded) is
    /// public.
    pub fn contains(&self, method: &[u8], target: &[u8]) -> bool {
        self.surely_meant_by(method, &RequestPath::of(target))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = |reason| {
            Err(InvalidPattern {
                pattern: text.into(),
                reason,
            })
        };
        let (method, path) = match text.split_once('=') {
            Some((method, path)) if !method.starts_with('/') => (Some(method), path),
            _ => (None, text),
        };
        if let Some(method) = method
            && (method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'))
        {
            return invalid("the method before `=` must be in capitals, like `GET=/hook`");
        }
        let Some(below_root) = path.strip_prefix('/') else {
            return invalid("a path must start with `/`");
        };
        if path.contains(['?', '#']) {
            return invalid("only the path is matched: leave out `?` and `#`");
        }
        if !is_unambiguous(path) {
            return invalid(
                "a path with `%`, `;`, `\\`, `//`, dot segments, a dot or blank at a segment's end, \
                 control or wide characters is never public: write it decoded",
            );
        }
        let mut segments: Vec<Box<[u8]>> = below_root
            .split('/')
            .map(|segment| segment.as_bytes().into())
            .collect();
        let subtree = segments.pop_if(|last| **last == *b"*").is_some();
        let literal = match subtree {
            true => path.strip_suffix('*').unwrap_or(path),
            false => path,
        };
        Ok(Self {
            method: method.map(|method| method.as_bytes().into()),
            segments,
            subtree,
            literal: literal.as_bytes().into(),
            is_literal: !literal.contains('*'),
        })
    }

    /// Returns whether this pattern surely matches whatever `other` does. A `*` of the other is a
    /// character that only a `*` of this one matches, which then matches what the other's does.
    fn covers(&self, other: &Self) -> bool {
        let (own, others) = (self.segments.len(), other.segments.len());
        let right_length = match (self.subtree, other.subtree) {
            (true, true) => others >= own,
            (true, false) => others > own,
            (false, true) => false,
            (false, false) => others == own,
        };
        right_length
            && (self.method.is_none() || self.method == other.method)
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|(own, other)| segment_matches(own, other))
    }
}

/// Returns whether a segment matches a pattern's segment, in which `*` matches any characters. The
/// time is at worst proportional to the product of the lengths: when a later part does not match,
/// only the last `*` is extended.
fn segment_matches(mut pattern: &[u8], mut segment: &[u8]) -> bool {
    let mut last_star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, segment) {
            ([b'*', after @ ..], _) => {
                last_star = Some((after, segment));
                pattern = after;
            }
            ([p, after @ ..], [s, rest @ ..]) if p == s => {
                pattern = after;
                segment = rest;
            }
            ([], []) => return true,
            _ => match last_star {
                Some((after, [_, rest @ ..])) => {
                    last_star = Some((after, rest));
                    pattern = after;
                    segment = rest;
                }
                _ => return false,
            },
        }
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
fn is_unambiguous(path: &str) -> bool {
    let Some(below_root) = path.strip_prefix('/') else {
        return false;
    };
    let mut segments = below_root.split('/').peekable();
    while let Some(segment) = segments.next() {
        let trailing = segments.peek().is_none();
        if segment.ends_with(['.', ' ']) || (segment.is_empty() && !trailing) {
            return false;
        }
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

/// A public path that could never match anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPattern {
    /// The pattern as written.
    pub pattern: String,
    reason: &'static str,
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.pattern, self.reason)
    }
}

impl core::error::Error for InvalidPattern {}

#[cfg(test)]
mod tests;
