//! The rule for signed-in users.

use alloc::string::String;
use alloc::vec::Vec;

use gatepost_session::Claims;

mod text;

pub use text::InvalidRule;

/// A rule over a person's groups, user name and e-mail address, and over the session. An empty rule
/// admits every signed-in user.
///
/// Group and user names are compared exactly, e-mail addresses and domains without regard to
/// ASCII case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    any: Vec<Condition>,
    all: Vec<Condition>,
}

/// A condition on a user's claims.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Group(String),
    User(String),
    Email(String),
    EmailDomain(String),
    /// The session is bound to a device.
    DeviceBound,
}

/// What a rule says of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The rule holds.
    Holds,
    /// The rule does not hold.
    Fails,
    /// The rule depends on a group that the cookie leaves out: only the outpost can decide.
    Undecidable,
}

impl Ruling {
    /// Combines the results of two rules that must both hold.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fails, _) | (_, Self::Fails) => Self::Fails,
            (Self::Undecidable, _) | (_, Self::Undecidable) => Self::Undecidable,
            (Self::Holds, Self::Holds) => Self::Holds,
        }
    }
}

/// The lists of a rule, as an operator writes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    pub(crate) groups: Vec<String>,
    pub(crate) users: Vec<String>,
    pub(crate) emails: Vec<String>,
    pub(crate) email_domains: Vec<String>,
}

impl Lists {
    fn into_conditions(self) -> Vec<Condition> {
        let mut conditions = Vec::new();
        conditions.extend(self.groups.into_iter().map(Condition::Group));
        conditions.extend(self.users.into_iter().map(Condition::User));
        conditions.extend(self.emails.into_iter().map(Condition::Email));
        for domain in self.email_domains {
            let domain = domain
                .strip_prefix('@')
                .map_or(domain.as_str(), |bare| bare);
            conditions.push(Condition::EmailDomain(domain.into()));
        }
        conditions
    }
}

impl Require {
    /// Makes the rule that needs at least one entry of `any`, if it has entries, and every entry of
    /// `all`.
    pub(crate) fn new(any: Lists, all: Lists) -> Self {
        Self {
            any: any.into_conditions(),
            all: all.into_conditions(),
        }
    }

    /// Makes the rule that admits the members of at least one of these groups.
    pub fn any_group(groups: impl IntoIterator<Item = String>) -> Self {
        Self {
            any: groups.into_iter().map(Condition::Group).collect(),
            all: Vec::new(),
        }
    }

    /// Makes the same rule, which only sessions fulfil that are bound to a device.
    #[must_use]
    pub(crate) fn with_device(mut self) -> Self {
        self.all.push(Condition::DeviceBound);
        self
    }

    /// Returns whether only sessions that are bound to a device fulfil the rule.
    pub fn needs_device(&self) -> bool {
        self.all.contains(&Condition::DeviceBound)
    }

    /// Returns the result of the rule for this session.
    pub fn rule(&self, claims: &Claims) -> Ruling {
        self.rule_as(claims, claims.bound)
    }

    /// Returns the result of the rule for the user of this session, as if it were bound to a device:
    /// a session begins without.
    pub fn rule_on_user(&self, claims: &Claims) -> Ruling {
        self.rule_as(claims, true)
    }

    fn rule_as(&self, claims: &Claims, bound: bool) -> Ruling {
        let any = if self.any.is_empty() {
            Ruling::Holds
        } else {
            self.any.iter().fold(Ruling::Fails, |so_far, condition| {
                match (so_far, condition.rule(claims, bound)) {
                    (Ruling::Holds, _) | (_, Ruling::Holds) => Ruling::Holds,
                    (Ruling::Undecidable, _) | (_, Ruling::Undecidable) => Ruling::Undecidable,
                    (Ruling::Fails, Ruling::Fails) => Ruling::Fails,
                }
            })
        };
        self.all.iter().fold(any, |so_far, condition| {
            so_far.and(condition.rule(claims, bound))
        })
    }

    /// Returns the result for a session of this rule and `extra_rule`, which must both hold. `bound`
    /// says whether the session is to count as bound to a device.
    pub(crate) fn rule_with(
        &self,
        extra_rule: Option<&Self>,
        claims: &Claims,
        bound: bool,
    ) -> Ruling {
        let extra_rule = extra_rule.map_or(Ruling::Holds, |extra_rule| {
            extra_rule.rule_as(claims, bound)
        });
        self.rule_as(claims, bound).and(extra_rule)
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
        any_holds && among(&other.all, &self.all)
    }

    /// Returns the groups the rule names: those that a cookie must not leave out.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.any
            .iter()
            .chain(&self.all)
            .filter_map(|condition| match condition {
                Condition::Group(name) => Some(name.as_str()),
                _ => None,
            })
    }
}

impl Condition {
    fn rule(&self, claims: &Claims, bound: bool) -> Ruling {
        let held = match self {
            Self::Group(name) => {
                let listed = claims.groups.contains(name);
                if !listed && claims.grp_more {
                    return Ruling::Undecidable;
                }
                listed
            }
            Self::User(name) => claims.preferred_username.as_ref() == Some(name),
            Self::Email(address) => {
                usable_email(claims).is_some_and(|(whole, _)| whole.eq_ignore_ascii_case(address))
            }
            Self::EmailDomain(domain) => {
                usable_email(claims).is_some_and(|(_, own)| own.eq_ignore_ascii_case(domain))
            }
            Self::DeviceBound => bound,
        };
        if held { Ruling::Holds } else { Ruling::Fails }
    }
}

/// Returns the address and its domain, if the address can be relied on: the provider does not say
/// that it is unverified, and it reads in one way only. Exactly one `@`, no quoting, no
/// blanks, ASCII only (a lookalike domain is not the domain).
fn usable_email(claims: &Claims) -> Option<(&str, &str)> {
    if claims.email_verified == Some(false) {
        return None;
    }
    let address = claims.email.as_deref()?;
    let (local, domain) = address.split_once('@')?;
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'@' | b'"' | b'\\' | b',' | b';');
    let usable = |part: &str| !part.is_empty() && part.bytes().all(plain);
    (usable(local) && usable(domain)).then_some((address, domain))
}

#[cfg(test)]
mod tests {
    use gatepost_session::TextList;

    use super::*;
    use crate::decide::double::claims;

    fn lists(groups: &[&str], domains: &[&str]) -> Lists {
        let owned = |list: &[&str]| list.iter().map(|entry| String::from(*entry)).collect();
        Lists {
            groups: owned(groups),
            email_domains: owned(domains),
            ..Lists::default()
        }
    }

    #[test]
    fn a_rule_is_within_another_where_it_asks_for_as_much() {
        let none = Lists::default;
        let any = |groups: &[&str]| Require::new(lists(groups, &[]), none());
        let all = |groups: &[&str]| Require::new(none(), lists(groups, &[]));
        for (own, other, expected) in [
            (any(&[]), any(&[]), true),
            (any(&["a"]), any(&[]), true),
            (any(&[]), any(&["a"]), false),
            (any(&["a"]), any(&["a"]), true),
            (any(&["a"]), any(&["b", "a"]), true),
            (any(&["b", "a"]), any(&["a"]), false),
            (all(&["a", "b"]), all(&["a"]), true),
            (all(&["a"]), all(&["a", "b"]), false),
            (all(&["a"]), any(&["a", "b"]), true),
            (any(&["a"]), all(&["a"]), false),
        ] {
            assert_eq!(own.is_within(&other), expected, "{own:?} {other:?}");
        }
    }

    #[test]
    fn any_needs_one_and_all_needs_every_entry() {
        let none = Lists::default;
        let cases = [
            ("nothing asked", Require::new(none(), none()), Ruling::Holds),
            (
                "one of two",
                Require::new(lists(&["x", "staff"], &[]), none()),
                Ruling::Holds,
            ),
            (
                "none of two",
                Require::new(lists(&["x", "y"], &[]), none()),
                Ruling::Fails,
            ),
            (
                "case differs",
                Require::new(lists(&["Staff"], &[]), none()),
                Ruling::Fails,
            ),
            (
                "all held",
                Require::new(none(), lists(&["staff", "dev"], &[])),
                Ruling::Holds,
            ),
            (
                "one missing",
                Require::new(none(), lists(&["staff", "x"], &[])),
                Ruling::Fails,
            ),
            (
                "any and all",
                Require::new(lists(&["x"], &["example.com"]), lists(&["dev"], &[])),
                Ruling::Holds,
            ),
            (
                "any holds, all does not",
                Require::new(lists(&["staff"], &[]), lists(&["x"], &[])),
                Ruling::Fails,
            ),
        ];
        let person = Claims {
            groups: ["staff", "dev"].into(),
            ..claims("a@example.com")
        };
        for (case, rule, expected) in cases {
            assert_eq!(rule.rule(&person), expected, "{case}");
        }
    }

    #[test]
    fn a_device_is_asked_of_the_session_and_not_of_the_user() {
        let staff = || Require::new(lists(&["staff"], &[]), Lists::default());
        let rule = staff().with_device();
        let unbound = Claims {
            groups: ["staff"].into(),
            ..claims("a@example.com")
        };
        let bound = Claims {
            bound: true,
            ..unbound.clone()
        };
        let outsider = Claims {
            groups: TextList::default(),
            ..bound.clone()
        };
        for (case, claims, of_session, of_user) in [
            ("bound", &bound, Ruling::Holds, Ruling::Holds),
            ("unbound", &unbound, Ruling::Fails, Ruling::Holds),
            ("an outsider's", &outsider, Ruling::Fails, Ruling::Fails),
        ] {
            assert_eq!(rule.rule(claims), of_session, "{case}");
            assert_eq!(rule.rule_on_user(claims), of_user, "{case}");
        }
        assert!(rule.needs_device() && !staff().needs_device());
        assert!(rule.is_within(&staff()) && !staff().is_within(&rule));
    }

    #[test]
    fn groups_left_out_of_the_cookie_make_only_their_absence_undecidable() {
        let person = Claims {
            groups: ["staff"].into(),
            grp_more: true,
            ..claims("a@example.com")
        };
        let none = Lists::default;
        let cases = [
            (
                "listed",
                Require::new(lists(&["staff"], &[]), none()),
                Ruling::Holds,
            ),
            (
                "not listed",
                Require::new(lists(&["x"], &[]), none()),
                Ruling::Undecidable,
            ),
            (
                "another entry holds",
                Require::new(lists(&["x"], &["example.com"]), none()),
                Ruling::Holds,
            ),
            (
                "another entry fails for sure",
                Require::new(none(), lists(&["x"], &["other.example"])),
                Ruling::Fails,
            ),
        ];
        for (case, rule, expected) in cases {
            assert_eq!(rule.rule(&person), expected, "{case}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_relied_on_matches_no_rule() {
        let rule = Require::new(lists(&[], &["@Example.com"]), Lists::default());
        for (email, expected) in [
            ("a@example.com", Ruling::Holds),
            ("A@EXAMPLE.COM", Ruling::Holds),
            ("a@evil.example@example.com", Ruling::Fails),
            ("\"a@evil\"@example.com", Ruling::Fails),
            ("a@example.com ", Ruling::Fails),
            ("a b@example.com", Ruling::Fails),
            ("@example.com", Ruling::Fails),
            ("a@sub.example.com", Ruling::Fails),
            ("a@exampl\u{435}.com", Ruling::Fails),
            ("example.com", Ruling::Fails),
        ] {
            assert_eq!(rule.rule(&claims(email)), expected, "{email}");
        }
        let unverified = Claims {
            email_verified: Some(false),
            ..claims("a@example.com")
        };
        assert_eq!(rule.rule(&unverified), Ruling::Fails);
        let absent = Claims {
            email: None,
            ..claims("")
        };
        assert_eq!(rule.rule(&absent), Ruling::Fails);
    }
}
