//! The claims beyond the standard ones that an identity takes.

use serde_json::{Number, Value};

use crate::groups::MAX_GROUPS;

/// The longest text of a claim that rules name, in bytes. It is in each cookie, so a longer one is
/// left out, and the rules refuse.
const MAX_RULE_TEXT_BYTES: usize = 1024;

/// Between the entries of a list.
const SEPARATOR: char = '|';

/// A claim that an identity takes beyond the standard ones, as one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedClaim {
    /// Its name, or the path to it.
    pub name: String,
    /// Whether rules compare it, and not only headers show it.
    by_rules: bool,
}

impl NamedClaim {
    /// Names a claim for headers alone.
    pub fn for_headers(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            by_rules: false,
        }
    }

    /// Names a claim that rules compare.
    pub fn for_rules(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            by_rules: true,
        }
    }

    pub(crate) fn is_by_rules(&self) -> bool {
        self.by_rules
    }

    /// Returns whether an identity may have this telephone number.
    pub(crate) fn takes_number(&self, text: &str, verified: Option<bool>) -> bool {
        if self.by_rules {
            verified != Some(false) && fits(text)
        } else {
            is_one(text)
        }
    }

    /// Returns the claim's value as one text: a list's entries are joined by `|`.
    ///
    /// Headers show what can be shown: a text that would read as several is left out. Rules may also ask
    /// that a user does not have a value: so a value of which one part has no place in that text is left
    /// out as a whole for them.
    pub(crate) fn text(&self, value: &Value) -> Option<String> {
        match value {
            Value::Array(entries) if self.by_rules => {
                let texts: Option<Vec<String>> = entries
                    .iter()
                    .map(|entry| scalar(entry).filter(|text| !text.is_empty() && fits(text)))
                    .collect();
                let joined = texts?.join("|");
                (!joined.is_empty() && joined.len() <= MAX_RULE_TEXT_BYTES).then_some(joined)
            }
            Value::Array(_) => joined(&texts(value)),
            value => {
                let fits: fn(&str) -> bool = if self.by_rules { fits } else { is_one };
                scalar(value).filter(|text| fits(text))
            }
        }
    }
}

/// Returns whether a text is short, and does not read as a list.
fn fits(text: &str) -> bool {
    text.len() <= MAX_RULE_TEXT_BYTES && is_one(text)
}

/// Returns whether a text does not read as a list.
fn is_one(text: &str) -> bool {
    !text.contains(SEPARATOR)
}

/// Returns a list's texts as one, without those that would read as several.
pub(crate) fn joined(texts: &[String]) -> Option<String> {
    let texts = texts.iter().map(String::as_str);
    let shown: Vec<&str> = texts.filter(|text| is_one(text)).collect();
    (!shown.is_empty()).then(|| shown.join("|"))
}

/// Returns a text, a number or a flag as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number_text(number)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns a number as text: a whole one without a fraction, however the provider writes it.
fn number_text(number: &Number) -> String {
    /// Up to here a float has each whole number (2^53).
    const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= MAX_WHOLE => {
            // Rules do not name `-0`.
            format!("{}", float + 0.0)
        }
        _ => number.to_string(),
    }
}

/// Returns a list's texts. One text is a list of one.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let list = match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(entries) => entries
            .iter()
            .filter_map(Value::as_str)
            .take(MAX_GROUPS)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    list.into_iter().filter(|text| !text.is_empty()).collect()
}
