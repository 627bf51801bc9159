//! A rule as the text of a header: a proxy sends the outpost its own rule, which must hold too.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{Condition, Require};
use crate::percent;

/// A text that is not a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRule;

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a rule: expected entries like `any=group:staff`, with `&` between them")
    }
}

impl core::error::Error for InvalidRule {}

impl Require {
    /// Returns the rule as a text that fits a header, like
    /// `any=group:staff&all=emailDomain:example.com`, names percent-encoded (RFC 3986 §2.1); `None`
    /// for the rule that admits everyone.
    pub fn to_text(&self) -> Option<String> {
        let mut text = String::new();
        for (which, conditions) in [("any", &self.any), ("all", &self.all), ("not", &self.not)] {
            for condition in conditions {
                if !text.is_empty() {
                    text.push('&');
                }
                push_condition(&mut text, which, condition);
            }
        }
        (!text.is_empty()).then_some(text)
    }

    /// Returns the rule as people read it, like `group:staff | group:board &
    /// emailDomain:example.com`; `None` for the rule that admits every user.
    pub fn in_words(&self) -> Option<String> {
        let any: Vec<String> = self.any.iter().map(Condition::in_words).collect();
        let any = Some(any.join(" | ")).filter(|any| !any.is_empty());
        let all = self.all.iter().map(Condition::in_words);
        let not = self.not.iter();
        let not = not.map(|condition| ["not ", &condition.in_words()].concat());
        let parts: Vec<String> = any.into_iter().chain(all).chain(not).collect();
        (!parts.is_empty()).then(|| parts.join(" & "))
    }

    /// Returns the rule of a text that [`Self::to_text`] wrote.
    ///
    /// # Errors
    ///
    /// [`InvalidRule`] for any other, also an empty one: no part of a rule may get lost unseen.
    pub fn from_text(text: &str) -> Result<Self, InvalidRule> {
        let mut rule = Self::default();
        for entry in text.split('&') {
            let (which, condition) = entry.split_once('=').ok_or(InvalidRule)?;
            let conditions = match which {
                "any" => &mut rule.any,
                "all" => &mut rule.all,
                "not" => &mut rule.not,
                _ => return Err(InvalidRule),
            };
            let condition = read_condition(condition).ok_or(InvalidRule)?;
            // Among others of which one is enough, it would ask nothing of those that have another.
            if which != "all" && condition.is_of_device() {
                return Err(InvalidRule);
            }
            conditions.push(condition);
        }
        Ok(rule)
    }
}

/// Writes a condition that stands under `any`, `all` or `not`.
pub(super) fn push_condition(text: &mut String, which: &str, condition: &Condition) {
    let (kind, parts) = condition.parts();
    for part in [which, "=", kind] {
        text.push_str(part);
    }
    for part in parts {
        text.push(':');
        percent::push_encoded(text, part.as_bytes());
    }
}

fn read_condition(text: &str) -> Option<Condition> {
    let mut parts = text.split(':');
    let kind = parts.next()?;
    let decoded = |part| percent::decoded(part).filter(|part| !part.is_empty());
    let parts: Option<Vec<String>> = parts.map(decoded).collect();
    Condition::from_parts(kind, parts?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::string::ToString as _;

    use super::super::Kind;
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        for text in [
            "",
            "&",
            "any",
            "any=",
            "any=group",
            "any=group:",
            "any=group:a&",
            "any=group:a b",
            "any=group:%41",
            "any=group:%e4",
            "any=group:%C3%A",
            "any=group:%FF",
            "none=group:a",
            "any=group:a:b",
            "all=claim:a",
            "all=claim",
            "all=maxAge:07",
            "all=maxAge:+7",
            "all=maxAge:x",
            "all=deviceBound:false",
            "all=deviceBound:",
            "any=deviceBound:true",
            "not=deviceBound:true",
            "any=color:red",
            "any=group:a&any=color:red",
            "ANY=group:a",
        ] {
            assert_eq!(Require::from_text(text), Err(InvalidRule), "{text}");
        }
        assert_eq!(Require::default().to_text(), None);
        let text = "any=group:staff&all=deviceBound:true";
        let rule = Require::from_text(text).expect("a rule");
        assert!(rule.needs_device());
        assert_eq!(rule.to_text().as_deref(), Some(text));
        let text = "any=group:staff&any=user:J%C3%BCrgen%20%26%20Co&all=emailDomain:a.example";
        let rule = Require::from_text(text).expect("a rule");
        assert_eq!(rule.to_text().as_deref(), Some(text));
    }

    fn conditions() -> impl Strategy<Value = Vec<Condition>> {
        let name = "\\PC{1,12}";
        let condition = prop_oneof![
            name.prop_map(|name| Condition::new(Kind::Group, name)),
            name.prop_map(|name| Condition::new(Kind::User, name)),
            name.prop_map(|name| Condition::new(Kind::Email, name)),
            name.prop_map(|name| Condition::new(Kind::EmailDomain, name)),
            (name, prop::collection::vec(name, 1..3))
                .prop_map(|(name, values)| Condition::claim(name, values)),
            any::<u64>().prop_map(|most| Condition::new(Kind::MaxAge, most.to_string())),
        ];
        prop::collection::vec(condition, 0..4)
    }

    proptest! {
        #[test]
        fn a_rule_comes_back_as_it_went(
            any in conditions(), all in conditions(), not in conditions(),
        ) {
            let rule = Require { any, all, not };
            match rule.to_text() {
                None => prop_assert_eq!(rule, Require::default()),
                Some(text) => {
                    prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
                    prop_assert_eq!(Require::from_text(&text), Ok(rule));
                }
            }
        }
    }
}
