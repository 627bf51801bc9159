//! The claims beyond the standard ones that an identity takes.

use serde_json::Value;

/// The longest text of a claim that rules name, in bytes. It is in each cookie, so a longer one is
/// left out, and the rules refuse.
const MAX_RULE_TEXT_BYTES: usize = 1024;

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

    /// Returns whether an identity may have the claim's value as this text. What rules compare must
    /// not be long, and no text may read as a list.
    pub(crate) fn takes(&self, value: &Value, text: &str) -> bool {
        let fits = text.len() <= MAX_RULE_TEXT_BYTES;
        !self.by_rules || (fits && (value.is_array() || !text.contains('|')))
    }
}
