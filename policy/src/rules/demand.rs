//! What a request needs by another decider's rules, as the text of a header.

use alloc::vec::Vec;

use crate::require::{InvalidRule, Require};

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
    /// [`InvalidRule`] for any other, also an empty one: no part may get lost unseen.
    pub fn from_text(text: &str) -> Result<Self, InvalidRule> {
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
        Ok(demand)
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
            assert_eq!(Demand::from_text(text), Err(InvalidRule), "{text}");
        }
    }
}
