//! A rule as it is for one user: with few groups, however many it names.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use gatepost_session::Claims;

use super::condition::outside_of;
use super::{Condition, Require};

/// What a session says of groups.
struct Known<'c> {
    held: BTreeSet<&'c str>,
    /// The same in lower case.
    held_loosely: BTreeSet<String>,
    outside: BTreeSet<&'c str>,
}

impl Known<'_> {
    /// Returns what conditions on a group go by. Two of which it is the same have one ruling.
    fn of(&self, group: &str) -> (bool, bool, bool) {
        (
            self.held.contains(group),
            self.held_loosely.contains(&group.to_ascii_lowercase()),
            self.outside.contains(group),
        )
    }

    fn one_of_each(&self, conditions: &[Condition]) -> Vec<Condition> {
        let mut seen = BTreeSet::new();
        let is_first = |condition: &&Condition| {
            let group = condition.group();
            group.is_none_or(|group| seen.insert(self.of(group)))
        };
        conditions.iter().filter(is_first).cloned().collect()
    }
}

impl Require {
    /// Returns rules of which each says the same of this user, with a few groups.
    pub(crate) fn all_of_user(rules: &[Self], claims: &Claims) -> Vec<Self> {
        let known = Known {
            held: claims.groups.iter().collect(),
            held_loosely: claims.groups.iter().map(str::to_ascii_lowercase).collect(),
            outside: outside_of(claims).into_iter().flatten().collect(),
        };
        let of_user = |rule: &Self| Self {
            any: known.one_of_each(&rule.any),
            all: known.one_of_each(&rule.all),
            not: known.one_of_each(&rule.not),
        };
        rules.iter().map(of_user).collect()
    }
}
