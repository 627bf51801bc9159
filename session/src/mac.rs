//! Message authentication codes.

use hmac::digest::FixedOutput as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

/// The length of a code and of a key, in bytes: the output size of SHA-256.
pub(crate) const MAC_BYTES: usize = 32;

/// The block size of SHA-256, in bytes: an HMAC key of this length is used as it is.
const BLOCK_BYTES: usize = 64;

/// HMAC-SHA256 (RFC 2104) with a key whose pads are absorbed already: computing costs no more
/// hashing than the text.
#[derive(Clone)]
pub struct Mac(Hmac<Sha256>);

impl Mac {
    pub(crate) fn new(key: &[u8; MAC_BYTES]) -> Self {
        // HMAC fills a shorter key up with zeros itself (RFC 2104 §2), but says that it may fail.
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        for (byte, own) in block.iter_mut().zip(key) {
            *byte = *own;
        }
        Self(Hmac::new((&*block).into()))
    }

    /// Absorbs the text with which everything begins whose code is to be computed.
    #[must_use]
    pub(crate) fn begun_with(mut self, text: &[u8]) -> Self {
        self.0.update(text);
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
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize_into(code.into());
    }

    /// Returns whether `sent` is the code of `text`, in a time that does not depend on where the
    /// two differ.
    pub(crate) fn verifies(&self, text: &[u8], sent: &[u8; MAC_BYTES]) -> Choice {
        self.compute(&[text]).as_slice().ct_eq(sent)
    }
}

impl core::fmt::Debug for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Mac(redacted)")
    }
}
