//! A pattern of the headers that no client may send, for a proxy that removes headers by one.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::HeaderRules;
use super::other_systems::{self, PREFIXES, PROXIES_ALIASES};
use crate::header_name::HeaderName;

/// What upstreams may read as the `-` of a name, in a pattern that does not tell letters' case.
const SIGN: &str = r"[\W_]";

impl HeaderRules {
    /// Returns a regular expression (RE2, as Traefik reads it) that matches the names that
    /// [`Self::owns`] has, in every spelling, and no other.
    pub fn owned_pattern(&self) -> String {
        let mut parts: Vec<String> = PROXIES_ALIASES.map(String::from).into();
        for prefix in PREFIXES {
            let passing: Vec<String> = self
                .pass_through
                .iter()
                .map(|name| name.as_str().to_ascii_lowercase())
                .filter(|name| name.starts_with(prefix) && self.passes(name.as_bytes()))
                .collect();
            let passing: Vec<&str> = passing.iter().map(String::as_str).collect();
            all_but(prefix, &passing, &mut parts);
        }
        let mut names: Vec<&str> = other_systems::names(self.guards_methods).collect();
        names.extend(self.names().chain(&self.api_key).map(HeaderName::as_str));
        let mut exact = BTreeSet::new();
        for name in names {
            let is_in_family = other_systems::has_prefix(name.as_bytes());
            if self.owns(name.as_bytes()) && !is_in_family {
                exact.insert(format!("{}$", spelled(name)));
            }
        }
        parts.extend(exact);
        let kept = self.pass_through.iter().map(HeaderName::as_str);
        parts.extend(
            kept.filter(|kept| self.owns_alias_of(kept))
                .flat_map(aliases),
        );
        format!("(?i)^({})", parts.join("|"))
    }

    /// Returns whether [`Self::owns`] has a name in other spellings than that one.
    fn owns_alias_of(&self, name: &str) -> bool {
        self.owns(name.replace('-', "_").as_bytes())
    }
}

/// Returns patterns of the spellings of a name in which another sign stands for some `-`.
fn aliases(name: &str) -> impl Iterator<Item = String> {
    name.match_indices('-').map(|(at, sign)| {
        let (start, rest) = name.split_at(at);
        let start = start.to_ascii_lowercase();
        let rest = spelled(rest.strip_prefix(sign).unwrap_or(rest));
        format!("{start}[^a-z0-9-]{rest}$")
    })
}

/// Adds patterns of all names that begin like this, but not of these.
fn all_but(start: &str, passing: &[&str], parts: &mut Vec<String>) {
    if passing.is_empty() {
        parts.push(spelled(start));
        return;
    }
    let here = spelled(start);
    if !passing.contains(&start) {
        parts.push(format!("{here}$"));
    }
    let next: BTreeSet<char> = passing
        .iter()
        .filter_map(|name| name.get(start.len()..)?.chars().next())
        .collect();
    let letters: String = next.iter().collect();
    parts.push(if next.is_empty() {
        // Every longer name.
        format!("{here}.")
    } else if next.contains(&'-') {
        // Every letter but these: RE2 has no difference of classes.
        let others: String = ('a'..='z')
            .chain('0'..='9')
            .filter(|c| !next.contains(c))
            .collect();
        format!("{here}[{others}]")
    } else {
        format!("{here}[^{letters}]")
    });
    for letter in next {
        let longer = format!("{start}{letter}");
        let further: Vec<&str> = passing
            .iter()
            .copied()
            .filter(|name| name.starts_with(&longer))
            .collect();
        all_but(&longer, &further, parts);
    }
}

/// Returns the pattern of a name, which has letters, digits and signs.
fn spelled(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => c.to_ascii_lowercase().to_string(),
            _ => SIGN.to_string(),
        })
        .collect()
}
