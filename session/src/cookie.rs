//! Session cookies in HTTP: finding them in `Cookie` header lines and taking them out.
//!
//! One grammar, that of RFC 6265 §4.2.1 read strictly: a line is split at `;`, space and tab around
//! a pair are dropped, the name ends at the first `=`, names are compared byte for byte, and a
//! value is read unchanged. There are no quoted strings and no `$Path`.
//!
//! When several values claim to be the session, they are tried in this order, and the first that is
//! in force counts: whole cookies in the order of the request, the first [`MAX_WHOLE`] of them,
//! then the chunks put together. Chunks count only when they run from 0 without a hole and no chunk
//! is repeated.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use gatepost_scan::find;

/// The longest value put into one cookie, in bytes. Browsers keep cookies of 4,096 bytes counting
/// name and attributes (RFC 6265 §6.1).
pub const CHUNK_BYTES: usize = 3_800;

/// The most chunks a value is split into.
pub const MAX_CHUNKS: usize = 5;

/// The most whole cookies of one name that are tried.
pub const MAX_WHOLE: usize = 4;

/// The name of the session cookie; chunks append `.0`, `.1` and so on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CookieName(Box<str>);

/// A text that cannot be a cookie's name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCookieName;

impl fmt::Display for InvalidCookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a cookie name: expected 1 to 64 characters of A-Z a-z 0-9 - and _")
    }
}

impl core::error::Error for InvalidCookieName {}

impl CookieName {
    /// Parses a name: 1 to 64 letters, digits, `-` or `_`. Fewer than RFC 6265 allows: a dot would
    /// collide with chunks, and some programs rewrite the rest.
    ///
    /// # Errors
    ///
    /// [`InvalidCookieName`].
    pub fn new(name: &str) -> Result<Self, InvalidCookieName> {
        let accepted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(accepted) {
            return Err(InvalidCookieName);
        }
        Ok(Self(name.into()))
    }

    /// Returns the default name: `__Host-gatepost` for one host and `__Secure-gatepost` for a
    /// domain where the browser's connection is TLS, `gatepost` where it is not. With the prefixes
    /// a browser itself refuses the cookie from other hosts and over plain http (RFC 6265bis §4.1.3).
    pub fn default_for(https: bool, whole_domain: bool) -> Self {
        Self(
            match (https, whole_domain) {
                (true, false) => "__Host-gatepost",
                (true, true) => "__Secure-gatepost",
                (false, _) => "gatepost",
            }
            .into(),
        )
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns which part of the session a cookie called `name` is, if any.
    fn part(&self, name: &[u8]) -> Option<Part> {
        let own = self.0.as_bytes();
        if name.first() != own.first() {
            return None;
        }
        match name.strip_prefix(own)? {
            [] => Some(Part::Whole),
            [b'.', digit @ b'0'..=b'9'] => {
                let index = usize::from(digit - b'0');
                Some(if index < MAX_CHUNKS {
                    Part::Chunk(index)
                } else {
                    Part::Stray
                })
            }
            [b'.', ..] => Some(Part::Stray),
            _ => None,
        }
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of the session that a cookie is.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    Chunk(usize),
    /// A name like a chunk's that Gatepost never uses. Its value is not read, and is removed like the
    /// rest.
    Stray,
}

/// The values in a request that may be the session. None of them is verified.
#[derive(Clone, Debug, Default)]
pub struct Candidates<'a> {
    whole: [Option<&'a [u8]>; MAX_WHOLE],
    chunks: [Option<&'a [u8]>; MAX_CHUNKS],
    chunks_ambiguous: bool,
    any: bool,
}

impl<'a> Candidates<'a> {
    /// Looks through all `Cookie` header lines of a request, in order.
    pub fn find(lines: impl IntoIterator<Item = &'a [u8]>, name: &CookieName) -> Self {
        let mut found = Self::default();
        for (pair_name, value) in lines.into_iter().flat_map(pairs) {
            found.add(name.part(pair_name), value);
        }
        found
    }

    /// Adds a cookie, if it is a part of the session.
    fn add(&mut self, part: Option<Part>, value: &'a [u8]) {
        self.any |= part.is_some();
        match part {
            Some(Part::Whole) => {
                if let Some(free) = self.whole.iter_mut().find(|slot| slot.is_none()) {
                    *free = Some(value);
                }
            }
            Some(Part::Chunk(index)) => {
                if let Some(slot) = self.chunks.get_mut(index) {
                    self.chunks_ambiguous |= slot.replace(value).is_some();
                }
            }
            Some(Part::Stray) | None => {}
        }
    }

    /// Returns whether the request carries any cookie named like the session or a chunk of it.
    pub fn any(&self) -> bool {
        self.any
    }

    /// Returns the values to try, in the order of precedence that the module's text gives.
    pub fn values(&self) -> impl Iterator<Item = Cow<'a, [u8]>> {
        self.whole
            .iter()
            .flatten()
            .map(|value| Cow::Borrowed(*value))
            .chain(self.joined())
    }

    /// Returns the chunks put together, if they are complete and unambiguous.
    fn joined(&self) -> Option<Cow<'a, [u8]>> {
        if self.chunks_ambiguous || !self.has_chunk(0) {
            return None;
        }
        let mut ended = false;
        for chunk in &self.chunks {
            match chunk {
                // A chunk is bounded by what we write, so that a request decides nothing about memory.
                Some(chunk) if ended || chunk.len() > CHUNK_BYTES => return None,
                Some(_) => {}
                None => ended = true,
            }
        }
        Some(Cow::Owned(
            self.chunks.map(Option::unwrap_or_default).concat(),
        ))
    }

    /// Returns whether a whole cookie is there.
    pub fn has_whole(&self) -> bool {
        self.whole.iter().any(Option::is_some)
    }

    /// Returns whether chunk `index` is there.
    pub fn has_chunk(&self, index: usize) -> bool {
        self.chunks.get(index).is_some_and(Option::is_some)
    }
}

/// The cookies of a request that an application does not get.
///
/// Those that are Gatepost's by their name: `gatepost`, alone or before a `.` or `-`, behind
/// `__Host-`, `__Secure-` or nothing. So an application below a cookie domain does not get the
/// domain's session either, nor any part of one, nor the cookies of a sign-in under way.
#[derive(Clone, Copy, Debug)]
pub enum Hide<'n> {
    /// Gatepost's cookies, and the session of this name.
    All(&'n CookieName),
    /// Gatepost's cookies, but not the session of this name: the application verifies it itself.
    AllBut(&'n CookieName),
    /// The session of this name and nothing else.
    Session(&'n CookieName),
}

impl Hide<'_> {
    fn takes(self, name: &[u8]) -> bool {
        self.takes_part(name, self.own().part(name).is_some())
    }

    /// Returns the same for a name of which is known whether it is a part of the session.
    fn takes_part(self, name: &[u8], is_part: bool) -> bool {
        match self {
            Self::All(_) => is_part || is_gateposts(name),
            Self::AllBut(_) => !is_part && is_gateposts(name),
            Self::Session(_) => is_part,
        }
    }

    fn own(&self) -> &CookieName {
        match self {
            Self::All(own) | Self::AllBut(own) | Self::Session(own) => own,
        }
    }

    /// Returns whether a `Cookie` header line has any of them.
    pub fn any_in(self, line: &[u8]) -> bool {
        pairs(line).any(|(name, _)| self.takes(name))
    }
}

fn is_gateposts(name: &[u8]) -> bool {
    // Most names are of other cookies, and end here.
    if !matches!(name.first(), Some(b'_' | b'g')) {
        return false;
    }
    let prefixes = [&b"__Host-"[..], b"__Secure-"];
    let bare = prefixes
        .iter()
        .find_map(|prefix| name.strip_prefix(*prefix));
    let rest = bare.unwrap_or(name).strip_prefix(b"gatepost");
    matches!(rest, Some([] | [b'.' | b'-', ..]))
}

/// Returns a `Cookie` header line without the cookies to hide; every other cookie keeps its bytes.
/// `None` when no cookie is left.
pub fn strip(line: &[u8], hide: Hide<'_>) -> Option<Vec<u8>> {
    let mut rest = Vec::with_capacity(line.len());
    strip_onto(&mut rest, line, |name, _| hide.takes(name));
    (!rest.is_empty()).then_some(rest)
}

/// The cookies of a request that the application gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// All of them.
    AsSent,
    /// One line for all lines (RFC 9113 §8.2.3), without the cookies to hide.
    Only(Vec<u8>),
    /// None: there were no others.
    Nothing,
}

/// How much room the other cookies of a request have before it has to grow.
const USUAL_REST_BYTES: usize = 128;

/// Looks through all `Cookie` header lines of a request once: as [`Candidates::find`] for the session
/// of which `hide` has the name, and as [`strip`].
pub fn separate<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    hide: Hide<'_>,
) -> (Candidates<'a>, Rest) {
    let mut found = Candidates::default();
    let mut hidden = false;
    let mut rest = Vec::with_capacity(USUAL_REST_BYTES);
    for line in lines {
        let start = rest.len();
        if start > 0 {
            rest.extend_from_slice(b"; ");
        }
        let empty = rest.len();
        strip_onto(&mut rest, line, |pair_name, value| {
            let part = hide.own().part(pair_name);
            found.add(part, value);
            let hides = hide.takes_part(pair_name, part.is_some());
            hidden |= hides;
            hides
        });
        if rest.len() == empty {
            rest.truncate(start);
        }
    }
    let rest = if !hidden {
        Rest::AsSent
    } else if rest.is_empty() {
        Rest::Nothing
    } else {
        Rest::Only(rest)
    };
    (found, rest)
}

/// Appends the cookies of a line that `hides` does not hide, or nothing where none has any bytes.
fn strip_onto<'a>(
    rest: &mut Vec<u8>,
    line: &'a [u8],
    mut hides: impl FnMut(&'a [u8], &'a [u8]) -> bool,
) {
    let start = rest.len();
    for segment in segments(line) {
        let (name, value) = split_pair(segment);
        if hides(name, value) {
            continue;
        }
        if rest.len() == start {
            // The blanks of the grammar and no others, or a name that is not ours could become ours.
            rest.extend_from_slice(trim_leading_blanks(segment));
        } else {
            rest.push(b';');
            rest.extend_from_slice(segment);
        }
    }
    if rest
        .get(start..)
        .unwrap_or_default()
        .trim_ascii()
        .is_empty()
    {
        rest.truncate(start);
    }
}

/// Returns the name-value pairs of a `Cookie` header line.
fn pairs(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    segments(line).map(split_pair)
}

/// Returns the parts of a line between its semicolons.
fn segments(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    core::iter::from_fn(move || {
        let line = rest?;
        let end = find(b';', line);
        rest = end.and_then(|end| line.get(end + 1..));
        line.get(..end.unwrap_or(line.len()))
    })
}

/// Splits a segment into name and value. A segment without `=` is a value without a name, as
/// browsers send nameless cookies, so it is never Gatepost's.
fn split_pair(segment: &[u8]) -> (&[u8], &[u8]) {
    let trimmed = trim_blanks(segment);
    match trimmed.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let (name, rest) = trimmed.split_at(at);
            (
                trim_blanks(name),
                trim_blanks(rest.get(1..).unwrap_or_default()),
            )
        }
        None => (&[], trimmed),
    }
}

/// Drops spaces and tabs at both ends.
fn trim_blanks(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_leading_blanks(bytes);
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn trim_leading_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests;
