//! Several texts in one piece of memory.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Serialize, Serializer};

use crate::words::{same_words, visible_without};

/// Stands behind each text. Any visible character does that no header takes for a separator.
const GAP: u8 = b'.';

/// From which length on a text is worth a check of its own: see [`TextList::join`].
const LONG_BYTES: usize = 128;

/// Texts in their order, held one after the other in one allocation: a person may be in hundreds
/// of groups, and a verifier reads all of them for each new cookie.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TextList {
    /// Each text with a [`GAP`] behind it.
    joined: String,
    /// Where the gaps are.
    ends: Vec<usize>,
    /// Whether one of the texts is empty.
    has_empty: bool,
}

impl TextList {
    /// Makes an empty list with room for so many texts of so many bytes together.
    pub fn with_capacity(texts: usize, bytes: usize) -> Self {
        Self {
            joined: String::with_capacity(bytes + texts),
            ends: Vec::with_capacity(texts),
            has_empty: false,
        }
    }

    /// Adds a text.
    // In this crate, so that it is compiled for speed.
    #[inline(never)]
    pub fn push(&mut self, text: &str) {
        self.has_empty |= text.is_empty();
        self.joined.push_str(text);
        self.ends.push(self.joined.len());
        self.joined.push(char::from(GAP));
    }

    /// Gives back the room that no text takes, where it is enough to be worth the move.
    #[inline(never)]
    pub fn shrink(&mut self) {
        let is_much = |capacity: usize, taken: usize| capacity > taken + taken / 4 + 48;
        if is_much(self.joined.capacity(), self.joined.len()) {
            self.joined.shrink_to_fit();
        }
        if is_much(
            self.ends.capacity() * size_of::<usize>(),
            size_of_val(&*self.ends),
        ) {
            self.ends.shrink_to_fit();
        }
    }

    /// Returns the texts.
    pub fn iter(&self) -> TextListIter<'_> {
        TextListIter {
            joined: &self.joined,
            start: 0,
            ends: self.ends.iter(),
        }
    }

    /// Returns the number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns how many bytes of memory the texts take.
    pub fn bytes(&self) -> usize {
        self.joined.len() + self.ends.len() * size_of::<usize>()
    }

    /// Returns whether one of the texts is this one.
    #[inline(never)]
    pub fn contains(&self, text: &str) -> bool {
        let mut start = 0;
        for end in &self.ends {
            if *end - start == text.len() {
                let own = self.joined.as_bytes().get(start..*end);
                if own.is_some_and(|own| same_words(own, text.as_bytes())) {
                    return true;
                }
            }
            start = *end + 1;
        }
        false
    }

    /// Returns the texts as one, with an ASCII character between them.
    #[inline(never)]
    pub fn join(&self, separator: u8) -> String {
        let mut all = self.joined.clone().into_bytes();
        all.pop();
        for end in &self.ends {
            // The last gap is gone already.
            if let Some(gap) = all.get_mut(*end) {
                *gap = separator & 0x7f;
            }
        }
        // One ASCII character in the place of another: UTF-8 as before. Of a long text a quicker
        // check with a copy behind it costs less.
        if all.len() < LONG_BYTES {
            String::from_utf8(all).unwrap_or_default()
        } else {
            let checked = simdutf8::basic::from_utf8(&all);
            checked.map(String::from).unwrap_or_default()
        }
    }

    /// Returns whether every text consists of visible ASCII characters other than `unwanted`, and
    /// of one at least; `false` too where a list with texts is asked about a `.`, which stands between
    /// them.
    #[inline(never)]
    pub fn is_visible_without(&self, unwanted: u8) -> bool {
        !self.has_empty && visible_without(self.joined.as_bytes(), unwanted)
    }

    /// Keeps only the texts of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        *self = self.iter().filter(|text| keep(text)).collect();
    }
}

/// The texts of a [`TextList`].
#[derive(Clone, Debug)]
pub struct TextListIter<'l> {
    joined: &'l str,
    /// Where the next text starts.
    start: usize,
    ends: core::slice::Iter<'l, usize>,
}

impl<'l> Iterator for TextListIter<'l> {
    type Item = &'l str;

    fn next(&mut self) -> Option<&'l str> {
        let end = *self.ends.next()?;
        let text = self.joined.get(self.start..end)?;
        self.start = end + 1;
        Some(text)
    }
}

impl<'l> IntoIterator for &'l TextList {
    type Item = &'l str;
    type IntoIter = TextListIter<'l>;

    fn into_iter(self) -> TextListIter<'l> {
        self.iter()
    }
}

impl<S: AsRef<str>> FromIterator<S> for TextList {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut list = Self::default();
        for text in texts {
            list.push(text.as_ref());
        }
        list
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for TextList {
    fn from(texts: [S; N]) -> Self {
        texts.into_iter().collect()
    }
}

impl From<TextList> for Vec<String> {
    fn from(list: TextList) -> Self {
        list.iter().map(String::from).collect()
    }
}

impl fmt::Debug for TextList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl Serialize for TextList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_list_is_what_a_vector_of_texts_is(
            texts in prop::collection::vec(".{0,4}", 0..6),
            separator in prop_oneof![Just(b'|'), Just(b','), Just(GAP), Just(b'\0')],
        ) {
            let list: TextList = texts.iter().collect();
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), texts.iter().collect::<Vec<_>>());
            prop_assert_eq!(list.len(), texts.len());
            prop_assert_eq!(list.is_empty(), texts.is_empty());
            prop_assert_eq!(serde_json::to_vec(&list).ok(), serde_json::to_vec(&texts).ok());
            for text in &texts {
                prop_assert!(list.contains(text));
            }
            prop_assert!(!list.contains("not one of them"));
            let between = char::from(separator).to_string();
            prop_assert_eq!(list.join(separator), texts.join(&between));
            let mut kept = list.clone();
            kept.retain(|text| text.len() > 2);
            let mut expected = texts.clone();
            expected.retain(|text| text.len() > 2);
            prop_assert_eq!(Vec::from(kept), expected);
        }

        #[test]
        fn texts_are_visible_as_each_of_them_is(
            texts in prop::collection::vec("[ -~]{0,3}|[a-z|.]{1,12}|.{0,3}", 0..5),
            unwanted in prop_oneof![Just(b'|'), Just(b','), Just(b'\0')],
        ) {
            let list: TextList = texts.iter().collect();
            let visible = |text: &String| {
                !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != unwanted)
            };
            prop_assert_eq!(list.is_visible_without(unwanted), texts.iter().all(visible));
        }
    }
}
