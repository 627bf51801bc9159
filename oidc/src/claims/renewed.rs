//! The identity of a session after a renewal.
//!
//! A renewal gives no more than a sign-in with the same answers would, and takes back nothing that the
//! provider has said of an address: the source that says so may be the one that fails, or that is not
//! asked since the other has all the rest.

use gatepost_base::Identity;

use super::{ClaimSources, EMAIL, PHONE_NUMBER, Pair, Wanted, flag};
use crate::claim_path::ClaimPath;
use crate::named_claim::joined;

/// Whether every source answered at a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Those that were asked did.
    All,
    /// Userinfo failed.
    NotUserinfo,
}

/// A value, and whether it is verified, where that is known.
type Word = (Option<String>, Option<bool>);

impl ClaimSources<'_> {
    /// Returns whether userinfo is worth asking at a renewal: where a claim is missing, or the word on
    /// a value that userinfo may have said before.
    pub(crate) fn lacks_at_renewal(&self, wanted: &Wanted<'_>, known: &Identity) -> bool {
        let settings = wanted.claims;
        let learnt = known.email_verified.is_some();
        let lacks = |path: &ClaimPath, pair: Pair| {
            self.text_at(path).is_some() && !self.is_said(path, pair)
        };
        let username = wanted.username_is_address()
            && (learnt || known.preferred_username.is_none())
            && lacks(&settings.username, EMAIL);
        let number = wanted.names(PHONE_NUMBER.claim) || wanted.names(PHONE_NUMBER.flag);
        self.lacks(wanted)
            || username
            || (learnt && lacks(&settings.email, EMAIL))
            || (number && lacks(&ClaimPath::top(PHONE_NUMBER.claim), PHONE_NUMBER))
    }

    /// Makes the identity of a session whose user was `known`.
    pub(crate) fn renewed(
        &self,
        wanted: &Wanted<'_>,
        known: &Identity,
        answered: Answered,
    ) -> Identity {
        let mut identity = self.identity(wanted, &known.subject);
        self.keep_the_word_on_addresses(&mut identity, wanted, known, answered);
        self.keep_the_word_on_numbers(&mut identity, wanted, known, answered);
        if answered == Answered::NotUserinfo {
            self.keep_what_is_not_said(&mut identity, wanted, known);
        }
        with_authentication_of(known, identity, wanted)
    }

    fn keep_the_word_on_addresses(
        &self,
        identity: &mut Identity,
        wanted: &Wanted<'_>,
        known: &Identity,
        answered: Answered,
    ) {
        let settings = wanted.claims;
        let before = (known.email.clone(), known.email_verified);
        let (email, verified) = self.word(&settings.email, EMAIL, &before, answered);
        let is_usable = wanted.unverified_email || verified != Some(false);
        identity.email = email.filter(|_| is_usable);
        identity.email_verified = verified;
        if settings.username == settings.email {
            identity.preferred_username.clone_from(&identity.email);
        } else if wanted.username_is_address() {
            let before = (known.preferred_username.clone(), None);
            let (name, verified) = self.word(&settings.username, EMAIL, &before, answered);
            // Nobody has said whether the name that the user did not get is verified.
            let is_unknown = name.is_some()
                && !self.is_said(&settings.username, EMAIL)
                && known.preferred_username.is_none();
            let is_usable = wanted.unverified_email || !(is_unknown || verified == Some(false));
            identity.preferred_username = name.filter(|_| is_usable);
        }
        if wanted.names(EMAIL.flag) {
            set(identity, EMAIL.flag, verified.map(|flag| flag.to_string()));
        }
        // Whether an address is verified that was never said to be either is not known from this.
        let is_made_up = known.email_verified.is_none() && !self.is_said(&settings.email, EMAIL);
        if is_made_up && identity.email.is_none() {
            identity.email_verified = None;
            set(identity, EMAIL.flag, None);
        }
    }

    fn keep_the_word_on_numbers(
        &self,
        identity: &mut Identity,
        wanted: &Wanted<'_>,
        known: &Identity,
        answered: Answered,
    ) {
        let (number, flag) = (PHONE_NUMBER.claim, PHONE_NUMBER.flag);
        let mut claims = wanted.extra.iter();
        let claim = claims.find(|claim| claim.name == number);
        // One that was read for headers alone may be unverified.
        let is_trusted = claim.is_none_or(|claim| !claim.is_by_rules())
            || known.claims_of_rules.contains(number);
        let before = known.extra.get(number).filter(|_| is_trusted).cloned();
        let said = known.extra.get(flag).map(|text| text == "true");
        let (value, verified) = self.word(
            &ClaimPath::top(number),
            PHONE_NUMBER,
            &(before, said),
            answered,
        );
        if let Some(claim) = claim {
            let value = value.filter(|text| claim.takes_number(text, verified));
            set(identity, number, value);
        }
        if wanted.names(flag) {
            set(identity, flag, verified.map(|flag| flag.to_string()));
        }
    }

    /// Returns a value and whether it is verified, where `known` is what was known of it before.
    fn word(&self, path: &ClaimPath, pair: Pair, known: &Word, answered: Answered) -> Word {
        let (value, verified) = self.pair(path, pair);
        let unverified = known.1.filter(|verified| !verified);
        match (value, answered) {
            // A source may say it without the value, which is the failing one's.
            (None, Answered::NotUserinfo) if self.denies(path, pair) => (None, Some(false)),
            (None, Answered::NotUserinfo) => known.clone(),
            (None, Answered::All) => (None, unverified),
            (value, _) if self.is_said(path, pair) => (value, verified),
            // What was said to be unverified is so until a source says another thing.
            (value, Answered::All) => (value, unverified),
            (Some(value), Answered::NotUserinfo) => {
                let is_same = known
                    .0
                    .as_ref()
                    .is_some_and(|own| own.eq_ignore_ascii_case(&value));
                // The provider never says, or the source that would say it is the one that failed.
                let never_says =
                    pair.claim == EMAIL.claim && known.0.is_some() && known.1.is_none();
                let verified = if is_same || never_says {
                    known.1
                } else {
                    Some(false)
                };
                (Some(value), verified)
            }
        }
    }

    /// Returns whether a source says whether the value at a path is verified.
    fn is_said(&self, path: &ClaimPath, pair: Pair) -> bool {
        self.0.iter().any(|claims| pair.is_said(claims, path))
    }

    /// Returns whether a source says that it is not.
    fn denies(&self, path: &ClaimPath, pair: Pair) -> bool {
        let denied = |claims: &&_| {
            super::own_flag(claims, path).or_else(|| flag(claims, pair.flag)) == Some(false)
        };
        self.0.iter().any(denied)
    }

    /// Keeps what the ID token does not say and userinfo would have said.
    fn keep_what_is_not_said(
        &self,
        identity: &mut Identity,
        wanted: &Wanted<'_>,
        known: &Identity,
    ) {
        let settings = wanted.claims;
        if !wanted.username_is_address() && identity.preferred_username.is_none() {
            identity
                .preferred_username
                .clone_from(&known.preferred_username);
        }
        identity.name = identity.name.take().or_else(|| known.name.clone());
        if !self.says_groups(settings) {
            identity.groups.clone_from(&known.groups);
            identity.groups_whole = known.groups_whole;
        }
        let pairs = [EMAIL.flag, PHONE_NUMBER.claim, PHONE_NUMBER.flag];
        for (name, text) in &known.extra {
            if !self.says_named(name) && !pairs.contains(&name.as_str()) {
                identity.extra.insert(name.clone(), text.clone());
                if !known.claims_of_rules.contains(name) {
                    identity.claims_of_rules.remove(name);
                }
            }
        }
    }
}

impl Wanted<'_> {
    fn names(&self, claim: &str) -> bool {
        self.extra.iter().any(|own| own.name == claim)
    }
}

/// Keeps how and when the user was authenticated, since a renewal is not an authentication.
///
/// A refreshed ID token has the time of the original authentication (OpenID Connect Core 1.0 §12.2).
/// Some providers write the time of issue, or say how the user authenticated since, elsewhere: with
/// that a session would be fresh for ever, or a copy of it would become as strong as another one of
/// the same user. Only an earlier time counts.
fn with_authentication_of(
    known: &Identity,
    mut identity: Identity,
    wanted: &Wanted<'_>,
) -> Identity {
    identity.auth_time = known.auth_time.min(identity.auth_time.or(known.auth_time));
    identity.acr.clone_from(&known.acr);
    identity.amr.clone_from(&known.amr);
    // So do the headers that show it, also those that were not asked for then.
    let auth_time = known.auth_time.map(|at| at.as_seconds().to_string());
    for (name, before) in [("amr", joined(&known.amr)), ("auth_time", auth_time)] {
        if wanted.names(name) {
            set(
                &mut identity,
                name,
                known.extra.get(name).cloned().or(before),
            );
        }
    }
    identity
}

/// Sets a claim beyond the standard ones, or removes it.
fn set(identity: &mut Identity, name: &str, text: Option<String>) {
    match text {
        Some(text) => drop(identity.extra.insert(name.to_owned(), text)),
        None => drop(identity.extra.remove(name)),
    }
}

#[cfg(test)]
mod tests;
