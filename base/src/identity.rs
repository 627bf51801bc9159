//! A verified person.

use std::collections::BTreeMap;

use gatepost_session::{Claims, NumericDate, SessionId};
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
    /// How the person was authenticated: the context class.
    pub acr: Option<String>,
    /// How the person was authenticated: the methods.
    pub amr: Vec<String>,
    /// When the person last authenticated.
    pub auth_time: Option<NumericDate>,
    /// The claims beyond these that header rules name, each as one text.
    pub extra: BTreeMap<String, String>,
}

impl Identity {
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
            ext: self.extra.into_iter().collect(),
        }
    }
}
