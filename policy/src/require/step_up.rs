//! What rules ask of a signed-in user's authentication (RFC 9470).

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use gatepost_session::{Claims, Current};

use super::ruling::{Ruling, Situation};
use super::text::{InvalidRule, push_condition};
use super::{Condition, Kind, MAX_NAMES, Require};

/// The longest text about an authentication that is read, in bytes: that of [`LinkedConditions`], and what
/// the rules of a [`Demand`](crate::Demand) have of it. Whether a class satisfies all conditions takes
/// work that grows faster than their number.
pub(crate) const MAX_AUTHENTICATION_BYTES: usize = 2_048;

/// What the rules for a request ask of a user's authentication: conditions about how and when the user
/// authenticated, all of which have to hold, and about nothing else.
///
/// They are all that the rules ask, and not only those that the session lacks: a provider that is
/// asked for a recent sign-in alone may answer with a weaker one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepUp<'p>(Vec<&'p Condition>);

impl<'p> StepUp<'p> {
    /// Returns what rules ask of the authentication of a session's user; `None` where the user would be
    /// refused however they authenticate.
    #[inline(never)]
    pub(crate) fn for_rules(
        rules: impl Iterator<Item = &'p Require>,
        claims: &Claims,
        now: Situation,
    ) -> Option<Self> {
        let mut step_up = Self::default();
        for rule in rules {
            if !rule.ask_of_authentication(claims, now, &mut step_up.0) {
                return None;
            }
        }
        (!step_up.contradicts_itself()).then_some(step_up)
    }

    /// Returns the conditions on the class (`acr`).
    fn of_class(&self) -> impl Iterator<Item = &'p Condition> {
        let all = self.0.iter().copied();
        all.filter(|condition| condition.is_of_class())
    }

    /// Returns whether a class satisfies all conditions on the class.
    pub fn accepts_class(&self, class: &str) -> bool {
        self.of_class()
            .all(|condition| condition.has_value(class, false))
    }

    /// Returns whether no class can satisfy all conditions: each that one of them lists, or that begins
    /// as it says, is refused by another.
    fn contradicts_itself(&self) -> bool {
        self.of_class().any(|condition| {
            let mut classes = condition.values();
            !classes.any(|class| self.of_class().all(|other| other.may_have_value(class)))
        })
    }

    /// Returns both together; `None` where no class can satisfy both.
    pub fn and(mut self, other: &Self) -> Option<Self> {
        self.0.extend_from_slice(&other.0);
        (!self.contradicts_itself()).then_some(self)
    }

    /// Returns the same, with each condition once: that of a plugin may be the outpost's own too.
    #[must_use]
    pub fn without_repetitions(&self) -> Self {
        let mut seen = BTreeSet::new();
        let mut all = self.0.clone();
        all.retain(|condition| {
            let condition: &'p Condition = condition;
            seen.insert(condition.parts())
        });
        Self(all)
    }

    /// Returns the value of `acr_values` (OpenID Connect Core 1.0 §3.1.2.1): each class that suffices
    /// by all rules and that can be asked for by its name. Empty where there is none.
    pub fn acr_values(&self) -> String {
        let mut values = String::new();
        for class in self.of_class().flat_map(Condition::values) {
            let is_there = values.split(' ').any(|own| own == class);
            if !is_there && is_class_name(class) && self.accepts_class(class) {
                if !values.is_empty() {
                    values.push(' ');
                }
                values.push_str(class);
            }
        }
        values
    }

    /// Returns the value of `max_age`, in seconds.
    pub fn max_age(&self) -> Option<u64> {
        let ages = self.0.iter().filter_map(|condition| condition.max_age());
        ages.min()
    }

    /// Returns whether it asks for a method (`amr`), which no parameter of a request can name.
    pub fn asks_for_method(&self) -> bool {
        let mut all = self.0.iter();
        all.any(|condition| condition.max_age().is_none() && !condition.is_of_class())
    }

    /// Returns whether the user of a session lacks a class or a method, and not a recent sign-in alone.
    pub fn lacks_class_or_method(&self, session: Current<'_>) -> bool {
        let (claims, now) = (session.claims(), Situation::of(session));
        let mut all = self.0.iter();
        all.any(|condition| {
            condition.max_age().is_none() && condition.rule(claims, now) != Ruling::Holds
        })
    }

    /// Returns whether the user of a session has authenticated so.
    pub fn is_met_by(&self, session: Current<'_>) -> bool {
        let (claims, now) = (session.claims(), Situation::of(session));
        let mut all = self.0.iter();
        all.all(|condition| condition.rule(claims, now) == Ruling::Holds)
    }

    /// Returns the conditions as the text of a parameter, which [`LinkedConditions::from_text`] reads.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for condition in &self.0 {
            if !text.is_empty() {
                text.push('&');
            }
            push_condition(&mut text, "all", condition);
        }
        text
    }

    /// Returns the challenge of an application that asks for it (RFC 9470 §3). Nothing in it needs
    /// an escape.
    pub fn challenge(&self, realm: &str) -> String {
        let mut challenge = String::from("Bearer");
        let age = self.max_age().map(|seconds| seconds.to_string());
        let mut before = " ";
        for (name, value) in [
            ("realm", realm),
            ("error", "insufficient_user_authentication"),
            ("acr_values", &self.acr_values()),
            ("max_age", age.as_deref().unwrap_or_default()),
        ] {
            if !value.is_empty() {
                for part in [before, name, "=\"", value, "\""] {
                    challenge.push_str(part);
                }
                before = ", ";
            }
        }
        challenge
    }
}

/// Returns whether a provider can be asked for a class by this text: it has room among others, and in
/// a challenge.
pub fn is_class_name(class: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
    !class.is_empty() && !class.ends_with('*') && class.bytes().all(plain)
}

/// Conditions on a user's authentication that a link says: those of rules that stand in a proxy alone.
/// Any site can make such a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedConditions(Require);

impl LinkedConditions {
    /// Returns what a text says that [`StepUp::to_text`] wrote.
    ///
    /// # Errors
    ///
    /// [`InvalidRule`] for any other, also where it asks for anything but an authentication.
    pub fn from_text(text: &str) -> Result<Self, InvalidRule> {
        if text.len() > MAX_AUTHENTICATION_BYTES {
            return Err(InvalidRule);
        }
        let rule = Require::from_text(text)?;
        let is_right = rule.any.is_empty() && rule.not.is_empty();
        let is_right = is_right && rule.all.iter().all(Condition::is_of_authentication);
        let conditions = Self(rule);
        let contradicts = conditions.step_up().contradicts_itself();
        (is_right && !contradicts)
            .then_some(conditions)
            .ok_or(InvalidRule)
    }

    /// Returns the same conditions, of which none asks for an authentication that is less than so many
    /// seconds old.
    #[must_use]
    pub fn with_ages_from(mut self, seconds: u64) -> Self {
        for condition in &mut self.0.all {
            if let Some(age) = condition.max_age() {
                *condition = Condition::new(Kind::MaxAge, age.max(seconds).to_string());
            }
        }
        self
    }

    /// Returns what they ask.
    pub fn step_up(&self) -> StepUp<'_> {
        StepUp(self.0.all.iter().collect())
    }
}

impl Require {
    /// Returns whether no outpost reads it as what a plugin demands.
    pub fn is_too_long(&self) -> bool {
        let parts = self.conditions().map(|condition| condition.parts().1.len());
        parts.sum::<usize>() > MAX_NAMES || Self::ask_too_much(core::slice::from_ref(self))
    }

    /// Returns whether rules say more of an authentication than is read.
    pub(crate) fn ask_too_much(rules: &[Self]) -> bool {
        let all = rules.iter().flat_map(Self::conditions);
        let asked = StepUp(all.filter(|own| own.is_of_authentication()).collect());
        asked.to_text().len() > MAX_AUTHENTICATION_BYTES
    }

    /// Adds what the rule asks of the authentication of a session's user to `asked`. Returns false where
    /// the user would be refused however they authenticate. No provider can be asked for what the rule
    /// wants under `not`.
    fn ask_of_authentication<'r>(
        &'r self,
        claims: &Claims,
        now: Situation,
        asked: &mut Vec<&'r Condition>,
    ) -> bool {
        let refuses = |condition: &Condition| condition.rule(claims, now).refuses();
        // Where another condition holds, no authentication is needed.
        let mut any = self.any.iter();
        let is_needed = any.all(|condition| condition.is_of_authentication() || refuses(condition));
        if is_needed && !self.any.is_empty() {
            let any = self.any.iter();
            let of_authentication = any.filter(|condition| condition.is_of_authentication());
            // Of several, the one that holds and is to go on holding, or else the one that every user
            // can satisfy at once.
            match of_authentication.max_by_key(|own| (!refuses(own), own.ease())) {
                Some(condition) => asked.push(condition),
                None => return false,
            }
        }
        for condition in &self.all {
            if condition.is_of_authentication() {
                asked.push(condition);
            } else if refuses(condition) {
                return false;
            }
        }
        let mut not = self.not.iter();
        not.all(|condition| !condition.opposite(claims, now).refuses())
    }

    /// Returns whether a condition of the rule on how a user authenticated holds for a session, and does
    /// not for another.
    pub(crate) fn is_weaker(&self, new: &Claims, old: &Claims) -> bool {
        let mut all = self.any.iter().chain(&self.all);
        all.any(|condition| {
            condition.is_of_authentication()
                && condition.is_claimed(old, false) == Some(true)
                && condition.is_claimed(new, false) != Some(true)
        })
    }

    /// Returns the classes of authentication (`acr`) that the rule names, but for those of which it
    /// has only the beginning.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &str> {
        let named = self.any.iter().chain(&self.all);
        let named = named.filter(|condition| condition.is_of_class());
        named
            .flat_map(Condition::values)
            .filter(|class| is_class_name(class))
    }
}

#[cfg(test)]
mod tests;
