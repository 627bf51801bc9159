//! Rules that decide nothing, for a report: the operator meant something by them.

use alloc::string::String;
use core::fmt;

use super::{Rule, Rules};
use crate::public::PublicPaths;

/// Why a rule decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Its patterns are for methods that are not among its `methods`.
    OtherMethods,
    /// A rule before it, with this number and name, is for every request that this one is for.
    Covered(usize, Option<String>),
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherMethods => f.write_str(
                "can never match: its paths name other methods in front than its `methods`",
            ),
            Self::Covered(number, name) => {
                write!(f, "never decides: rule {number}")?;
                if let Some(name) = name {
                    write!(f, " (`{name}`)")?;
                }
                f.write_str(
                    ", before it, is for each of its requests; put this one first, or remove it",
                )
            }
        }
    }
}

impl Rules {
    /// Returns the rules that decide nothing, by their place from 0.
    pub fn idle(&self) -> impl Iterator<Item = (usize, Idle)> {
        self.0.iter().enumerate().filter_map(|(at, (_, rule))| {
            if rule.has_other_methods() {
                return Some((at, Idle::OtherMethods));
            }
            let mut earlier = self.0.iter().take(at).enumerate();
            let (before, by) = earlier.find(|(_, (_, by))| by.covers(rule))?;
            Some((at, Idle::Covered(before + 1, by.1.name.clone())))
        })
    }

    /// Returns whether a rule is for every request, so that the short form never decides alone.
    pub fn have_last(&self) -> bool {
        self.0.iter().any(|(_, rule)| rule.is_for_everything())
    }
}

impl Rule {
    /// Returns whether it is for every request.
    pub fn is_for_everything(&self) -> bool {
        let all_paths = self.paths.as_ref().is_none_or(PublicPaths::are_all);
        all_paths && self.methods.is_empty() && self.networks.is_empty()
    }

    fn has_other_methods(&self) -> bool {
        let Some(paths) = &self.paths else {
            return false;
        };
        let own = |method: &[u8]| self.methods.iter().any(|own| own.as_bytes() == method);
        let named = paths.methods().count();
        !self.methods.is_empty() && named == paths.len() && !paths.methods().any(own)
    }

    fn covers(&self, other: &Self) -> bool {
        let paths = match (&self.paths, &other.paths) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(theirs)) => own.covers(theirs),
        };
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other
                    .methods
                    .iter()
                    .all(|method| self.methods.contains(method)));
        let networks = self.networks.is_empty()
            || (!other.networks.is_empty()
                && other
                    .networks
                    .iter()
                    .all(|network| self.networks.iter().any(|own| own.covers(network))));
        paths && methods && networks
    }
}
