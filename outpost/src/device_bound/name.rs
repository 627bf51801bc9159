//! What a browser calls a session that it has bound.

use std::fmt;

use gatepost_base::SealingKeys;
use gatepost_session::SessionId;

/// The longest name that is looked at, in bytes: one with the longest key id has some 200.
const MAX_BYTES: usize = 256;

/// The name by which a browser knows a bound session (`session_identifier`), and says in a header
/// which one it renews.
///
/// Headers are in logs, and the session's id is the one by which the store and the audit log know it.
/// So the name is that id, sealed. A browser keeps the name that it got at the registration, and forgets a
/// session that answers by another: the outpost says the name as the browser said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionName(Box<str>);

impl SessionName {
    /// Makes a name for a session of the application with this name. `None` when the operating
    /// system has no randomness.
    pub fn make(keys: &SealingKeys, application: &str, session: &SessionId) -> Option<Self> {
        let text = keys.seal_text(&context(application), session.expose().as_bytes())?;
        Self::parse(&text)
    }

    /// Parses what a browser says. `None` when it does not have the form of a name: a name has only
    /// letters, digits, `-`, `_` and `.`, so that it can be quoted without escapes.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let has_length = (1..=MAX_BYTES).contains(&text.len());
        (has_length && text.bytes().all(plain)).then(|| Self(text.into()))
    }

    /// Returns the session of a name that [`Self::make`] made for the same application. `None` also
    /// when it was made with a key that was retired since.
    pub fn open(&self, keys: &SealingKeys, application: &str) -> Option<SessionId> {
        let id = keys.open_text(&context(application), &self.0)?;
        SessionId::parse(std::str::from_utf8(&id).ok()?)
    }

    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn context(application: &str) -> String {
    format!("device session of {application}")
}
