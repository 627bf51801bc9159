//! What an assertion says, and who signs it.

use std::sync::Arc;

use gatepost_policy::{ASSERTION_CLAIM, HeaderName};
use gatepost_session::{Claims, NumericDate};
use serde::Serialize;

use super::algorithm::{Algorithm, Unsigned};
use super::keys::{AssertionKey, AssertionKeys};

/// The header of an assertion unless the application has another.
pub const DEFAULT_HEADER: &str = "X-Gatepost-Assertion";

/// The words for the headers of other systems, which applications may read already.
pub const HEADER_WORDS: [(&str, &str); 3] = [
    ("cloudflare", "Cf-Access-Jwt-Assertion"),
    ("google", "X-Goog-Iap-Jwt-Assertion"),
    ("pomerium", "X-Pomerium-Jwt-Assertion"),
];

/// Holds what an application wants to know of its user, and the algorithm and the header for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionSettings {
    /// How it is signed.
    pub algorithm: Algorithm,
    /// The header that has it.
    pub header: HeaderName,
    /// What it says of the user.
    pub claims: AssertedClaims,
}

/// What an assertion says of the user besides the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "a set of claims")]
pub struct AssertedClaims {
    /// `email` and `email_verified`.
    pub email: bool,
    /// `name`.
    pub name: bool,
    /// `preferred_username`.
    pub preferred_username: bool,
    /// `groups`, and `grp_more` where they are not all.
    pub groups: bool,
}

impl AssertedClaims {
    /// All of them.
    pub const ALL: Self = Self {
        email: true,
        name: true,
        preferred_username: true,
        groups: true,
    };

    /// None of them.
    pub const NONE: Self = Self {
        email: false,
        name: false,
        preferred_username: false,
        groups: false,
    };
}

/// Signs the assertions for one application.
#[derive(Debug)]
pub struct AssertionSigner {
    issuer: String,
    claims: AssertedClaims,
    key: Arc<AssertionKey>,
    /// What applications verify with.
    published: AssertionKeys,
}

/// Which groups of the user the claims of a session have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownGroups {
    /// All of them.
    All,
    /// Those that rules name: a cookie has no room for all. An application that acts on the absence of a
    /// group must know.
    Some,
}

impl AssertionSigner {
    /// Makes a signer whose assertions have this `iss`; `None` where no key is for the algorithm.
    pub fn new(settings: &AssertionSettings, issuer: String, keys: &AssertionKeys) -> Option<Self> {
        Some(Self {
            issuer,
            claims: settings.claims,
            key: Arc::clone(keys.signing(settings.algorithm)?),
            published: keys.clone(),
        })
    }

    /// Returns whether applications have the key of an assertion that a session has. They have not
    /// where the operator has replaced it, as after a leak, or has chosen another algorithm.
    pub fn is_verifiable(&self, assertion: &str) -> bool {
        self.published.are_named_by(assertion, self.key.algorithm())
    }

    /// Puts an assertion into the claims of a session, which says what they say.
    ///
    /// They must be of a session of the store, or of a machine client that was just checked: never those
    /// of a cookie, which a program with the session keys can make up. `groups` says which groups they
    /// have.
    ///
    /// # Errors
    ///
    /// [`Unsigned`].
    pub fn put_into(&self, claims: &mut Claims, groups: KnownGroups) -> Result<(), Unsigned> {
        let assertion = self.key.sign(&self.payload(claims, groups))?;
        let others = claims.ext.iter();
        let others = others.filter(|(name, _)| *name != ASSERTION_CLAIM);
        claims.ext = others
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .chain([(ASSERTION_CLAIM.to_owned(), assertion)])
            .collect();
        Ok(())
    }

    fn payload<'c>(&'c self, of: &'c Claims, groups: KnownGroups) -> Payload<'c> {
        let has = self.claims;
        let text = |asked: bool, text: &'c Option<String>| text.as_deref().filter(|_| asked);
        Payload {
            iss: &self.issuer,
            sub: &of.sub,
            aud: &of.aud,
            iat: of.iat,
            exp: of.exp,
            idp: &of.iss,
            preferred_username: text(has.preferred_username, &of.preferred_username),
            name: text(has.name, &of.name),
            email: text(has.email, &of.email),
            email_verified: of
                .email_verified
                .filter(|_| has.email && of.email.is_some()),
            groups: has.groups.then(|| of.groups.iter().collect()),
            grp_more: has.groups && groups == KnownGroups::Some,
        }
    }
}

/// The claims of an assertion.
#[derive(Serialize)]
struct Payload<'c> {
    iss: &'c str,
    sub: &'c str,
    aud: &'c str,
    iat: NumericDate,
    exp: NumericDate,
    /// The provider, whose `sub` it is: two providers may have the same.
    idp: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<&'c str>>,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    grp_more: bool,
}
