//! Looking for a byte.

/// Returns where a byte is first.
// One copy in the plugin, in place of one for each byte.
#[inline(never)]
pub fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    memchr::memchr(byte, bytes)
}

/// Returns what stands before the first of these bytes, and behind it.
pub fn split_once(byte: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, from) = bytes.split_at_checked(find(byte, bytes)?)?;
    Some((before, from.get(1..)?))
}
