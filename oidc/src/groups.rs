//! Groups, in the shapes that providers have for them.

use std::collections::BTreeSet;

use gatepost_base::QuotedList;
use serde_json::{Map, Value};

use crate::claim_path::ClaimPath;
use crate::settings::ClaimSettings;

/// The most groups that are read. More are not a list of groups but a mistake.
pub(crate) const MAX_GROUPS: usize = 10_000;

/// The most claims that a line of the log names.
const MAX_NAMED: usize = 50;

/// The members by which objects in a list of groups are named, the first that is there.
const NAMES: [&str; 4] = ["name", "displayName", "display", "value"];

/// Returns the groups of the first source that has each claim, without duplicates, and whether they
/// are all: each of the claims is there, and none of its entries had to be left out.
pub(crate) fn groups(
    sources: &[&Map<String, Value>],
    settings: &ClaimSettings,
) -> (Vec<String>, bool) {
    let mut all: Vec<String> = Vec::new();
    let mut whole = true;
    for path in &settings.groups {
        let Some(value) = sources.iter().find_map(|claims| path.find(claims)) else {
            whole = false;
            continue;
        };
        let mut entries = entries(value, settings.groups_separator.as_deref());
        for group in entries.by_ref().take(MAX_GROUPS) {
            whole &= group.is_some();
            all.extend(group);
        }
        whole &= entries.next().is_none();
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|group| !group.is_empty() && seen.insert(group.clone()));
    whole &= all.len() <= MAX_GROUPS;
    all.truncate(MAX_GROUPS);
    (all, whole)
}

/// Returns the entries of a claim: of a list, of a text (separated, where the settings say by what)
/// or the names of an object's members (Zitadel's roles); `None` for one that cannot be read.
fn entries<'v>(
    value: &'v Value,
    separator: Option<&'v str>,
) -> Box<dyn Iterator<Item = Option<String>> + 'v> {
    match value {
        Value::Array(list) => Box::new(list.iter().map(entry)),
        Value::String(text) => match separator {
            Some(separator) => {
                let parts = text.split(separator);
                Box::new(parts.map(|part| Some(part.trim().to_owned())))
            }
            None => Box::new(std::iter::once(Some(text.clone()))),
        },
        Value::Object(members) => {
            let held =
                |(_, value): &(&String, &Value)| !matches!(value, Value::Null | Value::Bool(false));
            let members = members.iter().filter(held);
            Box::new(members.map(|(name, _)| Some(name.clone())))
        }
        other => Box::new(std::iter::once(entry(other))),
    }
}

/// Returns one entry of a list: a text, a number, or the name of an object.
fn entry(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(members) => {
            let mut names = NAMES.iter().filter_map(|name| members.get(*name)?.as_str());
            names.next().map(str::to_owned)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => None,
    }
}

/// Logs which claims were looked for and which arrived, where a user has no groups. Names alone:
/// values are the user's.
pub(crate) fn explain_absence(
    provider: &str,
    sources: &[&Map<String, Value>],
    settings: &ClaimSettings,
) {
    let looked_for = |path: &ClaimPath| path.to_string();
    let looked_for: Vec<String> = settings.groups.iter().map(looked_for).collect();
    let arrived: BTreeSet<&str> = sources
        .iter()
        .flat_map(|claims| claims.keys())
        .map(String::as_str)
        .collect();
    let arrived: Vec<&str> = arrived.into_iter().take(MAX_NAMED).collect();
    if sources.iter().any(|claims| left_out(claims, settings)) {
        tracing::warn!(
            provider,
            looked_for = looked_for.join(", "),
            "the provider left the groups out because there are too many of them (Entra ID's \
             overage): have it send only the groups that are assigned to the application, or roles, \
             or set `graphUrl`"
        );
        return;
    }
    tracing::info!(
        provider,
        looked_for = looked_for.join(", "),
        arrived = %QuotedList(&arrived),
        "a user signed in without groups: none of the claims that were looked for arrived, or they \
         are empty"
    );
}

/// Returns whether the provider says that a groups claim is elsewhere (OpenID Connect Core 1.0
/// §5.6.2), or that there are too many groups (`hasgroups` of Entra ID).
pub(crate) fn left_out(claims: &Map<String, Value>, settings: &ClaimSettings) -> bool {
    let elsewhere = claims.get("_claim_names").and_then(Value::as_object);
    let named = |path: &ClaimPath| elsewhere.is_some_and(|names| path.find(names).is_some());
    settings.groups.iter().any(named)
        || claims
            .get("hasgroups")
            .is_some_and(|flag| matches!(flag, Value::Bool(true)) || flag.as_str() == Some("true"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(claims: &Value, paths: &[&str], separator: Option<&str>) -> Vec<String> {
        let settings = ClaimSettings {
            groups: paths
                .iter()
                .filter_map(|path| ClaimPath::parse(path))
                .collect(),
            groups_separator: separator.map(str::to_owned),
            ..ClaimSettings::default()
        };
        groups(&[claims.as_object().expect("an object")], &settings).0
    }

    #[test]
    fn groups_are_read_in_any_shape() {
        let zitadel = json!({"urn:zitadel:iam:org:project:roles": {"admin": {"1": "a.example"}}});
        for (case, claims, paths, separator, expected) in [
            (
                "a list",
                json!({"groups": ["a", "b"]}),
                &["groups"][..],
                None,
                &["a", "b"][..],
            ),
            (
                "one text",
                json!({"groups": "a"}),
                &["groups"],
                None,
                &["a"],
            ),
            (
                "a text with commas",
                json!({"groups": "a,b"}),
                &["groups"],
                None,
                &["a,b"],
            ),
            (
                "separated",
                json!({"groups": "a, b,,a"}),
                &["groups"],
                Some(","),
                &["a", "b"],
            ),
            (
                "nested",
                json!({"realm_access": {"roles": ["a"]}}),
                &["realm_access.roles"],
                None,
                &["a"],
            ),
            (
                "a client with dots",
                json!({"resource_access": {"my.client": {"roles": ["a"]}}}),
                &[r"resource_access.my\.client.roles"],
                None,
                &["a"],
            ),
            (
                "a URL",
                json!({"https://x.example/g": ["a"]}),
                &["https://x.example/g"],
                None,
                &["a"],
            ),
            (
                "several claims",
                json!({"groups": ["a", "b"], "roles": ["b", "c"]}),
                &["groups", "absent", "roles"],
                None,
                &["a", "b", "c"],
            ),
            (
                "Zitadel",
                zitadel,
                &["urn:zitadel:iam:org:project:roles"],
                None,
                &["admin"],
            ),
            (
                "members that say no",
                json!({"groups": {"a": true, "b": false, "c": null}}),
                &["groups"],
                None,
                &["a"],
            ),
            (
                "numbers",
                json!({"groups": [1, 20]}),
                &["groups"],
                None,
                &["1", "20"],
            ),
            (
                "objects",
                json!({"groups": [{"name": "a"}, {"id": 1, "displayName": "b"}, {"id": 2}]}),
                &["groups"],
                None,
                &["a", "b"],
            ),
            (
                "other types",
                json!({"groups": ["a", null, [], true, ""]}),
                &["groups"],
                None,
                &["a"],
            ),
            ("null", json!({"groups": null}), &["groups"], None, &[]),
            ("a flag", json!({"groups": true}), &["groups"], None, &[]),
            ("path into a text", json!({"a": "x"}), &["a.b"], None, &[]),
        ] {
            assert_eq!(read(&claims, paths, separator), expected, "{case}");
        }
        let many: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        assert_eq!(
            read(&json!({"groups": many}), &["groups"], None).len(),
            MAX_GROUPS
        );
    }

    #[test]
    fn groups_that_are_left_out_are_noticed() {
        for (claims, expected) in [
            (json!({"_claim_names": {"groups": "src1"}}), true),
            (json!({"hasgroups": true}), true),
            (json!({"_claim_names": {"address": "src1"}}), false),
            (json!({"groups": []}), false),
        ] {
            let members = claims.as_object().expect("an object");
            assert_eq!(
                left_out(members, &ClaimSettings::default()),
                expected,
                "{claims}"
            );
        }
    }
}
