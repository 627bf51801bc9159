//! Reads a provider's JSON: takes each used member by its name, and ignores the rest of the
//! document.

use gatepost_session::NumericDate;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use url::Url;

/// A JSON object without duplicate members: of two, one reader would use the first and another the
/// last (RFC 8259 §4, RFC 7519 §4).
#[derive(Debug, Default)]
pub(crate) struct Object(pub(crate) Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a duplicate member"));
                    }
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Why a document cannot be used. Shows names and types, and no value: it may be a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    /// The text is not a JSON object.
    #[error("not a JSON object (at line {line}, column {column})")]
    NotAnObject {
        /// Where reading stopped, from 1.
        line: usize,
        /// The column there, from 1.
        column: usize,
    },
    /// A member is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A key set has no key that can be used.
    #[error("it has no key that verifies a signature ({listed} listed)")]
    NoKey {
        /// How many keys it lists.
        listed: usize,
    },
    /// A member is of another type.
    #[error("`{member}` is {found} instead of {expected}")]
    Type {
        /// Its name.
        member: &'static str,
        /// Its type.
        found: &'static str,
        /// The expected type.
        expected: &'static str,
    },
}

/// The most characters of a provider's text that a message shows.
const MAX_SHOWN: usize = 200;

/// Returns the beginning of a provider's text, for a message: a provider may write megabytes.
pub fn excerpt(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// Parses a JSON object.
///
/// # Errors
///
/// [`DocumentError::NotAnObject`], also for duplicate members of the outermost object.
pub(crate) fn parse(text: &[u8]) -> Result<Map<String, Value>, DocumentError> {
    // A byte order mark is no JSON, but some servers write one (RFC 8259 §8.1).
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let object: Object = serde_json::from_slice(text).map_err(|error| {
        // The error itself is left out: it may quote a token.
        DocumentError::NotAnObject {
            line: error.line(),
            column: error.column(),
        }
    })?;
    Ok(object.0)
}

/// Returns what a value is, for a message.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Returns a member that is a text and not empty.
pub(crate) fn text<'c>(members: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    let text = members.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// Returns a member that has to be a text and not empty.
///
/// # Errors
///
/// [`DocumentError`] names it.
pub(crate) fn needed_text<'c>(
    members: &'c Map<String, Value>,
    name: &'static str,
) -> Result<&'c str, DocumentError> {
    optional_text(members, name)?.ok_or(DocumentError::Missing(name))
}

/// Returns a member that is a text and not empty; `None` where it is absent, null or empty.
///
/// # Errors
///
/// [`DocumentError::Type`] where it is anything else.
pub(crate) fn optional_text<'c>(
    members: &'c Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'c str>, DocumentError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(other) => Err(DocumentError::Type {
            member: name,
            found: kind(other),
            expected: "a text",
        }),
    }
}

/// Returns a member that has to be an absolute URL.
///
/// # Errors
///
/// [`DocumentError`] names it.
pub(crate) fn needed_url(
    members: &Map<String, Value>,
    name: &'static str,
) -> Result<Url, DocumentError> {
    optional_url(members, name)?.ok_or(DocumentError::Missing(name))
}

/// Returns a member that is an absolute URL; `None` where it is absent, null or empty.
///
/// # Errors
///
/// [`DocumentError::Type`] where it is anything else.
pub(crate) fn optional_url(
    members: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Url>, DocumentError> {
    let Some(text) = optional_text(members, name)? else {
        return Ok(None);
    };
    match Url::parse(text.trim()) {
        Ok(url) => Ok(Some(url)),
        Err(_) => Err(DocumentError::Type {
            member: name,
            found: "a text",
            expected: "an absolute URL",
        }),
    }
}

/// Returns the texts of a member that is a list. `None` where it is not a list.
pub(crate) fn texts<'c>(members: &'c Map<String, Value>, name: &str) -> Option<Vec<&'c str>> {
    let list = members.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).collect())
}

/// Returns whether a member is `true`, which some providers write as a text.
pub(crate) fn flag(members: &Map<String, Value>, name: &str) -> bool {
    match members.get(name) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// Returns a claim that is a time.
pub(crate) fn time(members: &Map<String, Value>, name: &str) -> Option<NumericDate> {
    numeric_date(members.get(name)?)
}

/// Returns a time of a JWT (RFC 7519 §2), in whole seconds. `None` where the value is not a time.
pub fn numeric_date(value: &Value) -> Option<NumericDate> {
    /// The year 9999: a larger number is not a time.
    const LAST: u64 = 253_402_300_799;
    let seconds = value.as_u64().or_else(|| {
        let seconds = value.as_f64()?;
        // Exact: both are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let in_range = (0.0..=LAST as f64).contains(&seconds);
        // In range, so that only the fraction is cut off.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        in_range.then_some(seconds as u64)
    });
    seconds
        .filter(|seconds| *seconds <= LAST)
        .map(NumericDate::from_seconds)
}
