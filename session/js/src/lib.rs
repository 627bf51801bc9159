//! [`gatepost_session`], compiled to WebAssembly, which the npm package `@gatepost/session` wraps.
//!
//! The boundary is narrow on purpose: texts in (options once, cookies per request), one JSON text
//! out. A text crosses it in one copy, where every field of an object would be a call of its own,
//! and the engine's JSON parser builds the object faster than we could. The JavaScript interface
//! (options, types, adapters) is written in TypeScript, in `../ts/`.
//!
//! Verification only: the crate leaves the `sign` feature of the session crate off.

use std::fmt;

use gatepost_session::cookie::{Candidates, CookieName, InvalidCookieName};
use gatepost_session::{
    Audience, Authentic, CLOCK_SKEW_SECONDS, Claims, InvalidAudience, KeyRing, KeyRingError,
    NumericDate, OpenError, Verifier, WindowError,
};
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Reads the session cookies of one application.
#[wasm_bindgen]
#[derive(Debug)]
pub struct CookieReader {
    verifier: Verifier,
    name: CookieName,
    clock_skew: u64,
}

#[wasm_bindgen]
impl CookieReader {
    /// Creates a reader for cookies called `cookie_name`, made for `audience` by a holder of one of
    /// the `keys` (text as in a keys file), and of this issuer where one is given. `clock_skew` is
    /// in seconds. With `published_keys`, the keys are those of `testdata/cookies.json`.
    ///
    /// # Errors
    ///
    /// [`OptionError`] names the option and the expected form, and never shows a secret.
    #[wasm_bindgen(constructor)]
    pub fn new(
        keys: &str,
        audience: &str,
        issuer: Option<String>,
        cookie_name: &str,
        clock_skew: Option<u32>,
        published_keys: bool,
    ) -> Result<CookieReader, OptionError> {
        let ring = if published_keys {
            KeyRing::parse_published(keys)?
        } else {
            KeyRing::parse(keys)?
        };
        let mut verifier = Verifier::new(&ring, Audience::new(audience)?);
        if let Some(issuer) = issuer {
            verifier = verifier.with_issuer(&issuer);
        }
        Ok(Self {
            verifier,
            name: CookieName::new(cookie_name)?,
            clock_skew: clock_skew.map_or(CLOCK_SKEW_SECONDS, u64::from),
        })
    }

    /// Reads a `Cookie` header at `now`, in Unix seconds, and returns the result as JSON in the
    /// words of `testdata/cookies.json`: `{"session":{…},"renewalDue":…}` or `{"refused":"…"}`.
    pub fn read(&self, cookies: &str, now: f64) -> String {
        // The conversion saturates; NaN becomes 1970, which is before every session.
        let now = NumericDate::from_seconds(now as u64);
        let verdict = self.choose(cookies, now);
        let verdict = verdict.as_ref().map_err(|refused| *refused);
        let verdict = verdict.and_then(|authentic| Ok(authentic.current(now, self.clock_skew)?));
        let json = match verdict {
            Ok(session) => serde_json::to_string(&Accepted {
                session: session.claims(),
                renewal_due: session.renewal_due(),
            }),
            Err(refused) => serde_json::to_string(&Refused { refused }),
        };
        // Texts and numbers can always be written. If that changed, no session would be accepted.
        json.unwrap_or_else(|_| r#"{"refused":"claims"}"#.to_owned())
    }

    /// Returns the first value that is in force, else the first that is authentic, or the error of
    /// the last.
    fn choose(&self, cookies: &str, now: NumericDate) -> Result<Authentic, Reason> {
        let candidates = Candidates::find([cookies.as_bytes()], &self.name);
        let in_force = |authentic: &Authentic| authentic.current(now, self.clock_skew).is_ok();
        let chosen = self.verifier.choose(&candidates, in_force);
        chosen.map_err(|error| error.map_or(Reason::NoCookie, Reason::from))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted<'a> {
    session: &'a Claims,
    renewal_due: bool,
}

#[derive(Serialize)]
struct Refused {
    refused: Reason,
}

/// Why there is no session: the `Reason` of `../ts/verifier.ts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Reason {
    NoCookie,
    TooLong,
    Malformed,
    Forged,
    Claims,
    Audience,
    Issuer,
    Ended,
    NotYet,
}

impl From<OpenError> for Reason {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::TooLong => Self::TooLong,
            OpenError::Forged => Self::Forged,
            OpenError::Claims => Self::Claims,
            OpenError::Audience => Self::Audience,
            OpenError::Issuer => Self::Issuer,
            // The enum may grow; a new variant is a refusal too.
            OpenError::Malformed | _ => Self::Malformed,
        }
    }
}

impl From<WindowError> for Reason {
    fn from(error: WindowError) -> Self {
        match error {
            WindowError::Ended => Self::Ended,
            WindowError::NotYet => Self::NotYet,
        }
    }
}

/// An option that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// `keys` is no key ring.
    Keys(KeyRingError),
    /// `audience` is no application's name.
    Audience(InvalidAudience),
    /// `cookieName` is no cookie's name.
    CookieName(InvalidCookieName),
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(error) => write!(f, "keys: {error}"),
            Self::Audience(error) => write!(f, "audience: {error}"),
            Self::CookieName(error) => write!(f, "cookieName: {error}"),
        }
    }
}

impl std::error::Error for OptionError {}

impl From<KeyRingError> for OptionError {
    fn from(error: KeyRingError) -> Self {
        Self::Keys(error)
    }
}

impl From<InvalidAudience> for OptionError {
    fn from(error: InvalidAudience) -> Self {
        Self::Audience(error)
    }
}

impl From<InvalidCookieName> for OptionError {
    fn from(error: InvalidCookieName) -> Self {
        Self::CookieName(error)
    }
}

impl From<OptionError> for JsValue {
    /// Returns the message, from which the TypeScript side makes an error of its own class.
    fn from(error: OptionError) -> Self {
        Self::from_str(&error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../../testdata/cookies.json");

    /// The test of the built package in every runtime, here without one.
    #[test]
    fn vectors_come_out_as_written() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let keys: Vec<&str> = texts(&vectors["keys"]);
        for case in vectors["cases"].as_array().unwrap() {
            let reader = CookieReader::new(
                &keys.join("\n"),
                case["audience"].as_str().unwrap(),
                case["issuer"].as_str().map(str::to_owned),
                case["cookieName"].as_str().unwrap(),
                None,
                true,
            )
            .unwrap();
            let cookies = texts(&case["cookies"]).join(";");
            let json = reader.read(&cookies, case["now"].as_f64().unwrap());
            let verdict: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(verdict, case["expect"], "{}", case["name"]);
        }
    }

    fn texts(list: &Value) -> Vec<&str> {
        let list = list.as_array().unwrap().iter();
        list.map(|text| text.as_str().unwrap()).collect()
    }

    #[test]
    fn a_key_that_the_documentation_shows_verifies_nothing_unless_asked_for() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let shown = vectors["keys"][0].as_str().unwrap();
        let own = "own:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";
        for (keys, published_keys, is_taken) in [
            (own, false, true),
            (shown, false, false),
            (&format!("{own}\n{shown}"), false, false),
            (shown, true, true),
            (own, true, false),
        ] {
            let reader = CookieReader::new(keys, "wiki", None, "gatepost", None, published_keys);
            assert_eq!(reader.is_ok(), is_taken, "{keys} {published_keys}");
        }
    }

    #[test]
    fn an_invalid_time_is_no_session() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let valid = &vectors["cases"][0];
        let reader = CookieReader::new(
            vectors["keys"][0].as_str().unwrap(),
            "wiki",
            None,
            "__Host-gatepost",
            Some(0),
            true,
        )
        .unwrap();
        for (now, refused) in [
            (f64::NAN, "not-yet"),
            (-1.0, "not-yet"),
            (f64::NEG_INFINITY, "not-yet"),
            (f64::INFINITY, "ended"),
        ] {
            let json = reader.read(texts(&valid["cookies"])[0], now);
            assert_eq!(json, format!(r#"{{"refused":"{refused}"}}"#), "{now}");
        }
    }
}
