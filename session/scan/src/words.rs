//! Looking at eight bytes at a time, or at sixteen where there are vectors.

#[cfg(target_feature = "simd128")]
use crate::vectors;

/// A word of eight times the byte 1.
const ONES: u64 = 0x0101_0101_0101_0101;

/// A word of eight quotes.
#[cfg(not(target_feature = "simd128"))]
const QUOTES: u64 = ONES * b'"' as u64;

/// A word of eight backslashes.
#[cfg(not(target_feature = "simd128"))]
const BACKSLASHES: u64 = ONES * b'\\' as u64;

/// A word of eight times the highest bit of a byte.
const HIGH: u64 = ONES << 7;

/// Returns which byte is the lowest that is marked by its highest bit.
#[cfg(not(target_feature = "simd128"))]
pub(crate) const fn first(marks: u64) -> Option<usize> {
    match marks & HIGH {
        0 => None,
        marks => Some(marks.trailing_zeros() as usize / 8),
    }
}

/// Marks the lowest byte that is zero by its highest bit, which is set in no lower byte. Whether it
/// is set in a higher byte says nothing, and neither do the other bits.
pub(crate) const fn mark_zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

/// As [`mark_zero`], for the lowest byte that is less than `limit`, which is at most 128.
pub(crate) const fn mark_less(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word
}

/// Returns how many bytes precede the first quote, backslash or control character.
#[cfg(not(target_feature = "simd128"))]
#[inline]
pub fn plain_length(json: &[u8]) -> usize {
    let (words, rest) = json.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let marks =
            mark_zero(word ^ QUOTES) | mark_zero(word ^ BACKSLASHES) | mark_less(word, b' ');
        if let Some(at) = first(marks) {
            return length + at;
        }
        length += 8;
    }
    length + plain_length_of_rest(rest)
}

/// Returns how many bytes precede the first quote, backslash or control character.
#[cfg(target_feature = "simd128")]
#[inline]
pub fn plain_length(json: &[u8]) -> usize {
    let (blocks, rest) = json.as_chunks::<16>();
    let mut length = 0;
    for block in blocks {
        if let Some(at) = vectors::first_special(block) {
            return length + at;
        }
        length += 16;
    }
    length + plain_length_of_rest(rest)
}

fn plain_length_of_rest(rest: &[u8]) -> usize {
    let plain = |byte: &&u8| **byte != b'"' && **byte != b'\\' && **byte >= b' ';
    rest.iter().take_while(plain).count()
}

/// Returns how many bytes are quotes.
#[inline(never)]
pub(crate) fn quotes(json: &[u8]) -> usize {
    let (blocks, rest) = json.as_chunks::<16>();
    let quotes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'"').count();
    #[cfg(target_feature = "simd128")]
    let in_blocks: usize = blocks.iter().map(vectors::quotes).sum();
    #[cfg(not(target_feature = "simd128"))]
    let in_blocks = quotes(blocks.as_flattened());
    in_blocks + quotes(rest)
}

/// Returns a number that is the same for the same bytes, and another for nearly all others.
#[inline(never)]
pub fn sum(bytes: &[u8]) -> u64 {
    let add = |sum: u64, word: &[u8; 8]| sum.rotate_left(5) ^ u64::from_le_bytes(*word);
    // Four sums at a time, of which none waits for another.
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut sums = [0; 4];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = add(*sum, word);
        }
    }
    let (words, rest) = rest.as_chunks::<8>();
    let rest = rest
        .iter()
        .fold(0, |rest, byte| (rest << 8) | u64::from(*byte));
    let sum = sums.iter().fold(rest, |all, sum| all.rotate_left(11) ^ sum);
    words.iter().fold(sum, add)
}

/// Returns whether two texts are the same. Neither is a secret.
#[inline]
pub(crate) fn same_words(a: &[u8], b: &[u8]) -> bool {
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    if a.len() != b.len() {
        return false;
    }
    let mut words = a_words.iter().zip(b_words);
    if !words.all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b)) {
        return false;
    }
    // The last word overlaps the one before, where there is one.
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(a), Some(b)) => u64::from_le_bytes(*a) == u64::from_le_bytes(*b),
        _ => a_rest.iter().zip(b_rest).all(|(a, b)| a == b),
    }
}

/// Returns whether all bytes are visible ASCII characters (`!` to `~`) other than `unwanted`.
#[inline(never)]
pub fn visible_without(text: &[u8], unwanted: u8) -> bool {
    #[cfg(target_feature = "simd128")]
    if let Some(last) = text.last_chunk::<16>() {
        // The last block overlaps the one before.
        let (blocks, _) = text.as_chunks::<16>();
        return vectors::visible_without(blocks, last, unwanted);
    }
    let (words, rest) = text.as_chunks::<8>();
    let mut marks = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        marks |= word
            // DEL.
            | word.wrapping_add(ONES)
            | mark_less(word, b'!')
            | mark_zero(word ^ (ONES * u64::from(unwanted)));
    }
    let visible = |byte: &u8| byte.is_ascii_graphic() && *byte != unwanted;
    marks & HIGH == 0 && rest.iter().all(visible)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            60 => b'!'..=b'~',
            1 => prop::sample::select(&[0, 0x1f, b' ', b'!', b'~', 0x7f, 0x80, 0xff][..]),
            1 => any::<u8>(),
        ];
        prop::collection::vec(byte, 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn words_are_visible_as_their_bytes_are(
            text in bytes(),
            unwanted in prop_oneof![Just(0), Just(b'|'), any::<u8>()],
        ) {
            let all = text.iter().all(|byte| byte.is_ascii_graphic() && *byte != unwanted);
            prop_assert_eq!(visible_without(&text, unwanted), all);
        }

        #[test]
        fn the_plain_part_of_a_text_ends_at_the_first_special_byte(
            text in "[ -~\u{0}\u{1f}\u{7f}\u{80}]{0,30}|[a-z]{0,20}[\"\\\\\n]?[a-z\"]{0,9}",
        ) {
            let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
            let end = text.bytes().position(special).unwrap_or(text.len());
            prop_assert_eq!(plain_length(text.as_bytes()), end);
        }

        #[test]
        fn one_other_byte_makes_another_sum(text in bytes(), at in 0_usize..40, to in any::<u8>()) {
            let mut changed = text.clone();
            if let Some(byte) = changed.get_mut(at) {
                *byte = to;
            }
            prop_assert_eq!(sum(&text) == sum(&changed), text == changed);
        }

        #[test]
        fn words_are_the_same_as_texts_are(a in "[ab]{0,20}", b in "[ab]{0,20}", at in 0_usize..20) {
            prop_assert_eq!(same_words(a.as_bytes(), b.as_bytes()), a == b);
            let mut changed = a.clone().into_bytes();
            if let Some(byte) = changed.get_mut(at) {
                *byte = b'c';
            }
            prop_assert_eq!(same_words(a.as_bytes(), &changed), a.as_bytes() == changed);
            prop_assert!(same_words(a.as_bytes(), a.as_bytes()));
        }

        #[test]
        fn the_lowest_mark_is_the_first_byte(word in any::<[u8; 8]>(), limit in 0_u8..=128) {
            let zero = word.iter().position(|byte| *byte == 0);
            prop_assert_eq!(first(mark_zero(u64::from_le_bytes(word))), zero);
            let less = word.iter().position(|byte| *byte < limit);
            prop_assert_eq!(first(mark_less(u64::from_le_bytes(word), limit)), less);
        }
    }
}
