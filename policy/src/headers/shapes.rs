//! Rules out most headers of a request without a comparison of names.

/// For each length of a name, by its lowest five bits, the last characters that names of it have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shapes([u32; 32]);

impl Shapes {
    /// The shapes of no names.
    pub(super) const NONE: Self = Self([0; 32]);

    /// Returns these shapes and that of one more name.
    pub(super) const fn and(mut self, name: &str) -> Self {
        if let [.., last] = name.as_bytes()
            && let Some((_, [ends, ..])) = self.0.split_at_mut_checked(name.len() & 31)
        {
            *ends |= character_bit(*last);
        }
        self
    }

    /// Returns whether one of the names may be this one in some spelling. If not, none is.
    pub(super) fn may_be(&self, name: &[u8]) -> bool {
        let ends = self.0.get(name.len() & 31).copied().unwrap_or_default();
        name.last()
            .is_some_and(|last| ends & character_bit(*last) != 0)
    }
}

/// Returns the bit for a character, ignoring case; all characters that are not letters share one.
pub(super) const fn character_bit(byte: u8) -> u32 {
    if byte.is_ascii_alphabetic() {
        1 << (byte & 31)
    } else {
        1
    }
}
