//! From what a provider says of a person to an [`Identity`].

use std::collections::BTreeMap;

use gatepost_session::NumericDate;
use openidconnect::AdditionalClaims;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::store::Identity;

/// The most groups that are kept. More are no list of groups but a mistake.
const MAX_GROUPS: usize = 10_000;

/// The claims of a token or of userinfo beyond the standard ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClaimMap {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for ClaimMap {}

/// Verified claims from several places: the first that has a claim is believed.
pub(super) struct ClaimSources<'a>(pub(super) Vec<&'a Map<String, Value>>);

impl<'a> ClaimSources<'a> {
    /// The claim at a path of keys.
    fn at(&self, path: &[String]) -> Option<&'a Value> {
        self.0.iter().find_map(|claims| lookup(claims, path))
    }

    /// A text. An empty one counts as absent.
    fn text(&self, claim: &str) -> Option<String> {
        self.0
            .iter()
            .filter_map(|claims| claims.get(claim).and_then(Value::as_str))
            .find(|text| !text.is_empty())
            .map(str::to_owned)
    }

    /// Whether something that an identity wants is missing, so that userinfo is worth asking.
    pub(super) fn lacks(&self, groups_claim: &[String], extra: &[String]) -> bool {
        self.at(groups_claim).is_none()
            || ["preferred_username", "email"]
                .iter()
                .any(|claim| self.text(claim).is_none())
            || extra.iter().any(|claim| self.at(&path(claim)).is_none())
    }

    /// The identity that these claims describe. Issuer and subject are the verified ones.
    pub(super) fn identity(
        &self,
        issuer: &str,
        subject: &str,
        groups_claim: &[String],
        extra: &[String],
    ) -> Identity {
        Identity {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            preferred_username: self.text("preferred_username"),
            name: self.text("name"),
            email: self.text("email"),
            email_verified: self.email_verified(),
            groups: self.at(groups_claim).map(texts).unwrap_or_default(),
            acr: self.text("acr"),
            amr: self.at(&["amr".to_owned()]).map(texts).unwrap_or_default(),
            auth_time: self
                .at(&["auth_time".to_owned()])
                .and_then(Value::as_u64)
                .map(NumericDate::from_seconds),
            extra: self.extra(extra),
        }
    }

    /// Whether the address is verified. Anything but `true` counts as not, where the claim is
    /// there at all.
    fn email_verified(&self) -> Option<bool> {
        self.at(&["email_verified".to_owned()])
            .map(|value| match value {
                Value::Bool(verified) => *verified,
                Value::String(text) => text == "true",
                _ => false,
            })
    }

    fn extra(&self, names: &[String]) -> BTreeMap<String, String> {
        const OWN: [&str; 9] = [
            "iss",
            "sub",
            "aud",
            "sid",
            "preferred_username",
            "name",
            "email",
            "acr",
            "groups",
        ];
        names
            .iter()
            .filter(|name| !OWN.contains(&name.as_str()))
            .filter_map(|name| Some((name.clone(), one_text(self.at(&path(name))?)?)))
            .collect()
    }
}

/// A claim's name as a path: one that is a URL has dots of its own.
fn path(claim: &str) -> Vec<String> {
    if claim.contains("://") {
        vec![claim.to_owned()]
    } else {
        claim.split('.').map(str::to_owned).collect()
    }
}

fn lookup<'a>(claims: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = claims.get(first)?;
    rest.iter()
        .try_fold(value, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

/// A list of texts. One text is a list of one; whatever else is in a list is no group.
fn texts(value: &Value) -> Vec<String> {
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

/// One text for a header: a list's entries are joined by `|`, which none of them may have.
fn one_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(_) => {
            let entries: Vec<String> = texts(value)
                .into_iter()
                .filter(|entry| !entry.contains('|'))
                .collect();
            (!entries.is_empty()).then(|| entries.join("|"))
        }
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }

    fn identity(claims: Value, groups_claim: &str, extra: &[&str]) -> Identity {
        let claims = map(claims);
        let extra: Vec<String> = extra.iter().map(|claim| (*claim).to_owned()).collect();
        ClaimSources(vec![&claims]).identity("i", "s", &path(groups_claim), &extra)
    }

    #[test]
    fn groups_are_texts_wherever_they_stand() {
        let roles = json!({"roles": ["a"]});
        for (case, claims, at, expected) in [
            (
                "a list",
                json!({"groups": ["a", "b"]}),
                "groups",
                vec!["a", "b"],
            ),
            ("one text", json!({"groups": "a"}), "groups", vec!["a"]),
            (
                "nested",
                json!({"realm_access": roles}),
                "realm_access.roles",
                vec!["a"],
            ),
            (
                "a URL",
                json!({"https://x.example/g": ["a"]}),
                "https://x.example/g",
                vec!["a"],
            ),
            (
                "other types",
                json!({"groups": ["a", 1, null, {"b": 1}, ""]}),
                "groups",
                vec!["a"],
            ),
            (
                "an object",
                json!({"groups": {"a": true}}),
                "groups",
                vec![],
            ),
            ("null", json!({"groups": null}), "groups", vec![]),
            (
                "absent",
                json!({"_claim_names": {"groups": "src1"}}),
                "groups",
                vec![],
            ),
            (
                "path into a text",
                json!({"realm_access": "x"}),
                "realm_access.roles",
                vec![],
            ),
        ] {
            assert_eq!(identity(claims, at, &[]).groups, expected, "{case}");
        }
        let many: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        assert_eq!(
            identity(json!({"groups": many}), "groups", &[])
                .groups
                .len(),
            MAX_GROUPS
        );
    }

    #[test]
    fn an_address_is_verified_only_where_it_says_so() {
        for (claim, expected) in [
            (json!({"email_verified": true}), Some(true)),
            (json!({"email_verified": "true"}), Some(true)),
            (json!({"email_verified": false}), Some(false)),
            (json!({"email_verified": "false"}), Some(false)),
            (json!({"email_verified": 1}), Some(false)),
            (json!({}), None),
        ] {
            assert_eq!(
                identity(claim.clone(), "groups", &[]).email_verified,
                expected,
                "{claim}"
            );
        }
    }

    #[test]
    fn further_claims_become_one_text_and_never_replace_standard_ones() {
        let claims = json!({
            "department": "R&D", "level": 3, "tags": ["a", "b|c", "d"], "nested": {"x": "y"},
            "sub": "someone else",
        });
        let names = [
            "department",
            "level",
            "tags",
            "nested",
            "nested.x",
            "sub",
            "absent",
        ];
        let extra = identity(claims, "groups", &names).extra;
        let expected = [
            ("department", "R&D"),
            ("level", "3"),
            ("nested.x", "y"),
            ("tags", "a|d"),
        ];
        let found: Vec<(&str, &str)> = extra
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_first_source_that_has_a_claim_is_believed() {
        let id = map(json!({"name": "Alice", "email": ""}));
        let userinfo = map(json!({"name": "Mallory", "email": "a@example.com"}));
        let identity = ClaimSources(vec![&id, &userinfo]).identity("i", "s", &path("groups"), &[]);
        assert_eq!(identity.name.as_deref(), Some("Alice"));
        assert_eq!(
            identity.email.as_deref(),
            Some("a@example.com"),
            "empty is absent"
        );
    }
}
