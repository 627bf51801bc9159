//! One pattern of paths. Rules that narrow must not be passed by writing a path in a way that only
//! some servers read as the one in the rule, so a pattern may also be [possibly](Meant) that of one.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::fingerprint::Fingerprint;

use super::path::{Meant, is_unambiguous, meant_method};

/// A path with `*`, and a method or none.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) method: Option<Box<[u8]>>,
    /// Its text, without the `*` of a subtree.
    pub(super) literal: Box<[u8]>,
    /// Whether everything below the last segment matches too.
    pub(super) subtree: bool,
    /// Whether the text has no further `*`.
    is_literal: bool,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidPattern> {
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
        if !path.starts_with('/') {
            return invalid("a path must start with `/`");
        }
        if path.bytes().any(|b| matches!(b, b'?' | b'#')) {
            return invalid("only the path is matched: leave out `?` and `#`");
        }
        if !is_unambiguous(path) {
            return invalid(
                "a path with `%`, `;`, `\\`, `//`, dot segments, a dot or blank at a segment's end, \
                 control or wide characters is never public: write it decoded",
            );
        }
        let subtree = path.ends_with("/*");
        let literal = match subtree {
            true => path.strip_suffix('*').unwrap_or(path),
            false => path,
        };
        Ok(Self {
            method: method.map(|method| method.as_bytes().into()),
            subtree,
            literal: literal.as_bytes().into(),
            is_literal: !literal.contains('*'),
        })
    }

    /// Adds it to a fingerprint.
    #[inline(never)]
    pub(super) fn add_to(&self, fingerprint: &mut Fingerprint) {
        fingerprint.add(b'p', self.method.as_deref().unwrap_or_default());
        fingerprint.add(u8::from(self.subtree), &self.literal);
    }

    /// Returns whether this pattern surely matches whatever `other` does. A `*` of the other is a
    /// character that only a `*` of this one matches, which then matches what the other's does.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let (own, others) = (self.segments().count(), other.segments().count());
        let right_length = match (self.subtree, other.subtree) {
            (true, true) => others >= own,
            (true, false) => others > own,
            (false, true) => false,
            (false, false) => others == own,
        };
        right_length
            && (self.method.is_none() || self.method == other.method)
            && self
                .segments()
                .zip(other.segments())
                .all(|(own, other)| segment_matches(own, other, true))
    }

    /// Returns its segments, without the `*` of a subtree.
    pub(super) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let before = match self.subtree {
            true => self.literal.strip_suffix(b"/").unwrap_or(&self.literal),
            false => &self.literal,
        };
        before.split(|byte| *byte == b'/').skip(1)
    }

    #[inline(never)]
    pub(super) fn meant_by(&self, method: &[u8], path: &[u8]) -> Meant {
        let by_method = self
            .method
            .as_ref()
            .map_or(Meant::Surely, |own| meant_method(own, method));
        if self.is_exactly(path) {
            by_method
        } else if self.follows(path, false) {
            by_method.min(Meant::Possibly)
        } else {
            Meant::No
        }
    }

    /// Returns whether the pattern matches a path as it is written.
    pub(super) fn is_exactly(&self, path: &[u8]) -> bool {
        match (self.is_literal, self.subtree) {
            (true, true) => path.starts_with(&self.literal),
            (true, false) => *path == *self.literal,
            (false, _) => self.follows(path, true),
        }
    }

    /// Returns whether the pattern is that of a path: exactly, or as the most lenient server reads
    /// it.
    fn follows(&self, path: &[u8], exactly: bool) -> bool {
        let mut segments = path.split(|byte| *byte == b'/').skip(1);
        for own in self.segments() {
            // An empty one is last, behind a slash that may be missing.
            let matches = match segments.next() {
                Some(segment) if exactly => segment_matches(own, segment, true),
                Some(segment) => may_match(own, segment),
                None => own.is_empty() && !exactly,
            };
            if !matches {
                return false;
            }
        }
        match (segments.next(), self.subtree) {
            (Some(_), true) => true,
            (None, subtree) => !(subtree && exactly),
            // A server may run the file that the pattern names with the rest (RFC 3875 §4.1.5).
            (Some(rest), false) => {
                let empty = rest.is_empty() && segments.next().is_none();
                let is_file = || {
                    self.segments()
                        .last()
                        .is_some_and(|last| last.contains(&b'.'))
                };
                !exactly && (empty || is_file())
            }
        }
    }
}

impl fmt::Display for Pattern {
    /// Writes the text of which the pattern was parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{}=", String::from_utf8_lossy(method))?;
        }
        let end = if self.subtree { "*" } else { "" };
        write!(f, "{}{end}", String::from_utf8_lossy(&self.literal))
    }
}

/// Returns whether some server may take a segment for one of the pattern: as [`reads_as`] says, or
/// on Windows, where `:` names a part of a file, and where files have short names beside their own.
fn may_match(own: &[u8], segment: &[u8]) -> bool {
    let file = segment
        .split(|byte| *byte == b':')
        .next()
        .unwrap_or(segment);
    reads_as(own, segment) || reads_as(own, file) || is_short_for(own, file)
}

/// Returns whether a segment may be the short name of a file (`ADMINI~1.PHP`): it begins as the
/// file's name, of which blanks and dots are left out and others replaced.
fn is_short_for(own: &[u8], segment: &[u8]) -> bool {
    let mut pairs = segment.windows(2);
    let numbered = |pair: &[u8]| matches!(pair, [b'~', digit] if digit.is_ascii_digit());
    let Some(tilde) = pairs.position(numbered) else {
        return false;
    };
    let own = own.iter().filter(|byte| !matches!(byte, b'.' | b' '));
    // Behind the second letter there may be a sum over the name.
    let head = segment.iter().take(tilde.min(2));
    let alike = |(own, short): (&u8, &u8)| {
        *own == b'*' || !own.is_ascii() || *short == b'_' || own.eq_ignore_ascii_case(short)
    };
    let mut beginning = own.zip(head);
    let is_wild = |(own, _): &(&u8, &u8)| **own == b'*';
    beginning
        .by_ref()
        .take_while(|pair| !is_wild(pair))
        .all(alike)
}

/// Returns whether some server may read a segment as one of the pattern.
///
/// Some servers ignore the case of letters. A character beyond ASCII may be read as one of ASCII
/// (the sign for Kelvin is a `k` in lower case), as several, or as none, so only what stands before
/// the first of them and behind the last is compared, as with `*`.
fn reads_as(own: &[u8], segment: &[u8]) -> bool {
    if own.is_ascii() && segment.is_ascii() {
        return segment_matches(own, segment, false);
    }
    // Of a text without any, all has to be there of what the other has for certain.
    let literal = |text: &[u8]| {
        let wild = |byte: &u8| *byte == b'*' || !byte.is_ascii();
        let before = text.iter().position(wild).unwrap_or(usize::MAX);
        let behind = text.iter().rev().position(wild).unwrap_or(usize::MAX);
        (before, behind)
    };
    let (own_before, own_behind) = literal(own);
    let (before, behind) = literal(segment);
    let (before, behind) = (own_before.min(before), own_behind.min(behind));
    match (ends(own, before, behind), ends(segment, before, behind)) {
        (Some((own_begin, own_end)), Some((begin, end))) => {
            own_begin.eq_ignore_ascii_case(begin) && own_end.eq_ignore_ascii_case(end)
        }
        _ => false,
    }
}

/// Returns the first bytes of a text and its last, as many as are asked for; `None` where it has
/// fewer.
fn ends(text: &[u8], first: usize, last: usize) -> Option<(&[u8], &[u8])> {
    let from = text.len().checked_sub(last)?;
    Some((text.get(..first)?, text.get(from..)?))
}

/// Returns whether a segment matches a pattern's segment, in which `*` matches any characters. The
/// time is at worst proportional to the product of the lengths: when a later part does not match,
/// only the last `*` is extended. Unless `exactly`, the case of letters is ignored.
fn segment_matches(mut pattern: &[u8], mut segment: &[u8], exactly: bool) -> bool {
    let mut last_star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, segment) {
            ([b'*', after @ ..], _) => {
                last_star = Some((after, segment));
                pattern = after;
            }
            ([p, after @ ..], [s, rest @ ..])
                if p == s || (!exactly && p.eq_ignore_ascii_case(s)) =>
            {
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
mod tests {
    use alloc::string::String;

    use proptest::prelude::*;

    use gatepost_scan::{begins_otherwise, plain_path};

    use super::super::path::unambiguous_path;
    use super::*;

    #[test]
    fn the_short_cut_does_not_hide_a_short_name_with_a_sum() {
        for (pattern, path) in [
            ("/administrator/*", "/AD4F3C~1/x"),
            ("/administrator.php", "/AD4F3C~1.PHP"),
            ("/internal notes/*", "/INTERN~1/x"),
            ("/a+b/*", "/A_B~1/x"),
        ] {
            let own = Pattern::parse(pattern).expect(pattern);
            assert!(!begins_otherwise(&own.literal, path.as_bytes()), "{path}");
            assert_eq!(
                own.meant_by(b"GET", path.as_bytes()),
                Meant::Possibly,
                "{path}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_plain_path_is_the_one_that_is_decoded(target in "[/.a?%;~-]{0,8}") {
            let target = target.as_bytes();
            if let Some(plain) = plain_path(target) {
                let decoded = unambiguous_path(target).map(String::into_bytes);
                prop_assert_eq!(decoded.as_deref(), Some(plain));
            }
        }

        /// The short cut never hides a path that the pattern may be meant by.
        #[test]
        fn what_surely_differs_is_not_even_possibly_meant(
            pattern in "/[abA*k\u{e9}]{0,3}(/[ab*]{0,2})?",
            path in "/[abAk1\u{212a}\u{e9}]{0,3}(~1)?(/[ab]{0,2})?",
        ) {
            if let Ok(pattern) = Pattern::parse(&pattern)
                && begins_otherwise(&pattern.literal, path.as_bytes())
            {
                prop_assert!(!pattern.follows(path.as_bytes(), false));
                prop_assert!(!pattern.follows(path.as_bytes(), true));
            }
        }

        #[test]
        fn a_literal_pattern_is_compared_as_its_segments_are(
            pattern in "/[ab*]{0,2}(/[ab*]{0,2}){0,2}",
            path in "/[ab]{0,2}(/[ab]{1,2}){0,2}/?",
        ) {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let path = path.as_bytes();
                prop_assert_eq!(pattern.is_exactly(path), pattern.follows(path, true));
            }
        }
    }
}
