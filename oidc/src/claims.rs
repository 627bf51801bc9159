//! From what a provider says of a person to an [`Identity`].

use std::collections::BTreeMap;

use gatepost_base::Identity;
use serde_json::{Map, Value};

use crate::json::{text, time};

/// The most groups that are kept. More are no list of groups but a mistake.
const MAX_GROUPS: usize = 10_000;

/// Verified claims from several places: the first that has a claim is believed, and of claims that
/// mean something together only, the first that has them.
pub(crate) struct ClaimSources<'a>(pub(crate) Vec<&'a Map<String, Value>>);

/// What is wanted of a person's claims.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The verified issuer.
    pub(crate) issuer: &'a str,
    /// Where the groups stand.
    pub(crate) groups: &'a [String],
    /// Claims beyond the standard ones.
    pub(crate) extra: &'a [String],
    /// Whether an address is wanted that the provider says it has not verified.
    pub(crate) unverified_email: bool,
}

/// Claims of which the second says something of the first, and of no other one's.
const PAIRS: [(&str, &str); 2] = [EMAIL, ("phone_number", "phone_number_verified")];
const EMAIL: (&str, &str) = ("email", "email_verified");

/// How and when a person was authenticated: of one authentication.
const AUTHENTICATION: [&str; 3] = ["acr", "amr", "auth_time"];

impl<'a> ClaimSources<'a> {
    /// The claim at a path of keys.
    fn at(&self, path: &[String]) -> Option<&'a Value> {
        self.0.iter().find_map(|claims| lookup(claims, path))
    }

    /// Whether there is something at a path of keys.
    pub(crate) fn says(&self, path: &[String]) -> bool {
        self.at(path).is_some()
    }

    /// Whether there is a claim of this name.
    pub(crate) fn says_named(&self, name: &str) -> bool {
        self.says(&path(name))
    }

    /// A text. An empty one counts as absent.
    fn text(&self, claim: &str) -> Option<String> {
        let mut texts = self.0.iter().filter_map(|claims| text(claims, claim));
        texts.next().map(str::to_owned)
    }

    /// Whether something that an identity wants is missing, so that userinfo is worth asking.
    pub(crate) fn lacks(&self, wanted: &Wanted<'_>) -> bool {
        !self.says(wanted.groups)
            || ["preferred_username", "email"]
                .iter()
                .any(|claim| self.text(claim).is_none())
            || wanted.extra.iter().any(|claim| !self.says_named(claim))
    }

    /// The identity that these claims describe. Issuer and subject are the verified ones.
    pub(crate) fn identity(&self, wanted: &Wanted<'_>, subject: &str) -> Identity {
        let (email, email_verified) = self.pair(EMAIL);
        let usable = wanted.unverified_email || email_verified != Some(false);
        let authentication = self.authentication();
        Identity {
            issuer: wanted.issuer.to_owned(),
            subject: subject.to_owned(),
            preferred_username: self.text("preferred_username"),
            name: self.text("name"),
            email: email.filter(|_| usable),
            email_verified,
            groups: self.at(wanted.groups).map(texts).unwrap_or_default(),
            acr: authentication.text("acr"),
            amr: authentication
                .at(&["amr".to_owned()])
                .map(texts)
                .unwrap_or_default(),
            auth_time: authentication
                .0
                .iter()
                .find_map(|claims| time(claims, "auth_time")),
            extra: self.extra(wanted.extra),
        }
    }

    /// A value and whether it is verified, both from the first source that says both.
    ///
    /// Where no source says whether anything is verified the value stands alone: many providers
    /// never do. Where one does and not of this value, it is not verified; anything but `true`
    /// counts as not.
    fn pair(&self, (claim, flag): (&str, &str)) -> (Option<String>, Option<bool>) {
        let verified = |claims: &Map<String, Value>| {
            let flag = claims.get(flag).filter(|flag| !flag.is_null())?;
            Some(match flag {
                Value::Bool(verified) => *verified,
                Value::String(text) => text == "true",
                _ => false,
            })
        };
        let mut whole = self.0.iter().filter_map(|claims| {
            let value = text(claims, claim)?;
            Some((Some(value.to_owned()), Some(verified(claims)?)))
        });
        whole.next().unwrap_or_else(|| {
            let said = self.0.iter().any(|claims| verified(claims).is_some());
            let value = self.text(claim);
            let verified = (said && value.is_some()).then_some(false);
            (value, verified)
        })
    }

    /// The first source that says anything of how the person was authenticated, alone.
    fn authentication(&self) -> Self {
        let says = |claims: &&&'a Map<String, Value>| {
            AUTHENTICATION
                .iter()
                .any(|claim| claims.get(*claim).is_some_and(|value| !value.is_null()))
        };
        Self(self.0.iter().find(says).copied().into_iter().collect())
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
            .filter_map(|name| Some((name.clone(), self.one_text(name)?)))
            .collect()
    }

    /// A claim as one text, from where those are that it belongs to.
    fn one_text(&self, name: &str) -> Option<String> {
        if let Some(pair) = PAIRS.into_iter().find(|(_, flag)| *flag == name) {
            return self.pair(pair).1.map(|verified| verified.to_string());
        }
        if let Some(pair) = PAIRS.into_iter().find(|(claim, _)| *claim == name) {
            return self.pair(pair).0;
        }
        let value = if AUTHENTICATION.contains(&name) {
            self.authentication().at(&path(name))
        } else {
            self.at(&path(name))
        };
        one_text(value?)
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
        ClaimSources(vec![&claims]).identity(&wanted(&path(groups_claim), &extra), "s")
    }

    fn wanted<'w>(groups: &'w [String], extra: &'w [String]) -> Wanted<'w> {
        Wanted {
            issuer: "i",
            groups,
            extra,
            unverified_email: false,
        }
    }

    /// Row A12: an address and the word on it are of one source.
    #[test]
    fn what_belongs_together_is_of_one_source() {
        let a = "a@example.com";
        let b = "b@example.com";
        let (yes, no) = (Some(true), Some(false));
        for (case, id, userinfo, address, verified) in [
            (
                "the word on another address",
                json!({"email": a}),
                json!({"email": b, "email_verified": true}),
                Some(b),
                yes,
            ),
            (
                "the word on no address",
                json!({"email": a}),
                json!({"email_verified": true}),
                None,
                no,
            ),
            (
                "the word before the address",
                json!({"email_verified": true}),
                json!({"email": b}),
                None,
                no,
            ),
            (
                "the first word counts",
                json!({"email": a, "email_verified": false}),
                json!({"email": b, "email_verified": true}),
                None,
                no,
            ),
            (
                "of the same address, too",
                json!({"email": a}),
                json!({"email": a, "email_verified": false}),
                None,
                no,
            ),
            (
                "no word at all",
                json!({"email": a, "email_verified": null}),
                json!({"email": b}),
                Some(a),
                None,
            ),
            (
                "no address",
                json!({}),
                json!({"email_verified": true}),
                None,
                None,
            ),
        ] {
            let (id, userinfo) = (map(id), map(userinfo));
            let groups = path("groups");
            let names = ["email_verified".to_owned()];
            let sources = ClaimSources(vec![&id, &userinfo]);
            let identity = sources.identity(&wanted(&groups, &names), "s");
            assert_eq!(identity.email.as_deref(), address, "{case}");
            assert_eq!(identity.email_verified, verified, "{case}");
            let told = identity.extra.get("email_verified").map(String::as_str);
            let expected = verified.map(|verified| if verified { "true" } else { "false" });
            assert_eq!(told, expected, "{case}");
        }
        let id = map(json!({"acr": "basic", "phone_number": "1"}));
        let userinfo = map(json!({
            "amr": ["otp"], "auth_time": 7, "phone_number": "2", "phone_number_verified": true,
        }));
        let names = ["amr", "auth_time", "phone_number", "phone_number_verified"];
        let names = names.map(str::to_owned);
        let groups = path("groups");
        let sources = ClaimSources(vec![&id, &userinfo]);
        let identity = sources.identity(&wanted(&groups, &names), "s");
        assert_eq!(identity.acr.as_deref(), Some("basic"));
        assert!(identity.amr.is_empty() && identity.auth_time.is_none());
        let told: Vec<&str> = identity.extra.values().map(String::as_str).collect();
        assert_eq!(told, ["2", "true"]);
    }

    #[test]
    fn an_unverified_address_is_there_only_where_it_is_asked_for() {
        let claims = map(json!({"email": "a@example.com", "email_verified": "no"}));
        let sources = ClaimSources(vec![&claims]);
        for unverified_email in [false, true] {
            let groups = path("groups");
            let wanted = Wanted {
                unverified_email,
                ..wanted(&groups, &[])
            };
            let identity = sources.identity(&wanted, "s");
            assert_eq!(identity.email.is_some(), unverified_email);
            assert_eq!(identity.email_verified, Some(false));
        }
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
            (
                json!({"email": "a@b.example", "email_verified": true}),
                Some(true),
            ),
            (
                json!({"email": "a@b.example", "email_verified": "true"}),
                Some(true),
            ),
            (
                json!({"email": "a@b.example", "email_verified": false}),
                Some(false),
            ),
            (
                json!({"email": "a@b.example", "email_verified": "false"}),
                Some(false),
            ),
            (
                json!({"email": "a@b.example", "email_verified": 1}),
                Some(false),
            ),
            (json!({"email": "a@b.example"}), None),
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
        let identity =
            ClaimSources(vec![&id, &userinfo]).identity(&wanted(&path("groups"), &[]), "s");
        assert_eq!(identity.name.as_deref(), Some("Alice"));
        assert_eq!(
            identity.email.as_deref(),
            Some("a@example.com"),
            "empty is absent"
        );
    }
}
