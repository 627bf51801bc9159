//! The claims of a session.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use gatepost_scan::sha256::{HASH_BYTES, Sha256};
use gatepost_scan::{TextList, base64};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod deserialize;
mod read;
mod scan;

/// Seconds since 1970-01-01T00:00:00Z without leap seconds (`NumericDate`, RFC 7519 §2), as a
/// whole number of at most 2^53 - 1, which every JSON reader holds exactly (RFC 7493 §2.2).
///
/// A string, a fraction or a negative number is not one: it is refused, never read as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate(u64);

impl NumericDate {
    const MAX: u64 = (1 << 53) - 1;

    /// Returns the instant `seconds` after the epoch, or the last representable one if that is
    /// later.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(if seconds > Self::MAX {
            Self::MAX
        } else {
            seconds
        })
    }

    /// Returns the instant `seconds` after the epoch, if it is representable.
    fn exactly(seconds: u64) -> Option<Self> {
        (seconds <= Self::MAX).then_some(Self(seconds))
    }

    /// Returns the seconds since the epoch.
    pub const fn as_seconds(self) -> u64 {
        self.0
    }

    /// Returns this instant and `seconds` more.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        Self::from_seconds(self.0.saturating_add(seconds))
    }

    /// Returns the seconds from `earlier` to this instant, or 0 when `earlier` is not earlier.
    pub const fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Serialize for NumericDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = u64::deserialize(deserializer)?;
        Self::exactly(seconds)
            .ok_or_else(|| serde::de::Error::custom("a time past 2^53 - 1 seconds"))
    }
}

/// The application that a session is for, by its name; in domain mode the domain application.
///
/// 1 to 128 characters of printable ASCII without spaces, quotes and backslashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Audience(Box<str>);

/// A text that is not an [`Audience`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidAudience;

impl fmt::Display for InvalidAudience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not an application name: expected 1 to 128 characters of printable ASCII without \
             spaces, quotes and backslashes",
        )
    }
}

impl core::error::Error for InvalidAudience {}

impl Audience {
    /// Parses an application's name.
    ///
    /// # Errors
    ///
    /// [`InvalidAudience`] when it is empty, too long or has other characters.
    pub fn new(name: &str) -> Result<Self, InvalidAudience> {
        let accepted = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        if name.is_empty() || name.len() > 128 || !name.bytes().all(accepted) {
            return Err(InvalidAudience);
        }
        Ok(Self(name.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of a session in the outpost's store (`sid`, OpenID Connect Front-Channel Logout 1.0
/// §3): at least 128 random bits, base64url.
///
/// Whoever has it can name the session to be ended, so it has no `Display`, and its `Debug` shows
/// [`log_id`](Self::log_id) alone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SessionId(Box<str>);

impl SessionId {
    /// The least length in characters: 128 bits in base64url.
    const MIN_CHARS: usize = 22;
    const MAX_CHARS: usize = 86;

    /// Parses a session id, or returns `None` when it is not 22 to 86 characters of base64url.
    pub fn parse(text: &str) -> Option<Self> {
        let has_length = (Self::MIN_CHARS..=Self::MAX_CHARS).contains(&text.len());
        (has_length && base64::is_of_alphabet(text.as_bytes())).then(|| Self(text.into()))
    }

    /// Returns the session id made of random bytes that the caller drew from the operating system.
    pub fn from_random(bytes: [u8; 24]) -> Self {
        Self(base64::encode(&bytes).into())
    }

    /// Returns the id with which `gatepost check` signs an ended session, to compare its keys with
    /// the plugin's. No real session has it: random bytes are not all zeros.
    pub fn probe() -> Self {
        Self::from_random([0; 24])
    }

    /// Returns the id for claims of no session in a store: those of a machine client, or of a user
    /// who is only described. It is [`Self::probe`], which no real session has either.
    pub fn placeholder() -> Self {
        Self::probe()
    }

    /// Returns whether it is [`Self::probe`].
    pub fn is_probe(&self) -> bool {
        self.0.bytes().all(|character| character == b'A')
    }

    /// Returns the id itself, which belongs in no log.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns what stands for the session in a log: a short hash, which is the same in all lines of
    /// the session, and useless to a reader.
    pub fn log_id(&self) -> String {
        let mut hash = Sha256::default();
        hash.update(self.0.as_bytes());
        let mut digest = [0; HASH_BYTES];
        hash.finish_into(&mut digest);
        let digits = digest.iter().take(6).map(|byte| format!("{byte:02x}"));
        digits.collect()
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionId").field(&self.log_id()).finish()
    }
}

/// The payload of the JWS: what a session says about its user and itself.
///
/// An unknown claim is ignored; a claim that is repeated or has another type than here makes the
/// cookie invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The OpenID provider that signed the user in, exactly as it names itself. Not empty.
    pub iss: String,
    /// The subject: the person's stable id at that provider. Not empty.
    pub sub: String,
    /// The application this session is for. One name, never a list.
    pub aud: String,
    /// The session's key in the outpost's store.
    pub sid: SessionId,
    /// When this cookie was made.
    pub iat: NumericDate,
    /// When the local verification window ends: not the session's end, but the time from which
    /// the outpost has to be asked.
    pub exp: NumericDate,
    /// From when a page load should renew the cookie.
    pub rnw: NumericDate,
    /// Before this the session is not in force. Gatepost never sets it, but honours it
    /// (RFC 7519 §4.1.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// The name the person signs in with (OpenID Connect Core 1.0 §5.1, like the next ones).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The person's full name for display.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The person's e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the provider has verified the address; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// The groups the person is in. Not all of them when [`Claims::grp_more`] is set.
    #[serde(skip_serializing_if = "TextList::is_empty")]
    pub groups: TextList,
    /// Whether groups were left out to keep the cookie small: a group that is not listed may
    /// still be held, and only the outpost knows.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub grp_more: bool,
    /// How the person was authenticated: the context class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// How the person was authenticated: the methods.
    #[serde(skip_serializing_if = "TextList::is_empty")]
    pub amr: TextList,
    /// When the person last authenticated at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<NumericDate>,
    /// Whether the session is bound to a device: the outpost renews it only with a proof of the
    /// browser that it is on that device.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub bound: bool,
    /// Claims beyond these that the application's header rules name, each as one text.
    #[serde(skip_serializing_if = "MoreClaims::is_empty")]
    pub ext: MoreClaims,
}

impl Claims {
    /// Returns claims that say nothing, for a reader to fill in place: parts on their own would have
    /// to be dropped one by one wherever it gives up.
    fn blank() -> Self {
        Self {
            iss: String::new(),
            sub: String::new(),
            aud: String::new(),
            sid: SessionId(Box::default()),
            iat: NumericDate(0),
            exp: NumericDate(0),
            rnw: NumericDate(0),
            nbf: None,
            preferred_username: None,
            name: None,
            email: None,
            email_verified: None,
            groups: TextList::default(),
            grp_more: false,
            acr: None,
            amr: TextList::default(),
            auth_time: None,
            bound: false,
            ext: MoreClaims::default(),
        }
    }

    /// Returns the claim of that name as one text, for a header: times and lists are not texts.
    ///
    /// Looks among the standard claims first, then in [`Claims::ext`].
    pub fn text(&self, claim: &str) -> Option<&str> {
        match StandardText::named(claim) {
            Some(standard) => self.standard_text(standard),
            None => self.ext.get(claim),
        }
    }

    /// Returns the same as [`Self::text`] for the name of this claim.
    pub fn standard_text(&self, claim: StandardText) -> Option<&str> {
        match claim {
            StandardText::Iss => Some(&self.iss),
            StandardText::Sub => Some(&self.sub),
            StandardText::Aud => Some(&self.aud),
            StandardText::Sid => Some(self.sid.expose()),
            StandardText::PreferredUsername => self.preferred_username.as_deref(),
            StandardText::Name => self.name.as_deref(),
            StandardText::Email => self.email.as_deref(),
            StandardText::Acr => self.acr.as_deref(),
        }
    }
}

/// A standard claim that is one text. A program that asks many sessions for the same claim looks its
/// name up once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardText {
    /// [`Claims::iss`].
    Iss,
    /// [`Claims::sub`].
    Sub,
    /// [`Claims::aud`].
    Aud,
    /// [`Claims::sid`].
    Sid,
    /// [`Claims::preferred_username`].
    PreferredUsername,
    /// [`Claims::name`].
    Name,
    /// [`Claims::email`].
    Email,
    /// [`Claims::acr`].
    Acr,
}

impl StandardText {
    const ALL: [Self; 8] = [
        Self::Iss,
        Self::Sub,
        Self::Aud,
        Self::Sid,
        Self::PreferredUsername,
        Self::Name,
        Self::Email,
        Self::Acr,
    ];

    /// Returns the standard claim of that name, if it is one.
    pub fn named(claim: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.name() == claim)
    }

    /// Returns the claim's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iss => "iss",
            Self::Sub => "sub",
            Self::Aud => "aud",
            Self::Sid => "sid",
            Self::PreferredUsername => "preferred_username",
            Self::Name => "name",
            Self::Email => "email",
            Self::Acr => "acr",
        }
    }
}

/// Claims by name, each one text: a JSON object. There are few, so they are looked up one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoreClaims(Vec<(String, String)>);

impl MoreClaims {
    /// The name under which a session says that its groups are not all groups of the user, beyond
    /// those that [`Claims::grp_more`] is about: its text has the groups of which it is known that
    /// the user is in none, with `|` between.
    pub const GROUPS_IN_PART: &str = "grp_part";

    /// Returns the claim of that name.
    pub fn get(&self, claim: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == claim)
            .map(|(_, value)| value.as_str())
    }

    /// Returns whether there are no claims.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the claims in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for MoreClaims {
    /// Takes the first of several claims of one name.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(claims: I) -> Self {
        let mut more = Self::default();
        for (name, value) in claims {
            if more.get(&name).is_none() {
                more.0.push((name, value));
            }
        }
        more
    }
}

impl Serialize for MoreClaims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[allow(clippy::expect_used)]
#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_log_has_the_hash_of_a_session_id() {
        let id = SessionId::from_random([7; 24]);
        // That of the id's text, so that an operator can compute it.
        assert_eq!(id.log_id(), "61f62db7651c");
        assert_eq!(format!("{id:?}"), r#"SessionId("61f62db7651c")"#);
    }

    #[test]
    fn a_standard_text_is_the_claim_of_its_name() {
        let written = json!({
            "iss": "https://id.example.com",
            "sub": "1234",
            "aud": "wiki",
            "sid": SessionId::from_random([7; 24]).expose(),
            "iat": 1, "exp": 3, "rnw": 2,
            "preferred_username": "alice",
            "name": "Alice Liddell",
            "email": "alice@example.com",
            "email_verified": true,
            "groups": ["staff"],
            "acr": "mfa",
            "amr": ["otp"],
            "auth_time": 1,
            "ext": { "sub": "of ext", "department": "7" },
        });
        let claims = Claims::read(written.to_string().as_bytes()).expect("claims");
        for (name, value) in written.as_object().expect("an object") {
            let is_standard = StandardText::named(name).is_some_and(|claim| {
                assert_eq!(claim.name(), name);
                assert_eq!(claims.standard_text(claim), value.as_str());
                true
            });
            assert_eq!(is_standard, matches!(value, Value::String(_)), "{name}");
            assert_eq!(claims.text(name), value.as_str(), "{name}");
        }
        assert_eq!(claims.text("department"), Some("7"));
    }
}
