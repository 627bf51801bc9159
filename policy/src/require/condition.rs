//! One entry of a rule.

use alloc::string::String;
use alloc::vec::Vec;

use gatepost_session::{CLOCK_SKEW_SECONDS, Claims, MoreClaims};

use super::ruling::{Ruling, Situation};

/// A condition on a user's session.
///
/// A kind and texts, whatever the kind is: in the plugin each further type would take its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    kind: Kind,
    /// The name that is asked for, or a claim's name and its values.
    parts: Vec<String>,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Group,
    User,
    Email,
    EmailDomain,
    /// The claim of a name has one of some values: as it is written, or beginning with what is
    /// before a `*` at the end.
    Claim,
    /// The user authenticated at most so many seconds ago.
    MaxAge,
    /// The session is bound to a device.
    DeviceBound,
}

/// The kinds, with their names in the text of a rule.
const KINDS: [(&str, Kind); 7] = [
    ("group", Kind::Group),
    ("user", Kind::User),
    ("email", Kind::Email),
    ("emailDomain", Kind::EmailDomain),
    ("claim", Kind::Claim),
    ("maxAge", Kind::MaxAge),
    ("deviceBound", Kind::DeviceBound),
];

/// Between the entries of a claim that is a list, in the session.
const SEPARATOR: char = '|';

/// Returns whether rules may name a claim in `claims`: those for which there are keys of their own
/// they may not, nor those that say something of the cookie instead of its user.
pub(crate) fn is_claim_of_rules(name: &str) -> bool {
    const OTHERS: [&str; 17] = [
        "acr",
        "amr",
        "aud",
        "auth_time",
        "bound",
        "email",
        "exp",
        "ext",
        "gatepost_assertion",
        "groups",
        "grp_more",
        MoreClaims::GROUPS_IN_PART,
        "iat",
        "nbf",
        "preferred_username",
        "rnw",
        "sid",
    ];
    !OTHERS.contains(&name)
}

impl Condition {
    pub(crate) fn new(kind: Kind, text: String) -> Self {
        Self {
            kind,
            parts: Vec::from([text]),
        }
    }

    /// Makes the condition that a claim has one of these values.
    pub(crate) fn claim(name: String, values: Vec<String>) -> Self {
        let mut condition = Self::new(Kind::Claim, name);
        condition.parts.extend(values);
        condition
    }

    /// Returns whether it is about how or when the user authenticated, and not about who it is.
    pub(crate) fn is_of_authentication(&self) -> bool {
        let claim = self.name();
        self.kind == Kind::MaxAge
            || (self.kind == Kind::Claim && (claim == "acr" || claim == "amr"))
    }

    /// Returns whether it is about the class of the authentication (`acr`).
    pub(super) fn is_of_class(&self) -> bool {
        self.kind == Kind::Claim && self.name() == "acr"
    }

    /// Returns the values of which the claim has to have one.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> + Clone {
        self.parts.iter().skip(1).map(String::as_str)
    }

    /// Returns how easily a user who authenticates satisfies it: any user a recent time, many a class
    /// that the provider is asked for, and some a method, which nothing asks for.
    pub(super) fn ease(&self) -> u8 {
        match self.kind {
            Kind::MaxAge => 2,
            _ => u8::from(self.is_of_class()),
        }
    }

    /// Returns the seconds ago that the user may have authenticated.
    pub(super) fn max_age(&self) -> Option<u64> {
        let seconds = (self.kind == Kind::MaxAge).then(|| self.name());
        seconds?.parse().ok()
    }

    /// Returns whether it asks for a session that is bound to a device.
    pub(crate) fn is_of_device(&self) -> bool {
        self.kind == Kind::DeviceBound
    }

    /// Returns whether it is about a claim that rules name in `claims`.
    pub(crate) fn is_of_claim(&self) -> bool {
        self.kind == Kind::Claim && !self.is_of_authentication()
    }

    /// Returns whether it holds for a session.
    pub(super) fn rule(&self, claims: &Claims, now: Situation) -> Ruling {
        self.ruling(claims, now, false)
    }

    /// Returns whether its opposite holds for a session.
    ///
    /// Another spelling refuses where a name is asked for, and would admit here. So what differs in the
    /// case of ASCII letters alone is the same here, and beside a value `true` or `false` any text that
    /// is neither.
    pub(super) fn opposite(&self, claims: &Claims, now: Situation) -> Ruling {
        self.ruling(claims, now, true).opposite()
    }

    #[inline(never)]
    fn ruling(&self, claims: &Claims, now: Situation, loosely: bool) -> Ruling {
        let own = self.name();
        let is_own = |name: &str| name == own || (loosely && name.eq_ignore_ascii_case(own));
        let held = match (self.kind, now.now) {
            (Kind::DeviceBound, _) => Some(now.bound),
            (Kind::Group, _) => {
                let held = match loosely {
                    false => claims.groups.contains(own),
                    true => claims.groups.iter().any(is_own),
                };
                match (held, is_surely_outside(claims, own)) {
                    (true, _) => Some(true),
                    (false, Some(true)) => Some(false),
                    (false, _) if claims.grp_more => return Ruling::Undecidable,
                    (false, Some(false)) => None,
                    // A provider that sends no groups says nothing of them.
                    (false, None) => (!claims.groups.is_empty()).then_some(false),
                }
            }
            (Kind::User, _) => claims.preferred_username.as_deref().map(is_own),
            (Kind::Email | Kind::EmailDomain, _) => usable_email(claims).map(|(whole, domain)| {
                let theirs = match self.kind {
                    Kind::Email => whole,
                    _ => domain,
                };
                theirs.eq_ignore_ascii_case(own)
            }),
            (_, None) if self.is_of_authentication() => return Ruling::Undecidable,
            (Kind::Claim, _) => self.is_claimed(claims, loosely),
            (Kind::MaxAge, None) => return Ruling::Undecidable,
            (Kind::MaxAge, Some(now)) => claims
                .auth_time
                // In the future it says nothing of how long ago it was.
                .filter(|time| *time <= now.plus_seconds(CLOCK_SKEW_SECONDS))
                .zip(own.parse::<u64>().ok())
                .map(|(time, most)| now.seconds_since(time) <= most),
        };
        match held {
            Some(true) => Ruling::Holds,
            Some(false) => Ruling::Fails,
            None => Ruling::Unknown,
        }
    }

    /// Returns whether the claim has one of the values, or `loosely` may have one; `None` where the
    /// session does not have it.
    pub(super) fn is_claimed(&self, claims: &Claims, loosely: bool) -> Option<bool> {
        let name = self.name();
        if name == "amr" {
            let mut methods = claims.amr.iter();
            let any = methods.any(|method| self.has_value(method, loosely));
            return (!claims.amr.is_empty()).then_some(any);
        }
        if name == "email_verified" {
            let verified = claims.email_verified?;
            return Some(self.has_value(if verified { "true" } else { "false" }, loosely));
        }
        match claims.ext.get(name) {
            Some(text) => {
                let mut entries = text.split(SEPARATOR);
                Some(entries.any(|text| self.has_value(text, loosely)))
            }
            None => claims.text(name).map(|text| self.has_value(text, loosely)),
        }
    }

    #[inline(never)]
    pub(super) fn has_value(&self, text: &str, loosely: bool) -> bool {
        let mut values = self.values();
        if loosely && !is_flag(text) && values.clone().all(is_flag) {
            return true;
        }
        values.any(|value| {
            let (value, text) = match value.strip_suffix('*') {
                Some(beginning) => (beginning, text.get(..beginning.len())),
                None => (value, Some(text)),
            };
            text.is_some_and(|text| text == value || (loosely && text.eq_ignore_ascii_case(value)))
        })
    }

    /// Returns whether it has a value that this one includes or is included in: either may have a `*`
    /// at the end.
    pub(super) fn may_have_value(&self, value: &str) -> bool {
        let beginning = value.strip_suffix('*');
        let begins = |own: &str| {
            let start = own.strip_suffix('*').unwrap_or(own);
            beginning.is_some_and(|beginning| start.starts_with(beginning))
        };
        self.has_value(beginning.unwrap_or(value), false) || self.values().any(begins)
    }

    fn name(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    /// Returns the group that it is about.
    pub(super) fn group(&self) -> Option<&str> {
        (self.kind == Kind::Group).then(|| self.name())
    }

    /// Returns the claim that it is about, if that is one besides those of every session.
    pub(super) fn named_claim(&self) -> Option<&str> {
        self.is_of_claim().then(|| self.name())
    }

    /// Returns the name of its kind, and its texts.
    pub(super) fn parts(&self) -> (&'static str, &[String]) {
        let mut kinds = KINDS.iter().filter(|(_, kind)| *kind == self.kind);
        (kinds.next().map_or("", |(name, _)| name), &self.parts)
    }

    /// Returns the condition with these parts, if there is one.
    pub(super) fn from_parts(name: &str, parts: Vec<String>) -> Option<Self> {
        let (_, kind) = *KINDS.iter().find(|(own, _)| *own == name)?;
        let right_number = match kind {
            Kind::Claim => parts.len() > 1,
            _ => parts.len() == 1,
        };
        let condition = Self { kind, parts };
        // One spelling, as everywhere in this text.
        let number = condition.name().parse::<u64>().ok();
        let is_number = || {
            use alloc::string::ToString as _;
            number.is_some_and(|number| number.to_string() == condition.name())
        };
        let right_text = match kind {
            Kind::MaxAge => is_number(),
            Kind::DeviceBound => condition.name() == "true",
            _ => true,
        };
        (right_number && right_text).then_some(condition)
    }

    /// Returns it as people read it, like `group:staff` or `claim:department:sales,support`.
    pub(super) fn in_words(&self) -> String {
        let (kind, parts) = self.parts();
        let mut words = String::from(kind);
        for (at, part) in parts.iter().enumerate() {
            words.push(if at > 1 { ',' } else { ':' });
            words.push_str(part);
        }
        words
    }
}

fn is_flag(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// Returns whether a session with a part of the user's groups says that one of the others is not
/// among the rest; `None` where it has all groups.
fn is_surely_outside(claims: &Claims, group: &str) -> Option<bool> {
    outside_of(claims).map(|mut outside| outside.any(|name| name == group))
}

/// Returns the groups of which a session with a part of the user's says that they are not among the rest.
pub(super) fn outside_of(claims: &Claims) -> Option<impl Iterator<Item = &str>> {
    let outside = claims.ext.get(MoreClaims::GROUPS_IN_PART)?;
    Some(outside.split(SEPARATOR))
}

/// Returns the session's address and its domain, if the address can be relied on: the provider does not
/// say that it is unverified, and it reads in one way only.
fn usable_email(claims: &Claims) -> Option<(&str, &str)> {
    let address = claims.email.as_deref()?;
    let verified = claims.email_verified != Some(false);
    Some((address, domain_of(address).filter(|_| verified)?))
}

/// Returns the domain of an address that reads in one way only: exactly one `@`, no quoting, no blanks,
/// ASCII only (a lookalike domain is not the domain).
pub(crate) fn domain_of(address: &str) -> Option<&str> {
    let (local, domain) = address.split_once('@')?;
    (is_plain(local) && is_domain(domain)).then_some(domain)
}

/// Returns whether an address that reads in one way only can have this domain.
pub(crate) fn is_domain(text: &str) -> bool {
    // With a dot at its end it is the same domain (RFC 1034 §3.1), which no rule is written with.
    is_plain(text) && !text.ends_with('.')
}

fn is_plain(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'@' | b'"' | b'\\' | b',' | b';');
    !part.is_empty() && part.bytes().all(plain)
}
