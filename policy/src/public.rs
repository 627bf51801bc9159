//! Paths that need no session.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::percent;

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
        let Some(path) = unambiguous_path(target) else {
            return false;
        };
        // The path begins with a slash, so the first of the parts is empty.
        let segments: Vec<&[u8]> = path.split('/').skip(1).map(str::as_bytes).collect();
        self.patterns
            .iter()
            .any(|pattern| pattern.matches(method, &segments))
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
        Ok(Self {
            method: method.map(|method| method.as_bytes().into()),
            segments,
            subtree,
        })
    }

    fn matches(&self, method: &[u8], path: &[&[u8]]) -> bool {
        let right_length = if self.subtree {
            path.len() > self.segments.len()
        } else {
            path.len() == self.segments.len()
        };
        right_length
            && self.method.as_ref().is_none_or(|own| **own == *method)
            && self
                .segments
                .iter()
                .zip(path)
                .all(|(own, segment)| segment_matches(own, segment))
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
mod tests {
    use super::*;
    use alloc::string::ToString;
    use std::format;

    fn public(patterns: &[&str], method: &str, target: &str) -> bool {
        PublicPaths::parse(patterns.iter().copied())
            .expect("patterns")
            .contains(method.as_bytes(), target.as_bytes())
    }

    #[test]
    fn an_example_is_public_itself() {
        for (patterns, expected) in [
            (&[][..], None),
            (&["/public/*"], Some(("GET", "/public/x"))),
            (&["/*"], Some(("GET", "/x"))),
            (&["/"], Some(("GET", "/"))),
            (&["/img/*.png"], Some(("GET", "/img/x.png"))),
            (&["POST=/hook"], Some(("POST", "/hook"))),
            (&["POST=/hook", "GET=/feed"], Some(("GET", "/feed"))),
        ] {
            let public = PublicPaths::parse(patterns.iter().copied()).expect("patterns");
            let example = public.example();
            let shown = example
                .as_ref()
                .map(|(method, path)| (*method, path.as_str()));
            assert_eq!(shown, expected);
            if let Some((method, path)) = example {
                assert!(
                    public.contains(method.as_bytes(), path.as_bytes()),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn patterns_match_what_their_text_says() {
        let cases = [
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz?verbose=1", true),
            ("/healthz", "/healthz/", false),
            ("/healthz", "/HEALTHZ", false),
            ("/", "/", true),
            ("/", "/x", false),
            ("/*", "/any/thing", true),
            ("/static/*", "/static/app.css", true),
            ("/static/*", "/static/a/b/c", true),
            ("/static/*", "/static/", true),
            ("/static/*", "/static", false),
            ("/static/*", "/staticx", false),
            ("/users/*/avatar", "/users/7/avatar", true),
            ("/users/*/avatar", "/users/7/8/avatar", false),
            ("/users/*/avatar", "/users//avatar", false),
            ("/img/*.png", "/img/a.b.png", true),
            ("/img/*.png", "/img/a/b.png", false),
            ("/img/a*b*c", "/img/aXbYbZc", true),
            ("/img/a*b*c", "/img/aXbYbZ", false),
            ("/a b", "/a%20b", true),
            ("/straße/*", "/stra%C3%9Fe/1", true),
            ("/api/*/status", "/api/private?path=/status", false),
        ];
        for (pattern, target, expected) in cases {
            assert_eq!(
                public(&[pattern], "GET", target),
                expected,
                "{pattern} {target}"
            );
        }
    }

    #[test]
    fn a_method_in_front_limits_the_pattern_to_it() {
        for (method, expected) in [
            ("GET", true),
            ("HEAD", false),
            ("POST", false),
            ("get", false),
        ] {
            assert_eq!(
                public(&["GET=/hook"], method, "/hook"),
                expected,
                "{method}"
            );
        }
        assert!(
            public(&["/a=b"], "GET", "/a=b"),
            "an equal sign in a path is no method"
        );
    }

    #[test]
    fn a_path_that_servers_read_differently_is_never_public() {
        // Origins: CVE-2025-32431, -47952, -66490, CVE-2026-41059, CVE-2021-32637 and their kin.
        for target in [
            "/public/../admin",
            "/public/./../admin",
            "/public/%2e%2e/admin",
            "/public/.%2E/admin",
            "/public/..%2fadmin",
            "/public%2f..%2fadmin",
            "/public/..%5cadmin",
            "/public/%5c..%5cadmin",
            "/public/%2e%2e%2fadmin",
            "/public/%252e%252e/admin",
            "/public/%25%32%66..",
            "/public/..;/admin",
            "/public;x=/../admin",
            "/public/x;/../../admin",
            "/public/x;jsessionid=1",
            "/public/x%3b",
            "/public/x%00/../../admin",
            "/public/%00",
            "/public/x%3f",
            "/public/secret%23/bar",
            "/public/secret#/bar",
            "//public/x",
            "/public//x",
            "/public//../admin",
            "/public/%c0%ae%c0%ae/admin",
            "/public/%u002e",
            "/public/\\..\\admin",
            "/public/é",
            "/public/ x",
            "/public/..%20/admin",
            "/public/..%20",
            "/public/.../admin",
            "/public/.%20./admin",
            "/public/%20../admin",
            "/public/x./admin",
            "/public/x%20/admin",
            "/public/x.",
            "/public/%20",
            "/public/..%09/admin",
            "/public/%EF%BC%8E%EF%BC%8E/admin",
            "/public/%E2%80%A4%E2%80%A4/admin",
            "/public/%E2%80%A5/admin",
            "/public/%E3%80%82%E3%80%82/admin",
            "/public/%EF%BD%A1%EF%BD%A1/admin",
            "/public/..%EF%BC%8Fadmin",
            "/public/..%E2%88%95admin",
            "/public/..%E2%81%84admin",
            "/public/..%EF%BC%BCadmin",
            "/public/..%E2%A7%B5admin",
            "/public/..%C2%A5admin",
            "/public/..%EF%BC%9B/admin",
            "/public/..%CD%BE/admin",
            "/public/..%C2%A0/admin",
            "/public/.%E2%80%8B./admin",
            "/public/.%C2%AD./admin",
            "/public/..%EF%BB%BF/admin",
            "/public/\u{7f}",
            "/public/%0d%0a",
            "/public/%C2%85",
            "/public/%",
            "/public/%2",
            "/public/%zz",
            "/public/%+1",
            "/public/.",
            "/public/..",
            "http://evil.example/public/x",
            "public/x",
            "*",
            "",
            "?/public/x",
        ] {
            assert!(!public(&["/public/*", "/*"], "GET", target), "{target}");
        }
    }

    /// The characters whose compatibility form (NFKC or NFKD of Unicode 15) is a blank or holds one
    /// of `.`, `/`, `\`, `%`, `;`, `?` and `#`.
    #[test]
    fn no_character_becomes_another_that_counts() {
        for folded in [
            '\u{a0}'..='\u{a0}',
            '\u{37e}'..='\u{37e}',
            '\u{2000}'..='\u{200a}',
            '\u{2024}'..='\u{2026}',
            '\u{202f}'..='\u{202f}',
            '\u{2047}'..='\u{2049}',
            '\u{205f}'..='\u{205f}',
            '\u{2100}'..='\u{2101}',
            '\u{2105}'..='\u{2106}',
            '\u{2488}'..='\u{249b}',
            '\u{3000}'..='\u{3000}',
            '\u{33c2}'..='\u{33c2}',
            '\u{33c7}'..='\u{33c7}',
            '\u{33d8}'..='\u{33d8}',
            '\u{fe14}'..='\u{fe14}',
            '\u{fe16}'..='\u{fe16}',
            '\u{fe19}'..='\u{fe19}',
            '\u{fe30}'..='\u{fe30}',
            '\u{fe52}'..='\u{fe6a}',
            '\u{ff03}'..='\u{ff3c}',
            '\u{1f100}'..='\u{1f100}',
        ] {
            for character in folded {
                let target: String = format!("/public/{character}")
                    .bytes()
                    .map(|byte| format!("%{byte:02x}"))
                    .collect();
                let target = target.replace("%2f", "/");
                assert!(!public(&["/public/*"], "GET", &target), "{character:?}");
            }
        }
        for kept in [
            "/public/Jörg – “Größe” 日本語.html",
            "/public/.well-known/x",
            "/public/a.b c",
        ] {
            let target: String = kept.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let target = target.replace("%2f", "/");
            assert!(public(&["/public/*"], "GET", &target), "{kept}");
        }
    }

    #[test]
    fn a_pattern_that_could_never_match_is_refused() {
        for pattern in [
            "",
            "x",
            "*",
            "/a?b",
            "/a#b",
            "/a//b",
            "/a/../b",
            "/a;b",
            "/a%20b",
            "get=/x",
            "/a./b",
            "/a /b",
            "/a\u{ff0e}b",
        ] {
            let error = PublicPaths::parse([pattern]).expect_err(pattern);
            assert!(
                error.to_string().starts_with(&format!("`{pattern}`: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_huge_path_is_decided() {
        let target = format!("/{}", "a/".repeat(50_000));
        assert!(!public(
            &["/a*a*a*a*b", "/*/*/x", "/users/*"],
            "GET",
            &target
        ));
        for length in [MAX_PATH_BYTES - 1, 100_000] {
            let segment = format!("/{}", "a".repeat(length));
            assert!(!public(&["/*a*a*a*a*b"], "GET", &segment), "{length}");
            let taken = public(&["/*"], "GET", &segment);
            assert_eq!(taken, length < MAX_PATH_BYTES, "{length}");
        }
    }
}
