//! What a report on rules that decide nothing asks of paths.

use super::PublicPaths;

impl PublicPaths {
    /// Returns the number of patterns.
    pub(crate) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Returns the methods that patterns name in front.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &[u8]> {
        self.patterns.iter().filter_map(|own| own.method.as_deref())
    }
}
