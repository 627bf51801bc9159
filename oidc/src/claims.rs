//! Making an [`Identity`] of verified claims.

use std::collections::{BTreeMap, BTreeSet};

use gatepost_base::Identity;
use serde_json::{Map, Value};

use crate::claim_path::ClaimPath;
use crate::groups::{groups, left_out};
use crate::json::{text, time};
use crate::named_claim::{NamedClaim, texts};
use crate::settings::ClaimSettings;

mod renewed;

pub(crate) use renewed::Answered;

/// Verified claims of several sources. Each claim is taken of the first source that has it, and
/// claims that mean something together only are taken of one source.
pub(crate) struct ClaimSources<'a>(pub(crate) Vec<&'a Map<String, Value>>);

/// What an identity takes from claims.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The verified issuer.
    pub(crate) issuer: &'a str,
    /// Where the standard claims are.
    pub(crate) claims: &'a ClaimSettings,
    /// Claims beyond the standard ones.
    pub(crate) extra: &'a [NamedClaim],
    /// Whether an address is wanted that the provider calls unverified.
    pub(crate) unverified_email: bool,
}

impl Wanted<'_> {
    /// Returns whether the name that a user signs in with is an address.
    fn username_is_address(&self) -> bool {
        let ClaimSettings {
            username, email, ..
        } = self.claims;
        username.is_top(EMAIL.claim) || username == email
    }
}

/// A claim that says of another whether it is verified, in the same source alone (OpenID Connect
/// Core 1.0 §5.1).
#[derive(Clone, Copy)]
struct Pair {
    claim: &'static str,
    flag: &'static str,
}

const EMAIL: Pair = Pair {
    claim: "email",
    flag: "email_verified",
};
const PHONE_NUMBER: Pair = Pair {
    claim: "phone_number",
    flag: "phone_number_verified",
};

impl Pair {
    /// Returns whether a source says that `value`, which it has at `path`, is verified.
    ///
    /// The flag is about the standard claim. A value of another claim that is no other than the
    /// standard claim's is verified with it; of any other, `<claim>_verified` has to say so, since
    /// users can often set such a claim themselves.
    fn verifies(self, claims: &Map<String, Value>, path: &ClaimPath, value: &str) -> Option<bool> {
        if path.is_top(self.claim) {
            return flag(claims, self.flag);
        }
        if let Some(verified) = own_flag(claims, path) {
            return Some(verified);
        }
        let verified = flag(claims, self.flag)?;
        let standard = text(claims, self.claim);
        Some(verified && standard.is_some_and(|own| own.eq_ignore_ascii_case(value)))
    }

    /// Returns whether a source says anything of the kind.
    fn is_said(self, claims: &Map<String, Value>, path: &ClaimPath) -> bool {
        flag(claims, self.flag).is_some() || own_flag(claims, path).is_some()
    }
}

/// Returns what `<claim>_verified` says of a claim at the top.
fn own_flag(claims: &Map<String, Value>, path: &ClaimPath) -> Option<bool> {
    flag(claims, &format!("{}_verified", path.top_name()?))
}

/// Returns a flag that is there. Anything but `true` counts as false.
fn flag(claims: &Map<String, Value>, name: &str) -> Option<bool> {
    let flag = claims.get(name).filter(|flag| !flag.is_null())?;
    Some(match flag {
        Value::Bool(verified) => *verified,
        Value::String(text) => text == "true",
        _ => false,
    })
}

/// How and when a user was authenticated: of one authentication.
const AUTHENTICATION: [&str; 3] = ["acr", "amr", "auth_time"];

impl<'a> ClaimSources<'a> {
    fn at(&self, path: &ClaimPath) -> Option<&'a Value> {
        self.0.iter().find_map(|claims| path.find(claims))
    }

    /// Returns whether there is a value at a path.
    pub(crate) fn says(&self, path: &ClaimPath) -> bool {
        self.at(path).is_some()
    }

    /// Returns whether there is a claim of this name, which may be a path.
    pub(crate) fn says_named(&self, name: &str) -> bool {
        self.says(&path(name))
    }

    /// Returns whether a groups claim is there.
    pub(crate) fn says_groups(&self, settings: &ClaimSettings) -> bool {
        settings.groups.iter().any(|path| self.says(path))
    }

    /// Returns the first text at a path.
    fn text_at(&self, path: &ClaimPath) -> Option<String> {
        self.0
            .iter()
            .find_map(|claims| first_text(path.find(claims)?))
    }

    /// Returns whether a claim that an identity takes is missing, so that userinfo is worth asking.
    pub(crate) fn lacks(&self, wanted: &Wanted<'_>) -> bool {
        let ClaimSettings {
            username, email, ..
        } = wanted.claims;
        !self.says_groups(wanted.claims)
            || self.text_at(username).is_none()
            || self.text_at(email).is_none()
            || wanted
                .extra
                .iter()
                .any(|claim| !self.says_named(&claim.name))
    }

    /// Makes the identity that these claims describe. Issuer and subject are the verified ones.
    pub(crate) fn identity(&self, wanted: &Wanted<'_>, subject: &str) -> Identity {
        let settings = wanted.claims;
        let usable = |verified| wanted.unverified_email || verified != Some(false);
        let (email, email_verified) = self.pair(&settings.email, EMAIL);
        let email = email.filter(|_| usable(email_verified));
        let username = if wanted.username_is_address() {
            // An address that is not verified is not a name either: it may be another user's.
            let (address, verified) = self.pair(&settings.username, EMAIL);
            address.filter(|_| usable(verified))
        } else {
            self.text_at(&settings.username)
        };
        let signed = self.signed();
        let (groups, whole) = groups(&self.0, settings);
        Identity {
            issuer: wanted.issuer.to_owned(),
            subject: subject.to_owned(),
            preferred_username: username,
            name: self.text_at(&settings.name),
            email,
            email_verified,
            groups,
            groups_whole: whole && !self.0.iter().any(|claims| left_out(claims, settings)),
            acr: signed
                .and_then(|claims| text(claims, "acr"))
                .map(str::to_owned),
            amr: signed
                .and_then(|claims| claims.get("amr"))
                .map(texts)
                .unwrap_or_default(),
            auth_time: signed.and_then(|claims| time(claims, "auth_time")),
            claims_of_rules: self.claims_of_rules(wanted),
            extra: self.extra(wanted),
        }
    }

    /// Returns a value and whether it is verified, both of the first source that says both.
    ///
    /// Where no source says whether anything is verified, the value is returned alone: many
    /// providers never say. Where one does and not of this value, it is not verified; anything but
    /// `true` counts as not.
    fn pair(&self, path: &ClaimPath, pair: Pair) -> (Option<String>, Option<bool>) {
        let mut whole = self.0.iter().filter_map(|claims| {
            let value = first_text(path.find(claims)?)?;
            let verified = pair.verifies(claims, path, &value)?;
            Some((Some(value), Some(verified)))
        });
        whole.next().unwrap_or_else(|| {
            let said = self.0.iter().any(|claims| pair.is_said(claims, path));
            let value = self.text_at(path);
            let verified = (said && value.is_some()).then_some(false);
            (value, verified)
        })
    }

    /// Returns the source that says how and when the user was authenticated, for rules: the token alone.
    /// Userinfo is not about one authentication, and the provider does not sign it.
    fn signed(&self) -> Option<&'a Map<String, Value>> {
        self.0.first().copied()
    }

    /// Returns the first source that says how the user was authenticated, alone.
    fn authentication(&self) -> Self {
        let says = |claims: &&&'a Map<String, Value>| {
            AUTHENTICATION
                .iter()
                .any(|claim| claims.get(*claim).is_some_and(|value| !value.is_null()))
        };
        Self(self.0.iter().find(says).copied().into_iter().collect())
    }

    fn extra(&self, wanted: &Wanted<'_>) -> BTreeMap<String, String> {
        const OWN: [&str; 9] = [
            "iss",
            "sub",
            "aud",
            "sid",
            "preferred_username",
            "name",
            "email",
            "acr",
            "groups",
        ];
        let names = wanted.extra.iter();
        names
            .filter(|claim| !OWN.contains(&claim.name.as_str()))
            .filter_map(|claim| Some((claim.name.clone(), self.one_text(claim, wanted.claims)?)))
            .collect()
    }

    /// Returns the names of the claims that were read for rules.
    fn claims_of_rules(&self, wanted: &Wanted<'_>) -> BTreeSet<String> {
        let by_rules = wanted.extra.iter().filter(|claim| claim.is_by_rules());
        by_rules.map(|claim| claim.name.clone()).collect()
    }

    /// Returns a claim as one text, of the source of those that it belongs to.
    fn one_text(&self, claim: &NamedClaim, settings: &ClaimSettings) -> Option<String> {
        let name = claim.name.as_str();
        let phone_number = ClaimPath::top(PHONE_NUMBER.claim);
        let verified = match name {
            // Of the address that the identity has.
            _ if name == EMAIL.flag => Some(self.pair(&settings.email, EMAIL).1),
            _ if name == PHONE_NUMBER.flag => Some(self.pair(&phone_number, PHONE_NUMBER).1),
            _ => None,
        };
        if let Some(verified) = verified {
            return verified.map(|verified| verified.to_string());
        }
        if name == PHONE_NUMBER.claim {
            let (number, verified) = self.pair(&phone_number, PHONE_NUMBER);
            return number.filter(|text| claim.takes_number(text, verified));
        }
        let value = if AUTHENTICATION.contains(&name) {
            self.authentication().at(&path(name))
        } else {
            self.at(&path(name))
        };
        let value = value?;
        claim.text(value)
    }
}

/// Returns a claim's name as a path.
fn path(claim: &str) -> ClaimPath {
    ClaimPath::parse(claim).unwrap_or_else(|| ClaimPath::top(claim))
}

/// Returns a text, or the first of a list (B2C's `emails`). An empty one counts as absent.
fn first_text(value: &Value) -> Option<String> {
    match value {
        Value::Array(list) => list.first().and_then(Value::as_str),
        value => value.as_str(),
    }
    .filter(|text| !text.is_empty())
    .map(str::to_owned)
}

#[cfg(test)]
mod tests;
