//! Looking at sixteen bytes at a time, where WebAssembly has vectors.
//!
//! What the tests of the callers show natively, `plugin/tests/guest/payloads.rs` shows of these.

use core::arch::wasm32::{
    i8x16_bitmask, i8x16_eq, i8x16_sub, u8x16_gt, u8x16_lt, u8x16_splat, u64x2, v128,
    v128_any_true, v128_or,
};

/// Returns the bytes as a vector.
#[inline]
pub(crate) fn load(block: &[u8; 16]) -> v128 {
    match block.as_chunks::<8>() {
        ([low, high], _) => u64x2(u64::from_le_bytes(*low), u64::from_le_bytes(*high)),
        // Sixteen bytes are two words.
        _ => u64x2(0, 0),
    }
}

/// Returns where the first quote, backslash or control character is.
#[inline]
pub(crate) fn first_special(block: &[u8; 16]) -> Option<usize> {
    let bytes = load(block);
    let quotes = i8x16_eq(bytes, u8x16_splat(b'"'));
    let backslashes = i8x16_eq(bytes, u8x16_splat(b'\\'));
    let controls = u8x16_lt(bytes, u8x16_splat(b' '));
    match i8x16_bitmask(v128_or(v128_or(quotes, backslashes), controls)) {
        0 => None,
        special => Some(special.trailing_zeros() as usize),
    }
}

/// Returns how many bytes are quotes.
#[inline]
pub(crate) fn quotes(block: &[u8; 16]) -> usize {
    let quotes = i8x16_eq(load(block), u8x16_splat(b'"'));
    i8x16_bitmask(quotes).count_ones() as usize
}

/// Returns whether all bytes are visible ASCII characters other than `unwanted`.
#[inline]
pub(crate) fn visible_without(blocks: &[[u8; 16]], last: &[u8; 16], unwanted: u8) -> bool {
    let span = u8x16_splat(b'~' - b'!');
    let first = u8x16_splat(b'!');
    let unwanted = u8x16_splat(unwanted);
    let mut marks = u64x2(0, 0);
    for block in blocks.iter().chain([last]) {
        let bytes = load(block);
        let invisible = u8x16_gt(i8x16_sub(bytes, first), span);
        marks = v128_or(marks, v128_or(invisible, i8x16_eq(bytes, unwanted)));
    }
    !v128_any_true(marks)
}
