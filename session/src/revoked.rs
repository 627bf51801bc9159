//! The list of sessions that were ended before their cookies' windows.
//!
//! The outpost writes it as a file, and whoever verifies cookies looks sessions up in it. The file
//! is made for readers that cannot hold it: lines of one length, sorted, so that a lookup reads a
//! few of them wherever they are. A verifier that has looked a session up need not do so again
//! until the list's generation changes.
//!
//! ```text
//! gatepost-revoked 1 00000000000000000042 0000000002
//! 0f5ff16fa6e3bd3a9ff21e5a1e9ee1c3 00001800000000
//! a3a9c1cbdd2ee9bcb4b3a6c1ff5a3a3e 99999999999999
//! ```
//!
//! A line names what is revoked by the first 128 bits of a SHA-256, and the time before which a
//! cookie must have been made to be refused.

use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest as _, Sha256};

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

/// How many lines a lookup reads at once.
const BLOCK_RECORDS: u64 = 64;

/// Refuses a session's cookies whenever they were made.
#[cfg(feature = "sign")]
const ALWAYS: u64 = 99_999_999_999_999;

/// What is revoked: one session, one subject's sessions, or everyone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevokedKey([u8; KEY_CHARS]);

impl RevokedKey {
    /// One session.
    pub fn session(id: &SessionId) -> Self {
        Self::hash(&[b"sid", id.as_str().as_bytes()])
    }

    /// All sessions of a subject of one provider.
    pub fn subject(issuer: &str, subject: &str) -> Self {
        Self::hash(&[b"sub", issuer.as_bytes(), subject.as_bytes()])
    }

    /// All sessions.
    pub fn everyone() -> Self {
        Self::hash(&[b"all"])
    }

    fn hash(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // With its length in front no two lists of parts run into the same bytes.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let mut key = [0; KEY_CHARS];
        for (pair, byte) in key.chunks_exact_mut(2).zip(hash.finalize()) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0x0f)]);
        }
        Self(key)
    }

    /// Where the key stands in a sorted list of `count` random ones, more or less.
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
    /// The length of the whole file in bytes: one of another length is cut short, or is another's.
    pub fn file_bytes(&self) -> u64 {
        let bytes = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let records = self.count.saturating_mul(bytes(RECORD_BYTES));
        bytes(HEADER_BYTES).saturating_add(records)
    }

    /// Reads the first line.
    ///
    /// # Errors
    ///
    /// [`InvalidList`] when it is not one of this version.
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

/// A file that is not a list of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidList;

impl fmt::Display for InvalidList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a whole list of revoked sessions of version 1")
    }
}

impl core::error::Error for InvalidList {}

/// Whether a list says that the cookie with these claims is revoked.
///
/// `read` gives a number of bytes from an offset of the file, or its own error; it is asked a few
/// times for some kilobytes at most. Where the file is cut short or damaged, each look-up answers
/// for itself: what the part that is there says holds, and what it cannot say is an error.
///
/// # Errors
///
/// `read`'s, and [`InvalidList`] converted when the lines that would say it are missing or are
/// none.
pub fn is_revoked<E: From<InvalidList>>(
    claims: &Claims,
    header: Header,
    mut read: impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<bool, E> {
    let keys = [
        RevokedKey::session(&claims.sid),
        RevokedKey::subject(&claims.iss, &claims.sub),
        RevokedKey::everyone(),
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

/// Looks a key up among `count` sorted lines: around where it should stand if the keys are evenly
/// spread, and by halves if that does not lead there.
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

/// The key of a line, if it has a line's form: what a broken write left between the lines is none.
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

/// A list to write. Only whoever issues sessions has one.
#[cfg(feature = "sign")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedList {
    records: alloc::collections::BTreeMap<RevokedKey, u64>,
}

#[cfg(feature = "sign")]
impl RevokedList {
    /// A list of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses a session's cookies, whenever they were made.
    pub fn add_session(&mut self, id: &SessionId) {
        self.records.insert(RevokedKey::session(id), ALWAYS);
    }

    /// Refuses what `key` stands for where the cookie was made at `at` or before.
    pub fn add_until(&mut self, key: RevokedKey, at: NumericDate) {
        let before = at.as_seconds().saturating_add(1).min(ALWAYS);
        let record = self.records.entry(key).or_default();
        *record = before.max(*record);
    }

    /// The file's content.
    pub fn to_bytes(&self, generation: u64) -> Vec<u8> {
        use alloc::format;
        let mut file = MAGIC.to_vec();
        let count = self.records.len();
        file.extend_from_slice(format!("{generation:020} {count:010}\n").as_bytes());
        for (key, before) in &self.records {
            file.extend_from_slice(&key.0);
            file.extend_from_slice(format!(" {before:014}\n").as_bytes());
        }
        file
    }
}

#[cfg(all(test, feature = "sign"))]
#[allow(clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use std::vec;

    fn claims(sid: u64, sub: &str, iat: u64) -> Claims {
        let mut id = [0; 24];
        id[..8].copy_from_slice(&sid.to_be_bytes());
        let iat = NumericDate::from_seconds(iat);
        Claims {
            iss: "https://id.example.com".into(),
            sub: sub.into(),
            aud: "wiki".into(),
            sid: SessionId::from_random(id),
            iat,
            exp: iat.plus_seconds(900),
            rnw: iat.plus_seconds(600),
            nbf: None,
            preferred_username: None,
            name: None,
            email: None,
            email_verified: None,
            groups: vec![],
            grp_more: false,
            acr: None,
            amr: vec![],
            auth_time: None,
            ext: Default::default(),
        }
    }

    /// Looks a cookie up in a file, and counts how often it is read.
    fn look_up(file: &[u8], claims: &Claims) -> (Result<bool, InvalidList>, usize) {
        let mut reads = 0;
        let header = Header::parse(&file[..HEADER_BYTES.min(file.len())]);
        let found = header.and_then(|header| {
            is_revoked(claims, header, |offset, length| {
                reads += 1;
                let start = usize::try_from(offset).expect("small");
                Ok(file
                    .get(start..file.len().min(start + length))
                    .unwrap_or_default()
                    .to_vec())
            })
        });
        (found, reads)
    }

    #[test]
    fn each_kind_of_revocation_refuses_what_it_names_and_nothing_else() {
        let mut list = RevokedList::new();
        list.add_session(&claims(1, "", 0).sid);
        let at = NumericDate::from_seconds(1_000);
        list.add_until(RevokedKey::subject("https://id.example.com", "bob"), at);
        let file = list.to_bytes(7);
        for (case, claims, revoked) in [
            ("the session", claims(1, "alice", 5_000), true),
            ("another session", claims(2, "alice", 5_000), false),
            ("the subject, before", claims(2, "bob", 1_000), true),
            (
                "the subject, signed in since",
                claims(2, "bob", 1_001),
                false,
            ),
        ] {
            assert_eq!(look_up(&file, &claims).0, Ok(revoked), "{case}");
        }
        list.add_until(RevokedKey::everyone(), at);
        assert_eq!(
            look_up(&list.to_bytes(8), &claims(3, "carol", 999)).0,
            Ok(true)
        );
        assert_eq!(
            look_up(&list.to_bytes(8), &claims(3, "carol", 2_000)).0,
            Ok(false)
        );
        let nothing = RevokedList::new().to_bytes(1);
        assert_eq!(look_up(&nothing, &claims(1, "bob", 0)), (Ok(false), 0));
    }

    #[test]
    fn every_entry_of_a_long_list_is_found_with_few_reads() {
        let mut list = RevokedList::new();
        for sid in 0..10_000 {
            list.add_session(&claims(sid, "", 0).sid);
        }
        let file = list.to_bytes(1);
        let mut most = 0;
        for sid in 0..20_000 {
            let (found, reads) = look_up(&file, &claims(sid, "alice", 0));
            assert_eq!(found, Ok(sid < 10_000), "{sid}");
            most = most.max(reads);
        }
        assert!(most <= 24, "{most} reads for three keys");
    }

    /// Row B8: wherever a file is cut, whatever still stands in it is found, and what may have
    /// stood in the rest is an error.
    #[test]
    fn each_look_up_in_a_cut_file_answers_for_itself() {
        let mut list = RevokedList::new();
        for sid in 0..1_000 {
            list.add_session(&claims(sid, "", 0).sid);
        }
        let file = list.to_bytes(1);
        let header = Header::parse(&file[..HEADER_BYTES]).expect("a header");
        assert_eq!(
            header.file_bytes(),
            u64::try_from(file.len()).expect("small")
        );
        for left in [0, 1, 2, 63, 64, 65, 100, 500, 998, 999] {
            // In the middle of a line as well as between two.
            for torn in [0, 1, RECORD_BYTES - 1] {
                let cut = &file[..HEADER_BYTES + left * RECORD_BYTES + torn];
                let readable = &cut[HEADER_BYTES..HEADER_BYTES + left * RECORD_BYTES];
                let keys: Vec<&[u8]> = readable.chunks(RECORD_BYTES).collect();
                for sid in 0..1_200 {
                    let person = claims(sid, "alice", 0);
                    let key = RevokedKey::session(&person.sid);
                    let stands = keys.iter().any(|line| line.starts_with(&key.0));
                    let expected = match sid {
                        ..1_000 if stands => Ok(true),
                        ..1_000 => Err(InvalidList),
                        // Not revoked: known where all three keys would stand in what is left.
                        _ => {
                            let last = keys.last().copied().unwrap_or_default();
                            let wanted = [
                                key,
                                RevokedKey::subject(&person.iss, &person.sub),
                                RevokedKey::everyone(),
                            ];
                            let known = |key: &RevokedKey| &key.0[..] < last;
                            if wanted.iter().all(known) {
                                Ok(false)
                            } else {
                                Err(InvalidList)
                            }
                        }
                    };
                    let found = look_up(cut, &person).0;
                    assert_eq!(found, expected, "{sid} of {left} lines and {torn} bytes");
                }
            }
        }
    }

    #[test]
    fn a_broken_file_is_an_error_and_no_answer() {
        let mut list = RevokedList::new();
        for sid in 0..100 {
            list.add_session(&claims(sid, "", 0).sid);
        }
        let file = list.to_bytes(1);
        let person = claims(5, "alice", 0);
        for (case, broken) in [
            ("empty", vec![]),
            (
                "other version",
                b"gatepost-revoked 2 00000000000000000001 0000000000\n".to_vec(),
            ),
            ("no lines", file[..HEADER_BYTES].to_vec()),
            ("half a header", file[..HEADER_BYTES - 3].to_vec()),
            ("nothing but blanks behind the header", {
                let mut blank = file.clone();
                blank[HEADER_BYTES..].fill(b' ');
                blank
            }),
            ("zeros behind the header", {
                let mut zeros = file.clone();
                zeros[HEADER_BYTES..].fill(0);
                zeros
            }),
        ] {
            assert_eq!(look_up(&broken, &person).0, Err(InvalidList), "{case}");
        }
        assert!(InvalidList.to_string().contains("version 1"));
    }
}
