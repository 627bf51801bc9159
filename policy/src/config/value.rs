//! Settings as they are written.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

/// A value of settings, in whatever notation it is written.
///
/// Not that of `serde_json`: its map of keys takes as much of the plugin as reading all rules does,
/// and a section has few keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, as YAML reads a key without a value.
    Null,
    /// True or false.
    Bool(bool),
    /// A number as it is written.
    Number(String),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// A section: keys, each once, and their values.
    Object(Vec<(String, Self)>),
}

impl Value {
    /// Returns the text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(flag) => Self::Bool(*flag),
            serde_json::Value::Number(number) => Self::Number(number.to_string()),
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(list) => Self::Array(list.iter().map(Self::from).collect()),
            serde_json::Value::Object(section) => Self::Object(
                section
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::from(value)))
                    .collect(),
            ),
        }
    }
}

impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            // What is no number of JSON is never written as one.
            Value::Number(number) => serde_json::from_str(number).unwrap_or_default(),
            Value::String(text) => Self::String(text.clone()),
            Value::Array(list) => Self::Array(list.iter().map(Self::from).collect()),
            Value::Object(section) => Self::Object(
                section
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::from(value)))
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Value;
    use crate::config::read_json;
    use alloc::string::ToString as _;
    use serde_json::json;

    #[test]
    fn settings_are_the_same_from_either_reader() {
        let written = json!({
            "b": [null, true, "x", {"y": []}], "a": -3, "c": 1.5, "d": u64::MAX, "e": {},
        });
        let value = Value::from(&written);
        assert_eq!(read_json(written.to_string().as_bytes()), Ok(value.clone()));
        assert_eq!(serde_json::Value::from(&value), written);
    }
}
