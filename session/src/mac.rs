//! Message authentication codes.

use gatepost_scan::constant_time::same_bytes;
use gatepost_scan::sha256::{BLOCK_BYTES, HASH_BYTES, Sha256};
use subtle::Choice;
use zeroize::Zeroizing;

/// The length of a code and of a key, in bytes: the output size of SHA-256.
pub(crate) const MAC_BYTES: usize = HASH_BYTES;

/// HMAC-SHA256 (RFC 2104) with a key whose pads are absorbed already: computing costs no more
/// hashing than the text.
#[derive(Clone)]
pub struct Mac {
    inner: Sha256,
    outer: Sha256,
}

impl Mac {
    pub(crate) fn new(key: &[u8; MAC_BYTES]) -> Self {
        let padded = |pad: u8| {
            // A key shorter than a block is filled up with zeros (§2).
            let mut block = Zeroizing::new([pad; BLOCK_BYTES]);
            for (byte, own) in block.iter_mut().zip(key) {
                *byte ^= own;
            }
            let mut hash = Sha256::default();
            hash.update(block.as_slice());
            hash
        };
        Self {
            inner: padded(0x36),
            outer: padded(0x5c),
        }
    }

    /// Absorbs the text with which everything begins whose code is to be computed.
    #[must_use]
    pub(crate) fn begun_with(mut self, text: &[u8]) -> Self {
        self.inner.update(text);
        self
    }

    /// Returns the code of these parts, one after the other.
    pub fn compute(&self, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        let mut code = [0; MAC_BYTES];
        self.compute_into(parts, &mut code);
        code
    }

    /// Computes the code as [`Self::compute`] does, for a code that is a key: no copy of it stays
    /// behind.
    // The plugin has room for one copy of this function.
    #[inline(never)]
    pub(crate) fn compute_into(&self, parts: &[&[u8]], code: &mut [u8; MAC_BYTES]) {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update(part);
        }
        inner.finish_into(code);
        let mut outer = self.outer.clone();
        outer.update(code);
        outer.finish_into(code);
    }

    /// Returns whether `sent` is the code of `text`, in a time that does not depend on where the
    /// two differ.
    pub(crate) fn verifies(&self, text: &[u8], sent: &[u8; MAC_BYTES]) -> Choice {
        same_bytes(&self.compute(&[text]), sent)
    }
}

impl core::fmt::Debug for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Mac(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_code_is_that_of_a_library(
            key: [u8; MAC_BYTES],
            begin in prop::collection::vec(any::<u8>(), 0..150),
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 0..4),
        ) {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let mac = Mac::new(&key).begun_with(&begin);
            let mut library = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("a key");
            library.update(&begin);
            for part in &parts {
                library.update(part);
            }
            let code = library.finalize().into_bytes();
            let mut sent: [u8; MAC_BYTES] = code.into();
            prop_assert_eq!(mac.compute(&parts), sent);
            // The second time as the first.
            prop_assert_eq!(mac.compute(&parts), sent);
            let text = parts.concat();
            prop_assert!(bool::from(mac.verifies(&text, &sent)));
            sent[text.len() % MAC_BYTES] ^= 1;
            prop_assert!(!bool::from(mac.verifies(&text, &sent)));
        }
    }
}
