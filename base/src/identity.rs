//! A verified person.

use std::collections::{BTreeMap, BTreeSet};

use gatepost_session::{Claims, MoreClaims, NumericDate, SessionId};
use serde::{Deserialize, Serialize};

/// A person, as a provider stated and the outpost verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// The person's stable id there.
    pub subject: String,
    /// The name the person signs in with.
    pub preferred_username: Option<String>,
    /// The full name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether the provider has verified the address.
    pub email_verified: Option<bool>,
    /// All groups.
    pub groups: Vec<String>,
    /// Whether the provider's list of groups was read whole: a group that is not among them is one
    /// that the user is not in. Sessions from before this was remembered do not say so.
    #[serde(default)]
    pub groups_whole: bool,
    /// How the person was authenticated: the context class.
    pub acr: Option<String>,
    /// How the person was authenticated: the methods.
    pub amr: Vec<String>,
    /// When the person last authenticated.
    pub auth_time: Option<NumericDate>,
    /// The claims beyond these that rules and headers name, each as one text.
    pub extra: BTreeMap<String, String>,
    /// The names of those that were read for rules, and not for headers alone: as headers show it, a
    /// text may read as another, and a list may lack entries.
    #[serde(default)]
    pub claims_of_rules: BTreeSet<String>,
}

impl Identity {
    /// Leaves the claims out that rules name but that were not read for them: so of a session from
    /// before a rule named them, of which the rule must know nothing.
    pub fn leave_out_unread<'n>(&mut self, named_by_rules: impl IntoIterator<Item = &'n str>) {
        for name in named_by_rules {
            if !self.claims_of_rules.contains(name) {
                self.extra.remove(name);
            }
        }
    }

    /// Returns the claims of a session of this user at `audience`, with all groups: issued at one
    /// moment, to be renewed from `renew_at`, in force until `ends`.
    pub fn into_claims(
        self,
        audience: String,
        session: SessionId,
        issued: NumericDate,
        renew_at: NumericDate,
        ends: NumericDate,
    ) -> Claims {
        let part = (!self.groups.is_empty() && !self.groups_whole)
            .then(|| (MoreClaims::GROUPS_IN_PART.to_owned(), String::new()));
        Claims {
            iss: self.issuer,
            sub: self.subject,
            aud: audience,
            sid: session,
            iat: issued,
            exp: ends,
            rnw: renew_at,
            nbf: None,
            preferred_username: self.preferred_username,
            name: self.name,
            email: self.email,
            email_verified: self.email_verified,
            groups: self.groups.iter().collect(),
            grp_more: false,
            acr: self.acr,
            amr: self.amr.iter().collect(),
            auth_time: self.auth_time,
            bound: false,
            ext: part.into_iter().chain(self.extra).collect(),
        }
    }
}
