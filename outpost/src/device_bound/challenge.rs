//! What the outpost asks a browser to sign.

use gatepost_base::{SealingKeys, hex};
use gatepost_session::{NumericDate, SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// When a browser proves that it has its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It registers the key. A device may take seconds to make one.
    Registration,
    /// It renews the session.
    Refresh,
}

impl Occasion {
    /// Returns how long a challenge may be answered, in seconds.
    const fn seconds(self) -> u64 {
        match self {
            Self::Registration => 300,
            Self::Refresh => 120,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Refresh => "refresh",
        }
    }
}

/// A challenge that this outpost or a replica has made: for one session, one occasion and some
/// minutes. It carries all of that sealed, so no replica keeps anything until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The session that it is for.
    pub session: SessionId,
    /// When it expires.
    pub expires: NumericDate,
    text: String,
}

/// A text is no challenge of this outpost for this application and occasion, or has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the challenge is not one of this outpost, or has expired")]
pub struct InvalidChallenge;

/// The plaintext of a challenge. What is sealed has a random nonce, so no two challenges are equal.
#[derive(Serialize, Deserialize)]
struct Content {
    session: String,
    expires: NumericDate,
}

impl Challenge {
    /// Makes a challenge for a session of the application with this name. `None` when the operating
    /// system has no randomness.
    pub fn make(
        keys: &SealingKeys,
        application: &str,
        occasion: Occasion,
        session: &SessionId,
        now: NumericDate,
    ) -> Option<Self> {
        let expires = now.plus_seconds(occasion.seconds());
        let content = serde_json::to_vec(&Content {
            session: session.expose().to_owned(),
            expires,
        });
        let text = keys.seal_text(&context(application, occasion), &content.ok()?)?;
        Some(Self {
            session: session.clone(),
            expires,
            text,
        })
    }

    /// Opens what [`Self::make`] made for the same application and occasion.
    ///
    /// # Errors
    ///
    /// [`InvalidChallenge`].
    pub fn open(
        keys: &SealingKeys,
        application: &str,
        occasion: Occasion,
        text: &str,
        now: NumericDate,
    ) -> Result<Self, InvalidChallenge> {
        let content = keys.open_text(&context(application, occasion), text);
        let content: Content = serde_json::from_slice(&content.ok_or(InvalidChallenge)?)
            .map_err(|_| InvalidChallenge)?;
        if content.expires <= now {
            return Err(InvalidChallenge);
        }
        Ok(Self {
            session: SessionId::parse(&content.session).ok_or(InvalidChallenge)?,
            expires: content.expires,
            text: text.to_owned(),
        })
    }

    /// Returns the challenge as the browser signs it: letters, digits, `-`, `_` and `.`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the value by which a store remembers that it was used.
    pub fn used_once(&self) -> String {
        let digest = Sha256::digest(self.text.as_bytes());
        format!("device:{}", hex(&digest))
    }
}

fn context(application: &str, occasion: Occasion) -> String {
    format!("device {} of {application}", occasion.word())
}
