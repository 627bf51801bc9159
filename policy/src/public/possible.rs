//! Whether a path may be meant by a pattern, for rules that narrow: those must not be passed by
//! writing a path in a way that only some servers read as the one in the rule.

use alloc::borrow::Cow;

use gatepost_session::{begins_otherwise, plain_path};

use super::{MAX_PATH_BYTES, Pattern, PublicPaths, segment_matches, unambiguous_path};

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
pub(crate) struct RequestPath<'t>(Option<Cow<'t, [u8]>>);

impl<'t> RequestPath<'t> {
    pub(crate) fn of(target: &'t [u8]) -> Self {
        let decoded = || unambiguous_path(target).map(|path| Cow::Owned(path.into_bytes()));
        let plain = plain_path(target).filter(|path| path.len() <= MAX_PATH_BYTES);
        Self(plain.map(Cow::Borrowed).or_else(decoded))
    }
}

impl RequestPath<'_> {
    /// Returns the first character of a clear path, as [`PublicPaths::beginnings`] counts them.
    pub(crate) fn beginning(&self) -> Option<u32> {
        let path = self.0.as_ref()?;
        let first = path.get(1).filter(|byte| byte.is_ascii())?;
        Some(1 << (first & 31))
    }
}

impl PublicPaths {
    /// Returns the characters with which the paths begin, without regard to case, as a set of bits:
    /// for each its last five bits. Every bit where some path may begin with any.
    pub(crate) fn beginnings(&self) -> u32 {
        let beginning = |own: &Pattern| match own.literal.get(1) {
            Some(first) if first.is_ascii_alphanumeric() => 1 << (first & 31),
            _ => u32::MAX,
        };
        self.patterns
            .iter()
            .map(beginning)
            .fold(0, |all, own| all | own)
    }

    /// Returns whether these are the paths of a request. Servers differ about the case of letters,
    /// and whether a slash at the end counts, so a path that differs in these only is possibly
    /// meant; one that has several meanings is possibly any.
    pub(crate) fn meant_by(&self, method: &[u8], path: &RequestPath<'_>) -> Meant {
        let Some(path) = &path.0 else {
            return Meant::Possibly;
        };
        let mut meant = Meant::No;
        for pattern in &self.patterns {
            if !begins_otherwise(&pattern.literal, path) {
                meant = meant.max(pattern.meant_by(method, path));
            }
        }
        meant
    }
}

impl PublicPaths {
    /// Returns whether these surely are the paths of a request.
    pub(crate) fn surely_meant_by(&self, method: &[u8], path: &RequestPath<'_>) -> bool {
        let Some(path) = &path.0 else {
            return false;
        };
        let mut patterns = self.patterns.iter();
        patterns.any(|own| {
            own.method.as_ref().is_none_or(|own| **own == *method) && own.is_exactly(path)
        })
    }
}

impl Pattern {
    #[inline(never)]
    fn meant_by(&self, method: &[u8], path: &[u8]) -> Meant {
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
    fn is_exactly(&self, path: &[u8]) -> bool {
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
        for own in &self.segments {
            // An empty one is last, behind a slash that may be missing.
            let matches = match segments.next() {
                Some(segment) if exactly => segment_matches(own, segment),
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
                let last = self.segments.last().map_or(&b""[..], |last| last);
                let empty = rest.is_empty() && segments.next().is_none();
                !exactly && (empty || last.contains(&b'.'))
            }
        }
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
        return match own.contains(&b'*') {
            true => segment_matches(&own.to_ascii_lowercase(), &segment.to_ascii_lowercase()),
            false => own.eq_ignore_ascii_case(segment),
        };
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
    let begin = |text: &[u8]| text.get(..before).map(<[u8]>::to_ascii_lowercase);
    let end = |text: &[u8]| {
        let from = text.len().checked_sub(behind)?;
        text.get(from..).map(<[u8]>::to_ascii_lowercase)
    };
    begin(own) == begin(segment) && end(own) == end(segment)
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

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use proptest::prelude::*;

    use super::*;

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
            path in "/[abAk\u{212a}\u{e9}]{0,3}(/[ab]{0,2})?",
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
