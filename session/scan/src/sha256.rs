//! SHA-256 (FIPS 180-4), as far as a verifier needs it.
//!
//! The compression function is that of the `sha2` crate. What that has around it clears its buffers
//! byte by byte and finds its types at run time: for a cookie a tenth of all hashing in the guest.

use sha2::block_api::compress256;
use zeroize::Zeroize as _;

/// The size of a block, in bytes.
pub const BLOCK_BYTES: usize = 64;

/// The size of a hash, in bytes.
pub const HASH_BYTES: usize = 32;

/// The offset of the message's length in its last block.
const LENGTH_AT: usize = BLOCK_BYTES - size_of::<u64>();

/// The initial state (§5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A message as far as it is hashed. It may be a secret: what was held of it is cleared.
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    /// The end of the message, as far as it fills no block.
    end: [u8; BLOCK_BYTES],
    length: u64,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self {
            state: INITIAL,
            end: [0; BLOCK_BYTES],
            length: 0,
        }
    }
}

impl Sha256 {
    /// Hashes the next bytes of the message.
    #[inline(never)]
    pub fn update(&mut self, bytes: &[u8]) {
        let held = self.held();
        self.length += bytes.len() as u64;
        let mut rest = bytes;
        if held > 0 {
            let free = self.end.get_mut(held..).unwrap_or_default();
            let taken = free.len().min(rest.len());
            let (filling, after) = rest.split_at(taken);
            let Some(filled) = free.get_mut(..taken) else {
                return;
            };
            filled.copy_from_slice(filling);
            if taken < free.len() {
                return;
            }
            compress256(&mut self.state, core::slice::from_ref(&self.end));
            rest = after;
        }
        let (blocks, end) = rest.as_chunks::<BLOCK_BYTES>();
        if !blocks.is_empty() {
            compress256(&mut self.state, blocks);
        }
        if let Some(held) = self.end.get_mut(..end.len()) {
            held.copy_from_slice(end);
        }
    }

    /// Writes the hash of the message.
    #[inline(never)]
    pub fn finish_into(mut self, hash: &mut [u8; HASH_BYTES]) {
        let held = self.held();
        let (_, free) = self.end.split_at_mut(held);
        if let Some((marker, free)) = free.split_first_mut() {
            *marker = 0x80;
            free.fill(0);
        }
        if held >= LENGTH_AT {
            compress256(&mut self.state, core::slice::from_ref(&self.end));
            self.end.fill(0);
        }
        let (_, length) = self.end.split_at_mut(LENGTH_AT);
        length.copy_from_slice(&(self.length * 8).to_be_bytes());
        compress256(&mut self.state, core::slice::from_ref(&self.end));
        let (words, _) = hash.as_chunks_mut::<4>();
        for (out, word) in words.iter_mut().zip(self.state) {
            *out = word.to_be_bytes();
        }
    }

    /// Returns how many bytes of the message fill no block.
    fn held(&self) -> usize {
        // Less than a block.
        (self.length % BLOCK_BYTES as u64) as usize
    }
}

impl Drop for Sha256 {
    // Written out word by word, so one copy is enough.
    #[inline(never)]
    fn drop(&mut self) {
        self.state.zeroize();
        self.end.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::Digest as _;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn a_message_in_parts_is_hashed_as_a_library_does(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
            length in 50_usize..70,
        ) {
            let mut hash = Sha256::default();
            let mut library = sha2::Sha256::new();
            let around_a_block = alloc::vec![7; length];
            for part in parts.iter().chain([&around_a_block]) {
                hash.update(part);
                library.update(part);
                let mut so_far = [0; HASH_BYTES];
                hash.clone().finish_into(&mut so_far);
                let expected: [u8; HASH_BYTES] = library.clone().finalize().into();
                prop_assert_eq!(so_far, expected);
            }
        }
    }
}
