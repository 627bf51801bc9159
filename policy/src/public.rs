//! Paths that need no session.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use gatepost_scan::begins_otherwise;

use crate::fingerprint::Fingerprint;

mod path;
mod pattern;

use self::pattern::Pattern;

pub use self::path::unambiguous_path;
pub(crate) use self::path::{Meant, RequestPath, meant_method};
pub use self::pattern::InvalidPattern;

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
        let segments = pattern.segments().chain(below);
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

    /// Returns the text of each pattern.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.patterns.iter().map(Pattern::to_string)
    }

    /// Returns whether they are all paths.
    pub fn are_all(&self) -> bool {
        let is_all =
            |own: &Pattern| own.method.is_none() && own.segments().next().is_none() && own.subtree;
        self.patterns.iter().any(is_all)
    }

    /// Returns the number of patterns.
    pub(crate) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Returns whether some pattern is for one method.
    pub(crate) fn ask_for_methods(&self) -> bool {
        self.patterns.iter().any(|own| own.method.is_some())
    }

    /// Adds them to the fingerprint of a rule.
    pub(crate) fn add_to(&self, fingerprint: &mut Fingerprint) {
        for pattern in &self.patterns {
            pattern.add_to(fingerprint);
        }
    }

    /// Returns the fingerprint of each pattern, with commas between.
    pub(crate) fn fingerprints(&self) -> String {
        let mut all = String::new();
        for pattern in &self.patterns {
            let mut own = Fingerprint::new();
            pattern.add_to(&mut own);
            own.append_to(&mut all);
        }
        all
    }

    /// Returns the methods that patterns name in front.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &[u8]> {
        self.patterns.iter().filter_map(|own| own.method.as_deref())
    }
}

#[cfg(test)]
mod tests;
