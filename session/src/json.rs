//! Reading JSON of any form (RFC 8259), piece by piece.
//!
//! Not in `gatepost-scan`, which the plugin compiles for speed: this would take 3 KB more there, and
//! reads what is rare.

use alloc::borrow::Cow;
use alloc::string::String;

use gatepost_scan::plain_length;

/// How deep lists and sections may nest.
const MAX_DEPTH: usize = 128;

/// A place in a JSON text.
///
/// The caller asks for one piece after the other and keeps what it needs, so that neither a tree of
/// values nor a table of expected types is made: what a JSON library takes for both is more than a
/// tenth of the plugin. Every function returns `None` where the text is not JSON or not what was
/// asked for; the reader is then near the mistake and of no further use.
#[derive(Clone, Debug)]
pub struct JsonReader<'j> {
    json: &'j str,
    at: usize,
    depth: usize,
    /// Whether a list or a section was just opened, so that no comma precedes the next item.
    opened: bool,
}

/// A value, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'j> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number as it is written.
    Number(&'j str),
    /// A string.
    Text(Cow<'j, str>),
    /// The beginning of an array: [`JsonReader::entry`] goes on.
    List,
    /// The beginning of an object: [`JsonReader::key`] goes on.
    Section,
}

impl<'j> JsonReader<'j> {
    /// Begins with the first byte.
    pub fn new(json: &'j str) -> Self {
        Self {
            json,
            at: 0,
            depth: 0,
            opened: false,
        }
    }

    /// Returns how many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Returns how many lists and sections are open.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Reads a value, or opens it.
    #[inline(never)]
    pub fn value(&mut self) -> Option<Piece<'j>> {
        self.skip_blanks();
        self.opened = false;
        match self.peek()? {
            b'"' => Some(Piece::Text(self.string()?)),
            b'[' => self.open(Piece::List),
            b'{' => self.open(Piece::Section),
            b'-' | b'0'..=b'9' => Some(Piece::Number(self.number()?)),
            _ => {
                const WORDS: [(&str, Option<bool>); 3] =
                    [("null", None), ("true", Some(true)), ("false", Some(false))];
                let rest = self.rest();
                let mut words = WORDS.iter();
                let (word, flag) = words.find(|(word, _)| rest.starts_with(word.as_bytes()))?;
                self.at += word.len();
                Some(flag.map_or(Piece::Null, Piece::Flag))
            }
        }
    }

    /// Returns whether the open list has another entry, which is read next; closes it if not.
    #[inline(never)]
    pub fn entry(&mut self) -> Option<bool> {
        self.is_more_before(b']')
    }

    /// Reads the next key of the open section, whose value is read next; closes the section and
    /// returns `Some(None)` after the last one.
    #[inline(never)]
    pub fn key(&mut self) -> Option<Option<Cow<'j, str>>> {
        if !self.is_more_before(b'}')? {
            return Some(None);
        }
        self.skip_blanks();
        let key = self.string()?;
        self.skip_blanks();
        self.take(b':').then_some(Some(key))
    }

    /// Reads a value of any type without keeping it.
    #[inline(never)]
    pub fn skip(&mut self) -> Option<()> {
        match self.value()? {
            Piece::List => {
                while self.entry()? {
                    self.skip()?;
                }
            }
            Piece::Section => {
                while self.key()?.is_some() {
                    self.skip()?;
                }
            }
            Piece::Null | Piece::Flag(_) | Piece::Number(_) | Piece::Text(_) => {}
        }
        Some(())
    }

    /// Returns whether nothing but blanks is left.
    pub fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest().is_empty()
    }

    fn rest(&self) -> &'j [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline(never)]
    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    /// Skips a byte, if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    #[inline(never)]
    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn open(&mut self, piece: Piece<'j>) -> Option<Piece<'j>> {
        self.at += 1;
        self.depth += 1;
        self.opened = true;
        (self.depth <= MAX_DEPTH).then_some(piece)
    }

    fn is_more_before(&mut self, end: u8) -> Option<bool> {
        self.skip_blanks();
        if self.take(end) {
            self.depth = self.depth.saturating_sub(1);
            self.opened = false;
            return Some(false);
        }
        (core::mem::take(&mut self.opened) || self.take(b',')).then_some(true)
    }

    #[inline(never)]
    fn string(&mut self) -> Option<Cow<'j, str>> {
        if !self.take(b'"') {
            return None;
        }
        // The text up to the last escape.
        let mut own = String::new();
        loop {
            let start = self.at;
            self.at += plain_length(self.rest());
            let plain = self.json.get(start..self.at)?;
            match self.next()? {
                b'"' if own.is_empty() => return Some(Cow::Borrowed(plain)),
                b'"' => {
                    own.push_str(plain);
                    return Some(Cow::Owned(own));
                }
                b'\\' => {
                    own.push_str(plain);
                    own.push(self.escaped()?);
                }
                _ => return None,
            }
        }
    }

    /// Reads what follows a backslash.
    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            own @ (b'"' | b'\\' | b'/') => char::from(own),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.code_unit()?;
                let is_first_half = (0xd800..0xdc00).contains(&unit);
                if is_first_half && self.take(b'\\') && self.take(b'u') {
                    let second = self.code_unit()?.checked_sub(0xdc00)?;
                    if second >= 0x400 {
                        return None;
                    }
                    char::from_u32(0x10000 + ((unit - 0xd800) << 10) + second)?
                } else {
                    // None for half a pair.
                    char::from_u32(unit)?
                }
            }
            _ => return None,
        })
    }

    #[inline(never)]
    fn code_unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit << 4 | char::from(self.next()?).to_digit(16)?;
        }
        Some(unit)
    }

    #[inline(never)]
    fn number(&mut self) -> Option<&'j str> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        self.json.get(start..self.at)
    }

    /// Skips digits, of which there is one at least.
    #[inline(never)]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Reads a value into the tree that `serde_json` makes; numbers are left to it.
    fn tree(json: &mut JsonReader<'_>) -> Option<Value> {
        Some(match json.value()? {
            Piece::Null => Value::Null,
            Piece::Flag(flag) => Value::Bool(flag),
            Piece::Number(number) => serde_json::from_str(number).expect("a number"),
            Piece::Text(text) => Value::String(text.into_owned()),
            Piece::List => {
                let mut list = Vec::new();
                while json.entry()? {
                    list.push(tree(json)?);
                }
                Value::Array(list)
            }
            Piece::Section => {
                let mut section = serde_json::Map::new();
                while let Some(key) = json.key()? {
                    section.insert(key.into_owned(), tree(json)?);
                }
                Value::Object(section)
            }
        })
    }

    fn read(json: &str) -> Option<Value> {
        let mut reader = JsonReader::new(json);
        let value = tree(&mut reader);
        value.filter(|_| reader.is_at_end())
    }

    /// Returns what `serde_json` reads. A number that no float holds is another matter than syntax:
    /// `None` where there is one.
    fn by_library(json: &str) -> Option<Option<Value>> {
        match serde_json::from_str(json) {
            Ok(value) => Some(Some(value)),
            Err(error) if error.to_string().contains("out of range") => None,
            Err(_) => Some(None),
        }
    }

    fn skipped(json: &str) -> bool {
        let mut reader = JsonReader::new(json);
        reader.skip().is_some() && reader.is_at_end()
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            // Whole eighths: floats that every reader reads alike.
            any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
            ".{0,12}|[\"\\\\/\u{0}-\u{1f}\u{1f600}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((".{0,6}", inner), 0..6)
                    .prop_map(|pairs| pairs.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_json_is_read_as_a_library_reads_it(value in any_json(), pretty: bool) {
            let json = if pretty {
                serde_json::to_string_pretty(&value)
            } else {
                serde_json::to_string(&value)
            };
            let json = json.expect("JSON");
            prop_assert_eq!(read(&json), Some(value));
            prop_assert!(skipped(&json));
        }

        #[test]
        fn what_no_library_reads_is_refused(
            json in r#"[\[\]{},:" \\"]{0,8}|[-+0-9.eE]{1,6}|[a-z]{3,5}|\[[0-9,null ]{0,9}\]|\{("[ab]?"[:,]? ?[0-9]?,?){0,3}\}|"([a\\u/bfnrtx0-9dDcC]|\\u[dD][89abcdABC][0-9]{2}){0,9}""#,
        ) {
            if let Some(expected) = by_library(&json) {
                prop_assert_eq!(read(&json), expected.clone());
                prop_assert_eq!(skipped(&json), expected.is_some());
            }
        }

        #[test]
        fn a_changed_byte_is_read_as_a_library_reads_it(
            value in any_json(),
            at in any::<prop::sample::Index>(),
            to in prop::sample::select(&b"\"\\,:[]{}0e.-+tn u\x00\x1f\t\n"[..]),
        ) {
            let mut json = serde_json::to_vec(&value).expect("JSON");
            let at = at.index(json.len());
            if let Some(byte) = json.get_mut(at) {
                *byte = to;
            }
            let json = String::from_utf8(json).unwrap_or_default();
            if let Some(expected) = by_library(&json) {
                prop_assert_eq!(read(&json), expected);
            }
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(skipped(&nested(MAX_DEPTH)));
        assert!(!skipped(&nested(MAX_DEPTH + 1)));
        assert!(!skipped(&"[".repeat(100_000)));
    }

    #[test]
    fn the_depth_is_that_of_what_is_open() {
        let mut reader = JsonReader::new("[{}, [1]]");
        let mut depths = Vec::new();
        while let Some(piece) = reader.value() {
            depths.push(reader.depth());
            match piece {
                Piece::Section => assert_eq!(reader.key(), Some(None)),
                Piece::Number(_) => break,
                _ => {}
            }
            reader.entry();
        }
        assert_eq!(depths, [1, 2, 2, 2]);
    }
}
