//! What a request needs by another decider's rules, as the text of a header.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use gatepost_session::Claims;

use crate::require::{InvalidRule, MAX_AUTHENTICATION_BYTES, MAX_NAMES, Require};

/// Why a text is no demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidDemand {
    /// No decider writes it.
    Text(InvalidRule),
    /// It is longer than what is read. Some proxies hand on what a client says in their place, and each
    /// name costs work.
    TooLong,
}

impl From<InvalidRule> for InvalidDemand {
    fn from(error: InvalidRule) -> Self {
        Self::Text(error)
    }
}

impl fmt::Display for InvalidDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(error) => error.fmt(f),
            Self::TooLong => write!(
                f,
                "more than {MAX_NAMES} names and values, or more than \
                 {MAX_AUTHENTICATION_BYTES} bytes of `acr`, `amr` and `maxAge`"
            ),
        }
    }
}

impl core::error::Error for InvalidDemand {}

/// What the proxy that asks about a request needs of its sender, by the rules there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Whether the request is refused to every client.
    pub(crate) deny: bool,
    /// Whether it needs a session, also where it is public by the rules here.
    pub(crate) session: bool,
    /// The rules that the user has to satisfy, all of them.
    pub(crate) requires: Vec<Require>,
}

impl Demand {
    /// The text of what no client may have.
    pub(crate) const DENY: &str = "deny";
    /// The text of what needs a session.
    pub(crate) const SESSION: &str = "session";
    /// Between the parts of the text.
    pub(crate) const AND: &str = "&and&";

    /// Returns what a text says that [`Policy::demand`](crate::Policy::demand) wrote: `deny`, or
    /// `session` and the rules, each as [`Require::to_text`] writes it, with `&and&` between.
    /// Without a list of rules it is the rule for users alone.
    ///
    /// # Errors
    ///
    /// [`InvalidDemand`] for any other, also an empty one: no part may get lost unseen; and for one with
    /// more than [`MAX_NAMES`] names and values or [`MAX_AUTHENTICATION_BYTES`] about an authentication.
    pub fn from_text(text: &str) -> Result<Self, InvalidDemand> {
        // One stands before each.
        if text.bytes().filter(|byte| *byte == b':').count() > MAX_NAMES {
            return Err(InvalidDemand::TooLong);
        }
        if text == Self::DENY {
            return Ok(Self {
                deny: true,
                ..Self::default()
            });
        }
        let mut demand = Self::default();
        for part in text.split(Self::AND) {
            if part == Self::SESSION && !demand.session && demand.requires.is_empty() {
                demand.session = true;
            } else {
                demand.requires.push(Require::from_text(part)?);
            }
        }
        if Require::ask_too_much(&demand.requires) {
            return Err(InvalidDemand::TooLong);
        }
        Ok(demand)
    }

    /// Returns a demand with which each rule says the same of this user: without the groups that decide
    /// nothing beside others. What it takes to apply does not grow with the names times the user's groups.
    #[must_use]
    pub fn of_user(&self, claims: &Claims) -> Self {
        Self {
            requires: Require::all_of_user(&self.requires, claims),
            ..*self
        }
    }

    /// Returns the text for which the plugin vouches with its demand. It is that of no link, for whose
    /// conditions a page vouches too.
    pub fn vouched_text(demand: &str) -> String {
        ["demand ", demand].concat()
    }

    /// Returns the groups that its rules name.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.requires.iter().flat_map(Require::groups)
    }
}

impl From<Require> for Demand {
    fn from(require: Require) -> Self {
        Self {
            requires: Vec::from([require]),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, vec};

    #[test]
    fn only_what_was_written_is_read() {
        for text in [
            "deny",
            "session",
            "any=group:a",
            "session&and&any=group:a&all=maxAge:300",
            "session&and&any=group:a&and&not=claim:department:sales:hr",
        ] {
            assert!(Demand::from_text(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "and",
            "deny&and&any=group:a",
            "any=group:a&and&deny",
            "any=group:a&and&session",
            "session&and&session",
            "session&and&",
            "session&any=group:a",
            "Session",
        ] {
            let invalid = Err(InvalidDemand::Text(InvalidRule));
            assert_eq!(Demand::from_text(text), invalid, "{text}");
        }
    }

    /// Any signed-in user may write it, where a proxy hands it on.
    #[test]
    fn what_costs_too_much_work_is_refused() {
        let classes = |count: usize| -> String {
            let values: Vec<String> = (0..count).map(|at| format!(":{at:03x}")).collect();
            ["all=claim:acr", &values.concat()].concat()
        };
        let groups = |count: usize| -> String {
            let names: Vec<String> = (0..count).map(|at| format!("any=group:{at}")).collect();
            names.join("&")
        };
        let each = |part: &str, count: usize| vec![part; count].join("&");
        for text in [
            classes(15_000),
            classes(512),
            each(&classes(30), 20),
            [&*classes(300), "&and&", &classes(300)].concat(),
            [
                "session&and&",
                &groups(3),
                "&",
                &each("not=claim:amr:otp", 200),
            ]
            .concat(),
            each("any=maxAge:300", 200),
            groups(4_097),
            ["all=claim:department", &":a".repeat(4_096)].concat(),
        ] {
            let refused = Demand::from_text(&text);
            assert_eq!(refused, Err(InvalidDemand::TooLong), "{text:.100}");
        }
        // What rules of that size may ask.
        for text in [classes(500), groups(4_096)] {
            assert!(Demand::from_text(&text).is_ok(), "{text:.100}");
        }
    }

    #[test]
    fn for_a_user_it_says_the_same_with_fewer_groups() {
        use crate::decide::double::{NOW, claims};
        use crate::require::Situation;
        use gatepost_session::MoreClaims;
        use std::string::ToString as _;

        let names = ["staff", "Staff", "board", "none", "other", "left"];
        let conditions = names.iter().map(|name| format!("group:{name}"));
        let conditions: Vec<String> = conditions.chain(["user:alice".to_string()]).collect();
        let mut texts: Vec<String> = Vec::new();
        for one in &conditions {
            for other in &conditions {
                for (a, b) in [
                    ("any", "any"),
                    ("all", "all"),
                    ("not", "not"),
                    ("any", "not"),
                ] {
                    texts.push(format!(
                        "{a}={one}&{b}={other}&any=group:none&any=group:left"
                    ));
                    texts.push(format!("{a}={one}&{b}={other}"));
                }
            }
        }
        let situation = Situation {
            now: Some(NOW),
            bound: false,
        };
        for more in [false, true] {
            for outside in [None, Some("none|board")] {
                let mut user = claims("alice@example.com");
                user.groups = ["staff", "BOARD"].into();
                user.grp_more = more;
                if let Some(outside) = outside {
                    let part = (MoreClaims::GROUPS_IN_PART.to_string(), outside.to_string());
                    user.ext = [part].into_iter().collect();
                }
                for text in &texts {
                    let demand = Demand::from_text(text).expect("a demand");
                    let own = demand.of_user(&user);
                    let ruling = |demand: &Demand| {
                        let all = demand.requires.iter();
                        all.map(|require| require.rule(&user, situation))
                            .collect::<Vec<_>>()
                    };
                    assert_eq!(ruling(&demand), ruling(&own), "{text} {outside:?} {more}");
                }
            }
        }
        let many: Vec<String> = (0..4_000).map(|at| format!("any=group:{at}")).collect();
        let many = Demand::from_text(&many.join("&")).expect("a demand");
        assert_eq!(
            many.of_user(&claims("alice@example.com")).groups().count(),
            1
        );
    }
}
