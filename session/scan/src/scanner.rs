//! Reading JSON in the one form in which a program writes it.

use crate::TextList;
use crate::words::{plain_length, quotes, same_words};

/// A place in a JSON text that has no blanks between its tokens and no escapes in its strings.
///
/// It gives up on any other text. What it reads, every JSON reader reads in the same way.
#[derive(Clone, Debug)]
pub struct Scanner<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> Scanner<'j> {
    /// Begins with the first byte.
    #[inline(never)]
    pub fn new(json: &'j [u8]) -> Option<Self> {
        Some(Self {
            json: simdutf8::basic::from_utf8(json).ok()?,
            at: 0,
        })
    }

    /// Returns the rest that is still to be read.
    fn rest(&self) -> &'j [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Returns whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// Skips a literal, if it is next.
    #[inline(never)]
    pub fn skip(&mut self, literal: &str) -> bool {
        let end = self.at + literal.len();
        match self.json.as_bytes().get(self.at..end) {
            Some(next) if same_words(literal.as_bytes(), next) => {
                self.at = end;
                true
            }
            _ => false,
        }
    }

    /// Reads a string (RFC 8259 §7).
    #[inline(never)]
    pub fn text(&mut self) -> Option<&'j str> {
        let [b'"', text @ ..] = self.rest() else {
            return None;
        };
        let length = plain_length(text);
        if text.get(length) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        self.at = start + length + 1;
        self.json.get(start..start + length)
    }

    /// Reads a whole number of at most 16 digits, without leading zeros (RFC 8259 §6).
    #[inline(never)]
    pub fn number(&mut self) -> Option<u64> {
        const MAX_DIGITS: usize = 16;
        let rest = self.rest();
        let (mut number, mut count) = (0_u64, 0);
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            if count == MAX_DIGITS {
                return None;
            }
            number = number * 10 + u64::from(digit);
            count += 1;
        }
        if count == 0 || (count > 1 && rest.first() == Some(&b'0')) {
            return None;
        }
        self.at += count;
        Some(number)
    }

    /// Reads a list of strings, of which there is one at least.
    #[inline(never)]
    pub fn texts(&mut self) -> Option<TextList> {
        let [b'[', list @ ..] = self.rest() else {
            return None;
        };
        // Little follows a long list. Each text has three more bytes around it.
        let count = quotes(list) / 2;
        let mut texts = TextList::with_capacity(count, list.len().saturating_sub(3 * count));
        let mut at = self.at + 1;
        let mut rest = list;
        loop {
            let [b'"', text @ ..] = rest else {
                return None;
            };
            let length = plain_length(text);
            let start = at + 1;
            let [b'"', next, behind @ ..] = text.get(length..)? else {
                return None;
            };
            texts.push(self.json.get(start..start + length)?);
            at = start + length + 2;
            rest = behind;
            match next {
                b',' => {}
                b']' => {
                    self.at = at;
                    texts.shrink();
                    return Some(texts);
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_read_is_what_a_json_reader_reads(json in "[\\[\"][a-z,\"\\]\\\\ 0-9]{0,12}|[0-9]{0,18}") {
            let mut scanner = Scanner::new(json.as_bytes()).expect("UTF-8");
            if let Some(text) = scanner.text().filter(|_| scanner.is_at_end()) {
                prop_assert_eq!(serde_json::from_str(&json).ok(), Some(alloc::string::String::from(text)));
            }
            let mut scanner = Scanner::new(json.as_bytes()).expect("UTF-8");
            if let Some(number) = scanner.number().filter(|_| scanner.is_at_end()) {
                prop_assert_eq!(serde_json::from_str(&json).ok(), Some(number));
            }
            let mut scanner = Scanner::new(json.as_bytes()).expect("UTF-8");
            if let Some(texts) = scanner.texts().filter(|_| scanner.is_at_end()) {
                let read: Option<alloc::vec::Vec<alloc::string::String>> = serde_json::from_str(&json).ok();
                prop_assert_eq!(read, Some(texts.into()));
            }
        }
    }
}
