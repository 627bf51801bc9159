//! What a report on rules that decide nothing asks of paths.

use super::{Pattern, PublicPaths};

impl PublicPaths {
    /// Returns whether they are all paths.
    pub(crate) fn are_all(&self) -> bool {
        let is_all = |own: &Pattern| own.method.is_none() && own.segments.is_empty() && own.subtree;
        self.patterns.iter().any(is_all)
    }

    /// Returns the number of patterns.
    pub(crate) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Returns the methods that patterns name in front.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &[u8]> {
        self.patterns.iter().filter_map(|own| own.method.as_deref())
    }
}
