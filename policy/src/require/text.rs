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
        let any = self.any.iter().map(|condition| ("any", condition));
        let all = self.all.iter().map(|condition| ("all", condition));
        for (which, condition) in any.chain(all) {
            let (kind, name) = condition.parts();
            if !text.is_empty() {
                text.push('&');
            }
            for part in [which, "=", kind, ":"] {
                text.push_str(part);
            }
            percent::push_encoded(&mut text, name.as_bytes());
        }
        (!text.is_empty()).then_some(text)
    }

    /// Returns the rule as people read it, like `group:staff | group:board &
    /// emailDomain:example.com`; `None` for the rule that admits every user.
    pub fn in_words(&self) -> Option<String> {
        let words = |conditions: &[Condition], between: &str| {
            let words = conditions.iter().map(|condition| {
                let (kind, name) = condition.parts();
                [kind, ":", name].concat()
            });
            words.collect::<Vec<_>>().join(between)
        };
        let parts = [words(&self.any, " | "), words(&self.all, " & ")];
        let parts: Vec<&str> = parts
            .iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
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
                _ => return Err(InvalidRule),
            };
            let condition = Condition::from_parts(condition).ok_or(InvalidRule)?;
            // Among others of which one is enough, it would ask nothing of those that have another.
            if which == "any" && condition == Condition::DeviceBound {
                return Err(InvalidRule);
            }
            conditions.push(condition);
        }
        Ok(rule)
    }
}

impl Condition {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Group(name) => ("group", name),
            Self::User(name) => ("user", name),
            Self::Email(address) => ("email", address),
            Self::EmailDomain(domain) => ("emailDomain", domain),
            Self::DeviceBound => ("deviceBound", "true"),
        }
    }

    fn from_parts(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        let name = percent::decoded(name).filter(|name| !name.is_empty())?;
        Some(match kind {
            "group" => Self::Group(name),
            "user" => Self::User(name),
            "email" => Self::Email(name),
            "emailDomain" => Self::EmailDomain(name),
            "deviceBound" if name == "true" => Self::DeviceBound,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            "any=color:red",
            "any=group:a&any=color:red",
            "ANY=group:a",
            "all=deviceBound:false",
            "all=deviceBound:",
            "any=deviceBound:true",
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
            name.prop_map(Condition::Group),
            name.prop_map(Condition::User),
            name.prop_map(Condition::Email),
            name.prop_map(Condition::EmailDomain),
        ];
        prop::collection::vec(condition, 0..4)
    }

    proptest! {
        #[test]
        fn a_rule_comes_back_as_it_went(
            any in conditions(),
            all in conditions(),
            device in any::<bool>(),
        ) {
            let rule = Require { any, all };
            let rule = if device { rule.with_device() } else { rule };
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
