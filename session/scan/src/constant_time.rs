//! Comparing in a time that depends on lengths alone.

use subtle::{Choice, ConstantTimeEq as _};

/// Returns whether two texts are the same, in a time that does not depend on where they differ, so
/// that a client cannot find a secret byte by byte. Their lengths are no secret.
#[inline(never)]
pub fn same_bytes(own: &[u8], sent: &[u8]) -> Choice {
    if own.len() != sent.len() {
        return Choice::from(0);
    }
    // Eight bytes at a time: an eighth of the work where the host has no wider registers to use.
    let (own_words, own_rest) = own.as_chunks::<8>();
    let (sent_words, sent_rest) = sent.as_chunks::<8>();
    let mut differing = 0_u64;
    for (a, b) in own_words.iter().zip(sent_words) {
        differing |= u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
    }
    for (a, b) in own_rest.iter().zip(sent_rest) {
        differing |= u64::from(a ^ b);
    }
    differing.ct_eq(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_the_same_as_far_as_any_comparison_says(
            own in prop::collection::vec(any::<u8>(), 0..40),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut in 0_usize..3,
        ) {
            let mut sent: Vec<u8> = own.clone();
            for (at, to) in changes {
                if let Some(byte) = sent.get_mut(at.index(own.len().max(1))) {
                    *byte = to;
                }
            }
            sent.truncate(own.len().saturating_sub(cut));
            prop_assert_eq!(bool::from(same_bytes(&own, &sent)), own == sent);
        }
    }
}
