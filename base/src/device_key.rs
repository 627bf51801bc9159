//! The key of a browser that proves which device it runs on.

use serde::{Deserialize, Serialize};

/// The public half of a key that a browser has registered for a session (W3C Device Bound Session
/// Credentials). The private half does not leave the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "alg")]
pub enum DeviceKey {
    /// A key for ES256 (RFC 7518 §3.4).
    #[serde(rename = "ES256")]
    Es256 {
        /// The x coordinate on P-256, 32 bytes in base64url.
        x: String,
        /// The y coordinate.
        y: String,
    },
    /// A key for RS256 (RFC 7518 §3.3).
    #[serde(rename = "RS256")]
    Rs256 {
        /// The modulus, in base64url.
        n: String,
        /// The public exponent.
        e: String,
    },
}

/// A key that a browser has registered for a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The key.
    pub key: DeviceKey,
    /// Whether the browser has renewed the session with a proof since. From then on, the session is
    /// bound: it is renewed with a proof and in no other way. A browser that has registered a key
    /// may still find that it cannot renew by it, and must not lose its session then.
    pub bound: bool,
}

impl Device {
    /// Returns what becomes of `stored`, the device of a session so far, when this one is written:
    /// the first key stays, and a session that is bound stays so. `None` where that is another key.
    pub fn written_over(self, stored: Option<&Self>) -> Option<Self> {
        match stored {
            Some(stored) if stored.key != self.key => None,
            Some(stored) => Some(Self {
                bound: self.bound || stored.bound,
                ..self
            }),
            None => Some(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_stays_and_a_bound_session_stays_bound() {
        let device = |x: &str, bound| Device {
            key: DeviceKey::Es256 {
                x: x.to_owned(),
                y: "y".to_owned(),
            },
            bound,
        };
        for (stored, written, expected) in [
            (None, device("a", false), Some(device("a", false))),
            (
                Some(device("a", false)),
                device("a", true),
                Some(device("a", true)),
            ),
            (
                Some(device("a", true)),
                device("a", false),
                Some(device("a", true)),
            ),
            (Some(device("a", false)), device("b", true), None),
            (Some(device("a", true)), device("b", false), None),
        ] {
            let case = format!("{stored:?} {written:?}");
            assert_eq!(written.written_over(stored.as_ref()), expected, "{case}");
        }
    }
}
