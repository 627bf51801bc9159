//! The rule for signed-in users.

use alloc::string::String;
use alloc::vec::Vec;

use gatepost_session::{Claims, NumericDate};

mod condition;
mod of_user;
mod ruling;
mod step_up;
mod text;

pub(crate) use condition::{Condition, Kind, domain_of, is_claim_of_rules, is_domain};
pub use ruling::Ruling;
pub(crate) use ruling::Situation;
pub(crate) use step_up::MAX_AUTHENTICATION_BYTES;
pub use step_up::{LinkedConditions, StepUp, is_class_name};
pub use text::InvalidRule;

/// The most names and values that the rules of a demand have.
pub(crate) const MAX_NAMES: usize = 4_096;

/// A rule over what a session says of its user: groups, user name, e-mail address, other claims,
/// and how and when the user authenticated. An empty rule admits every signed-in user.
///
/// Group and user names and claims are compared exactly, e-mail addresses and domains without
/// regard to ASCII case. Where the rule asks that a user has none, all are compared without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    any: Vec<Condition>,
    all: Vec<Condition>,
    not: Vec<Condition>,
}

impl Require {
    /// Makes the rule that needs at least one entry of `any`, if it has entries, every entry of
    /// `all`, and no entry of `not`.
    pub(crate) fn new(any: Vec<Condition>, all: Vec<Condition>, not: Vec<Condition>) -> Self {
        Self { any, all, not }
    }

    /// Makes the rule that admits the members of at least one of these groups.
    pub fn any_group(groups: impl IntoIterator<Item = String>) -> Self {
        Self {
            any: groups
                .into_iter()
                .map(|name| Condition::new(Kind::Group, name))
                .collect(),
            ..Self::default()
        }
    }

    /// Returns whether it admits every signed-in user.
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.all.is_empty() && self.not.is_empty()
    }

    /// Returns whether only sessions that are bound to a device fulfil the rule.
    pub(crate) fn needs_device(&self) -> bool {
        self.all.iter().any(Condition::is_of_device)
    }

    /// Returns the result of the rule for this user.
    pub(crate) fn rule(&self, claims: &Claims, now: Situation) -> Ruling {
        let mut ruling = match self.any.is_empty() {
            true => Ruling::Holds,
            false => Ruling::Fails,
        };
        for condition in &self.any {
            ruling = ruling.max(condition.rule(claims, now));
        }
        for condition in &self.all {
            ruling = ruling.min(condition.rule(claims, now));
        }
        for condition in &self.not {
            ruling = ruling.min(condition.opposite(claims, now));
        }
        ruling
    }

    /// Returns the entries that this user lacks at `now`, in words, for a report.
    pub fn lacking(&self, claims: &Claims, now: NumericDate) -> Vec<String> {
        let now = Situation {
            now: Some(now),
            bound: claims.bound,
        };
        let lacks = |condition: &Condition| condition.rule(claims, now) != Ruling::Holds;
        let mut lacking = Vec::new();
        if !self.any.is_empty() && self.any.iter().all(lacks) {
            let any = Self::new(self.any.clone(), Vec::new(), Vec::new());
            lacking.extend(any.in_words());
        }
        let all = self.all.iter().filter(|condition| lacks(condition));
        lacking.extend(all.map(Condition::in_words));
        for condition in &self.not {
            if condition.opposite(claims, now) != Ruling::Holds {
                lacking.push(["not ", &condition.in_words()].concat());
            }
        }
        lacking
    }

    /// Returns whether `other` surely admits every user whom this rule admits:
    /// its entries are all here, or are more than those here.
    pub fn is_within(&self, other: &Self) -> bool {
        let among = |conditions: &[Condition], all: &[Condition]| {
            conditions.iter().all(|condition| all.contains(condition))
        };
        let any_holds = other.any.is_empty()
            || (!self.any.is_empty() && among(&self.any, &other.any))
            || self
                .all
                .iter()
                .any(|condition| other.any.contains(condition));
        any_holds && among(&other.all, &self.all) && among(&other.not, &self.not)
    }

    /// Returns the groups the rule names: those that a cookie must not leave out.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.conditions().filter_map(Condition::group)
    }

    /// Returns the claims the rule names, which the outpost puts into the session.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.conditions().filter_map(Condition::named_claim)
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.any.iter().chain(&self.all).chain(&self.not)
    }
}

#[cfg(test)]
mod tests;
