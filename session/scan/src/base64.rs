//! Base64url without padding (RFC 4648 §5), the encoding of the parts of a JWS.
//!
//! A verifier decodes the whole of every new cookie. The guest does so sixteen characters at a
//! time, in a tenth of the instructions that the `base64` crate takes there, which looks up one
//! after the other. Tests compare this with that crate, here and in the built guest.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes bytes.
#[inline(never)]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        for place in (0..=group.len()).map(|place| 18 - 6 * place) {
            text.extend(ALPHABET.get(bits >> place & 63).copied().map(char::from));
        }
    }
    text
}

/// Decodes a text, or returns `None` where it is not the encoding of any bytes: for other
/// characters, padding among them, and for bits set beyond the last byte, so that no two texts
/// decode to the same bytes.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; decoded_length(text)];
    decode_into(text, &mut bytes).then_some(bytes)
}

/// Decodes the text of exactly `N` bytes: see [`decode`].
pub fn decode_array<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    let mut bytes = [0; N];
    decode_into(text, &mut bytes).then_some(bytes)
}

/// Returns how many bytes a valid text of this length decodes to.
const fn decoded_length(text: &[u8]) -> usize {
    text.len() / 4 * 3 + text.len() % 4 * 3 / 4
}

/// Returns whether all characters are of the alphabet.
#[inline(never)]
pub fn is_of_alphabet(text: &[u8]) -> bool {
    let mut invalid = Invalid::default();
    let (blocks, rest) = text.as_chunks::<16>();
    for block in blocks {
        invalid.decode_block(block);
    }
    let mut valid = rest
        .iter()
        .map(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    !invalid.any() && valid.all(|valid| valid)
}

/// Writes what a text decodes to, of which the length is [`decoded_length`], and returns whether the
/// text is valid.
#[inline(never)]
fn decode_into(text: &[u8], bytes: &mut [u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<16>();
    let (outs, end) = bytes.as_chunks_mut::<12>();
    let mut invalid = Invalid::default();
    for (out, block) in outs.iter_mut().zip(blocks) {
        *out = invalid.decode_block(block);
    }
    if rest.is_empty() {
        return !invalid.any();
    }
    // Filled up with the character for six zero bits.
    let mut block = [b'A'; 16];
    for (own, character) in block.iter_mut().zip(rest) {
        *own = *character;
    }
    let last = invalid.decode_block(&block);
    let (decoded, beyond) = last.split_at(end.len());
    end.copy_from_slice(decoded);
    !invalid.any() && rest.len() % 4 != 1 && beyond.iter().all(|byte| *byte == 0)
}

/// The marks of characters outside the alphabet: any bit that is set.
#[cfg(not(target_feature = "simd128"))]
#[derive(Default)]
struct Invalid(u8);

#[cfg(not(target_feature = "simd128"))]
impl Invalid {
    fn any(&self) -> bool {
        self.0 != 0
    }

    /// Decodes sixteen characters.
    fn decode_block(&mut self, block: &[u8; 16]) -> [u8; 12] {
        let mut bytes = [0; 12];
        let (outs, _) = bytes.as_chunks_mut::<3>();
        let (groups, _) = block.as_chunks::<4>();
        for (out, group) in outs.iter_mut().zip(groups) {
            let [a, b, c, d] = group.map(|character| self.sextet(character));
            *out = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
        }
        bytes
    }

    fn sextet(&mut self, character: u8) -> u8 {
        match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => {
                self.0 = 1;
                0
            }
        }
    }
}

#[cfg(target_feature = "simd128")]
use self::with_vectors::Invalid;

/// The same by vectors of sixteen bytes (after Muła and Lemire, “Faster Base64 Encoding and
/// Decoding Using AVX2 Instructions”).
#[cfg(target_feature = "simd128")]
mod with_vectors {
    use core::arch::wasm32::{
        i8x16, i8x16_add, i8x16_eq, i8x16_swizzle, i16x8, i16x8_shl, i32x4_dot_i16x8,
        i32x4_extract_lane, i64x2_extract_lane, u8x16, u8x16_shr, u8x16_splat, u16x8_shr,
        u16x8_splat, u64x2, v128, v128_and, v128_any_true, v128_or,
    };

    use crate::vectors::load;

    /// The marks of characters outside the alphabet: any bit that is set.
    pub(super) struct Invalid(v128);

    impl Default for Invalid {
        fn default() -> Self {
            Self(u64x2(0, 0))
        }
    }

    impl Invalid {
        pub(super) fn any(&self) -> bool {
            v128_any_true(self.0)
        }

        /// Decodes sixteen characters.
        #[inline]
        pub(super) fn decode_block(&mut self, block: &[u8; 16]) -> [u8; 12] {
            let characters = load(block);
            let upper = u8x16_shr(characters, 4);
            let lower = v128_and(characters, u8x16_splat(0x0f));

            // By its upper half a character belongs to a class, a bit: `-`, digits, half of the
            // letters, the rest of the capitals with `_`, the rest of the small letters, and what
            // is in no alphabet. By its lower half it is in none of these classes.
            let class = u8x16(32, 32, 1, 2, 4, 8, 4, 16, 32, 32, 32, 32, 32, 32, 32, 32);
            let outside = u8x16(
                1 | 4 | 32,
                1 | 32,
                1 | 32,
                1 | 32,
                1 | 32,
                1 | 32,
                1 | 32,
                1 | 32,
                1 | 32,
                1 | 32,
                1 | 2 | 32,
                1 | 2 | 8 | 16 | 32,
                1 | 2 | 8 | 16 | 32,
                2 | 8 | 16 | 32,
                1 | 2 | 8 | 16 | 32,
                1 | 2 | 16 | 32,
            );
            let class = i8x16_swizzle(class, upper);
            let outside = i8x16_swizzle(outside, lower);
            self.0 = v128_or(self.0, v128_and(class, outside));

            // What to add to a character for its six bits. Its upper half decides, except for `_`.
            let shift = i8x16(0, 0, 17, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
            let underscore = i8x16_eq(characters, u8x16_splat(b'_'));
            let shift = i8x16_add(
                i8x16_swizzle(shift, upper),
                v128_and(underscore, u8x16_splat(33)),
            );
            let sextets = i8x16_add(characters, shift);

            // Two sextets to twelve bits, two of these to 24, and their bytes into their order.
            let first = v128_and(i16x8_shl(sextets, 6), u16x8_splat(0x0fc0));
            let pairs = v128_or(first, u16x8_shr(sextets, 8));
            let groups = i32x4_dot_i16x8(pairs, i16x8(4096, 1, 4096, 1, 4096, 1, 4096, 1));
            let order = i8x16(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
            let ordered = i8x16_swizzle(groups, order);
            let mut bytes = [0; 12];
            let (start, end) = bytes.split_at_mut(8);
            start.copy_from_slice(&i64x2_extract_lane::<0>(ordered).to_le_bytes());
            end.copy_from_slice(&i32x4_extract_lane::<2>(ordered).to_le_bytes());
            bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn bytes_are_encoded_as_a_library_does(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(encode(&bytes), text.clone());
            prop_assert_eq!(decode(text.as_bytes()), Some(bytes));
        }

        #[test]
        fn a_changed_text_is_decoded_as_a_library_does(
            bytes in prop::collection::vec(any::<u8>(), 0..70),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            end in "[-_=A-Za-z0-9]{0,5}",
        ) {
            let mut text = (URL_SAFE_NO_PAD.encode(&bytes) + &end).into_bytes();
            for (at, to) in changes {
                if let Some(byte) = text.get_mut(at.index(70)) {
                    *byte = to;
                }
            }
            let library = URL_SAFE_NO_PAD.decode(&text).ok();
            let array = library.clone().and_then(|bytes| bytes.try_into().ok());
            prop_assert_eq!(decode(&text), library);
            prop_assert_eq!(decode_array::<32>(&text), array);
            let of_alphabet = text.iter().all(|byte| ALPHABET.contains(byte));
            prop_assert_eq!(is_of_alphabet(&text), of_alphabet);
        }
    }

    #[test]
    fn every_byte_is_a_character_or_none() {
        for at in 0..20 {
            for byte in 0..=u8::MAX {
                let mut text = [b'A'; 20];
                text[at] = byte;
                assert_eq!(
                    decode(&text),
                    URL_SAFE_NO_PAD.decode(text).ok(),
                    "{byte} at {at}"
                );
            }
        }
    }
}
