//! Sessions that are bound to a device (W3C Device Bound Session Credentials).
//!
//! A browser makes a key that cannot leave the device, registers it after the sign-in, and proves
//! that it has it whenever the session is to be renewed. A copy of the session's cookie is then
//! worth nothing from the end of its window on.
//!
//! A [`Challenge`] is what the outpost asks to be signed, a [`Proof`] is the browser's answer.

mod challenge;
mod name;
mod proof;
#[cfg(test)]
mod tests;

pub(crate) use challenge::{Challenge, InvalidChallenge, Occasion};
pub(crate) use name::SessionName;
pub(crate) use proof::{InvalidProof, Proof, unquoted};

/// Whether the sessions of an application are bound to devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceBound {
    /// They are not.
    #[default]
    Off,
    /// They are where the browser can do it.
    Prefer,
    /// They are, or they end with their first window.
    Require,
}

/// The time for which the browser's cookie has to last at least, in seconds. A browser renews a
/// cookie that lasts less than two minutes with every request, until it signs no more for minutes.
pub(crate) const LEAST_SECONDS: u64 = 240;

/// A text that is not a [`DeviceBound`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of off, prefer, require")]
pub struct InvalidDeviceBound(String);

impl DeviceBound {
    /// Parses a word of the configuration. YAML reads a plain `off` as `false`.
    ///
    /// # Errors
    ///
    /// [`InvalidDeviceBound`].
    pub fn parse(word: &str) -> Result<Self, InvalidDeviceBound> {
        match word.trim().to_ascii_lowercase().as_str() {
            "off" | "false" => Ok(Self::Off),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            _ => Err(InvalidDeviceBound(word.to_owned())),
        }
    }
}
