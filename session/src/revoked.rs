//! The list of sessions that were ended before their cookies' windows.
//!
//! The outpost writes it as a file, and verifiers look sessions up in it. The file is made for
//! readers that cannot hold it: lines of one length, sorted, so that a lookup reads a
//! few of them wherever they are. A verifier that has looked a session up need not do so again
//! until the list's generation changes.
//!
//! ```text
//! gatepost-revoked 1 00000000000000000042 0000000002
//! 0f5ff16fa6e3bd3a9ff21e5a1e9ee1c3 00001800000000
//! a3a9c1cbdd2ee9bcb4b3a6c1ff5a3a3e 99999999999999
//! ```
//!
//! A line names the revoked sessions by the first 128 bits of a SHA-256, and the time before which
//! a cookie must have been made to be refused.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use gatepost_scan::sha256::{HASH_BYTES, Sha256};

use crate::claims::{Claims, NumericDate, SessionId};

const MAGIC: &[u8] = b"gatepost-revoked 1 ";
const GENERATION_DIGITS: usize = 20;
const COUNT_DIGITS: usize = 10;
const TIME_DIGITS: usize = 14;
const KEY_CHARS: usize = 32;

/// The length of the first line in bytes, with its end.
pub const HEADER_BYTES: usize = MAGIC.len() + GENERATION_DIGITS + 1 + COUNT_DIGITS + 1;

/// The length of every further line in bytes, with its end.
pub const RECORD_BYTES: usize = KEY_CHARS + 1 + TIME_DIGITS + 1;

/// Refuses cookies whenever they were made.
pub const ALWAYS: NumericDate = NumericDate::from_seconds(99_999_999_999_999);

/// How many lines a look-up reads together.
const BLOCK_RECORDS: u64 = 64;

/// The hashed name of one session, of one subject's sessions, or of all sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevokedKey([u8; KEY_CHARS]);

impl RevokedKey {
    /// Returns the key of one session.
    pub fn session(id: &SessionId) -> Self {
        Self::hash(&[b"sid", id.expose().as_bytes()])
    }

    /// Returns the key of all sessions of a subject of one provider.
    pub fn subject(issuer: &str, subject: &str) -> Self {
        Self::hash(&[b"sub", issuer.as_bytes(), subject.as_bytes()])
    }

    /// Returns the key of all sessions.
    pub fn all_sessions() -> Self {
        Self::hash(&[b"all"])
    }

    /// Returns the key as in a line: hexadecimal digits.
    pub fn as_bytes(&self) -> &[u8; KEY_CHARS] {
        &self.0
    }

    /// Writes the line that refuses a cookie which was made before this time.
    pub fn to_line(self, before: NumericDate) -> String {
        let key = self.0.iter().copied().map(char::from);
        let mut line: String = key.collect();
        let before = before.min(ALWAYS).as_seconds();
        line.push_str(&format!(" {before:0TIME_DIGITS$}\n"));
        line
    }

    fn hash(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::default();
        for part in parts {
            // With its length in front no two lists of parts run into the same bytes.
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hash.update(&length.to_be_bytes());
            hash.update(part);
        }
        let mut digest = [0; HASH_BYTES];
        hash.finish_into(&mut digest);
        let mut key = [0; KEY_CHARS];
        for (pair, byte) in key.chunks_exact_mut(2).zip(digest) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0x0f)]);
        }
        Self(key)
    }

    /// Returns the approximate place of the key in a sorted list of `count` random ones.
    fn likely_place(&self, count: u64) -> u64 {
        let leading = self.0.iter().take(8).fold(0_u64, |number, digit| {
            number << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or(0))
        });
        leading.saturating_mul(count) >> 32
    }
}

fn hex_digit(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'a' + value - 10
    }
}

/// The first line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Changes with every change of the list.
    pub generation: u64,
    /// The number of lines after the first.
    pub count: u64,
}

impl Header {
    /// Writes the first line.
    pub fn to_line(self) -> String {
        let Self { generation, count } = self;
        let mut line: String = MAGIC.iter().copied().map(char::from).collect();
        line.push_str(&format!(
            "{generation:0GENERATION_DIGITS$} {count:0COUNT_DIGITS$}\n"
        ));
        line
    }

    /// Returns the length of the whole file in bytes: a file of another length is cut short, or is
    /// not this list.
    pub fn file_bytes(&self) -> u64 {
        let bytes = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let records = self.count.saturating_mul(bytes(RECORD_BYTES));
        bytes(HEADER_BYTES).saturating_add(records)
    }

    /// Reads the first line.
    ///
    /// # Errors
    ///
    /// [`InvalidList`] for any other form or version.
    pub fn parse(line: &[u8]) -> Result<Self, InvalidList> {
        let numbers = line.strip_prefix(MAGIC).ok_or(InvalidList)?;
        let (generation, rest) = numbers
            .split_at_checked(GENERATION_DIGITS)
            .ok_or(InvalidList)?;
        let rest = rest.strip_prefix(b" ").ok_or(InvalidList)?;
        let (count, rest) = rest.split_at_checked(COUNT_DIGITS).ok_or(InvalidList)?;
        if rest.first() != Some(&b'\n') {
            return Err(InvalidList);
        }
        Ok(Self {
            generation: number(generation)?,
            count: number(count)?,
        })
    }
}

/// A file that is not a valid list of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidList;

impl fmt::Display for InvalidList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a whole list of revoked sessions of version 1")
    }
}

impl core::error::Error for InvalidList {}

/// Returns whether a list says that the cookie with these claims is revoked.
///
/// `read` gives a number of bytes from an offset of the file, or its own error; it is asked a few
/// times for some kilobytes at most. Where the file is cut short or damaged, each look-up is
/// independent: an entry in the readable part counts, and a missing part is an error.
///
/// # Errors
///
/// `read`'s, and [`InvalidList`] converted when the lines that would say it are missing or invalid.
pub fn is_revoked<E: From<InvalidList>>(
    claims: &Claims,
    header: Header,
    mut read: impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<bool, E> {
    let keys = [
        RevokedKey::session(&claims.sid),
        RevokedKey::subject(&claims.iss, &claims.sub),
        RevokedKey::all_sessions(),
    ];
    let mut unknown = None;
    for key in keys {
        match find(&key, header.count, &mut read) {
            Ok(Some(before)) if claims.iat < before => return Ok(true),
            Ok(_) => {}
            // Another of the keys may be where the file can be read.
            Err(error) => unknown = Some(error),
        }
    }
    unknown.map_or(Ok(false), Err)
}

/// Looks a key up among `count` sorted lines: around its place if the keys are evenly spread, and
/// by halves if that does not find it.
fn find<E: From<InvalidList>>(
    key: &RevokedKey,
    count: u64,
    read: &mut impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<Option<NumericDate>, E> {
    let (mut low, mut high) = (0, count);
    let mut middle = key.likely_place(count);
    // Whether the line at `high` is missing, and not just past the key's place.
    let mut cut = false;
    while low < high {
        let start = middle
            .saturating_sub(BLOCK_RECORDS / 2)
            .clamp(low, high - 1);
        let records = BLOCK_RECORDS.min(high - start);
        let record_bytes = u64::try_from(RECORD_BYTES).map_err(|_| InvalidList)?;
        let offset = u64::try_from(HEADER_BYTES).map_err(|_| InvalidList)?;
        let offset = offset.saturating_add(start.saturating_mul(record_bytes));
        let length = usize::try_from(records).map_err(|_| InvalidList)?;
        let block = read(offset, length.saturating_mul(RECORD_BYTES))?;
        let mut lines = block.chunks_exact(RECORD_BYTES).peekable();
        match lines.peek() {
            None => (high, cut) = (start, true),
            Some(first) if key_of(first)? > &key.0 => (high, cut) = (start, false),
            Some(_) => {
                let mut passed = 0;
                for line in lines {
                    match key_of(line)?.cmp(&key.0) {
                        core::cmp::Ordering::Equal => return Ok(Some(time_of(line)?)),
                        // Past its place, so it is not there.
                        core::cmp::Ordering::Greater => return Ok(None),
                        core::cmp::Ordering::Less => passed += 1,
                    }
                }
                low = start + passed;
            }
        }
        middle = low + (high - low) / 2;
    }
    if cut {
        Err(InvalidList.into())
    } else {
        Ok(None)
    }
}

/// Returns the key of a line, if it has a line's form.
fn key_of(line: &[u8]) -> Result<&[u8; KEY_CHARS], InvalidList> {
    match line.split_first_chunk() {
        Some((key, [b' ', .., b'\n'])) => Ok(key),
        _ => Err(InvalidList),
    }
}

fn time_of(line: &[u8]) -> Result<NumericDate, InvalidList> {
    let digits = line
        .get(KEY_CHARS + 1..KEY_CHARS + 1 + TIME_DIGITS)
        .ok_or(InvalidList)?;
    number(digits).map(NumericDate::from_seconds)
}

fn number(digits: &[u8]) -> Result<u64, InvalidList> {
    let text = core::str::from_utf8(digits).map_err(|_| InvalidList)?;
    text.parse().map_err(|_| InvalidList)
}
