use super::*;
use crate::groups::MAX_GROUPS;
use serde_json::json;

pub(super) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

fn identity(claims: Value, extra: &[&str]) -> Identity {
    let claims = map(claims);
    let extra: Vec<NamedClaim> = extra
        .iter()
        .map(|claim| NamedClaim::for_headers(claim))
        .collect();
    let settings = ClaimSettings::default();
    ClaimSources(vec![&claims]).identity(&wanted(&settings, &extra), "s")
}

pub(super) fn wanted<'w>(claims: &'w ClaimSettings, extra: &'w [NamedClaim]) -> Wanted<'w> {
    Wanted {
        issuer: "i",
        claims,
        extra,
        unverified_email: false,
    }
}

/// Row A12: an address and whether it is verified are of one source.
#[test]
fn claims_that_belong_together_are_of_one_source() {
    let a = "a@example.com";
    let b = "b@example.com";
    let (yes, no) = (Some(true), Some(false));
    for (case, id, userinfo, address, verified) in [
        (
            "verified is another address",
            json!({"email": a}),
            json!({"email": b, "email_verified": true}),
            Some(b),
            yes,
        ),
        (
            "verified without an address",
            json!({"email": a}),
            json!({"email_verified": true}),
            None,
            no,
        ),
        (
            "verified in the first source alone",
            json!({"email_verified": true}),
            json!({"email": b}),
            None,
            no,
        ),
        (
            "the first source counts",
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
            "no source says",
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
        let settings = ClaimSettings::default();
        let names = [NamedClaim::for_headers("email_verified")];
        let sources = ClaimSources(vec![&id, &userinfo]);
        let identity = sources.identity(&wanted(&settings, &names), "s");
        assert_eq!(identity.email.as_deref(), address, "{case}");
        assert_eq!(identity.email_verified, verified, "{case}");
        let found = identity.extra.get("email_verified").map(String::as_str);
        let expected = verified.map(|verified| if verified { "true" } else { "false" });
        assert_eq!(found, expected, "{case}");
    }
    let id = map(json!({"acr": "basic", "phone_number": "1"}));
    let userinfo = map(json!({
        "amr": ["otp"], "auth_time": 7, "phone_number": "2", "phone_number_verified": true,
    }));
    let names = ["amr", "auth_time", "phone_number", "phone_number_verified"];
    let names = names.map(NamedClaim::for_headers);
    let settings = ClaimSettings::default();
    let sources = ClaimSources(vec![&id, &userinfo]);
    let identity = sources.identity(&wanted(&settings, &names), "s");
    assert_eq!(identity.acr.as_deref(), Some("basic"));
    assert!(identity.amr.is_empty() && identity.auth_time.is_none());
    let found: Vec<&str> = identity.extra.values().map(String::as_str).collect();
    assert_eq!(found, ["2", "true"]);
    // Rules go by the token alone, and headers show what else there is.
    let id = map(json!({"sub": "s"}));
    let userinfo = map(json!({"acr": "gold", "amr": ["otp"], "auth_time": 7}));
    let sources = ClaimSources(vec![&id, &userinfo]);
    let identity = sources.identity(&wanted(&settings, &names), "s");
    assert_eq!(identity.acr, None);
    assert!(identity.amr.is_empty() && identity.auth_time.is_none());
    let found: Vec<&str> = identity.extra.values().map(String::as_str).collect();
    assert_eq!(found, ["otp", "7"]);
}

#[test]
fn an_unverified_address_is_accepted_only_where_the_settings_say_so() {
    let claims = map(json!({"email": "a@example.com", "email_verified": "no"}));
    let sources = ClaimSources(vec![&claims]);
    for unverified_email in [false, true] {
        let settings = ClaimSettings::default();
        let wanted = Wanted {
            unverified_email,
            ..wanted(&settings, &[])
        };
        let identity = sources.identity(&wanted, "s");
        assert_eq!(identity.email.is_some(), unverified_email);
        assert_eq!(identity.email_verified, Some(false));
    }
}

#[test]
fn the_word_on_one_address_does_not_verify_another() {
    let (mail, other) = ("a@example.com", "boss@example.com");
    for (case, claims, expected) in [
        ("nothing is said", json!({"upn": other}), Some(None)),
        (
            "of another address",
            json!({"email": mail, "email_verified": true, "upn": other}),
            None,
        ),
        (
            "of an address that is not there",
            json!({"email_verified": true, "upn": other}),
            None,
        ),
        (
            "of the same address",
            json!({"email": "Boss@example.com", "email_verified": true, "upn": other}),
            Some(Some(true)),
        ),
        (
            "not verified",
            json!({"email": other, "email_verified": false, "upn": other}),
            None,
        ),
        (
            "of the claim itself",
            json!({"email": mail, "email_verified": false, "upn": other, "upn_verified": true}),
            Some(Some(true)),
        ),
        (
            "against the claim itself",
            json!({"email": other, "email_verified": true, "upn": other, "upn_verified": false}),
            None,
        ),
    ] {
        let claims = map(claims);
        let settings = ClaimSettings {
            email: ClaimPath::top("upn"),
            ..ClaimSettings::default()
        };
        let identity = ClaimSources(vec![&claims]).identity(&wanted(&settings, &[]), "s");
        let found = identity.email.as_ref().map(|_| identity.email_verified);
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn an_address_is_verified_only_where_the_provider_says_so() {
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
            identity(claim.clone(), &[]).email_verified,
            expected,
            "{claim}"
        );
    }
}

#[test]
fn extra_claims_become_one_text_and_never_replace_standard_ones() {
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
    let extra = identity(claims, &names).extra;
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
fn what_rules_name_is_left_out_where_it_would_read_as_another() {
    let claims = json!({
        "department": "sales", "piped": "x|admin", "long": "x".repeat(1_025),
        "roles": ["a", "b"], "many": vec!["x".repeat(100); 11], "level": 3, "flag": true,
    });
    let claims = map(claims);
    let names = [
        "department",
        "piped",
        "long",
        "roles",
        "many",
        "level",
        "flag",
    ];
    let extra = names.map(NamedClaim::for_rules);
    let settings = ClaimSettings::default();
    let identity = ClaimSources(vec![&claims]).identity(&wanted(&settings, &extra), "s");
    let found: Vec<(&str, &str)> = identity
        .extra
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let expected = [
        ("department", "sales"),
        ("flag", "true"),
        ("level", "3"),
        ("roles", "a|b"),
    ];
    assert_eq!(found, expected);
}

/// A rule may ask that a user does not have an entry, so a list counts whole or not at all.
#[test]
fn what_rules_name_is_read_whole_or_left_out() {
    let read = |name: &str, claims: &Value| {
        let claims = map(claims.clone());
        let extra = [NamedClaim::for_rules(name)];
        let settings = ClaimSettings::default();
        let identity = ClaimSources(vec![&claims]).identity(&wanted(&settings, &extra), "s");
        assert!(identity.claims_of_rules.contains(name));
        identity.extra.get(name).cloned()
    };
    for (claim, expected) in [
        (json!([1, 2.0, true, "a"]), Some("1|2|true|a")),
        (json!(3.0), Some("3")),
        (json!(-0.0), Some("0")),
        (json!(1.5), Some("1.5")),
        (json!(["a", "b|c"]), None),
        (json!(["a", {"x": 1}]), None),
        (json!(["a", null]), None),
        (json!(["a", ""]), None),
        (json!([]), None),
        (json!("x|admin"), None),
        (json!({"x": 1}), None),
    ] {
        let found = read("c", &json!({"c": claim}));
        assert_eq!(found.as_deref(), expected, "{claim}");
    }
    for (claims, expected) in [
        (json!({"phone_number": "1"}), Some("1")),
        (json!({"phone_number": "1|2"}), None),
        (
            json!({"phone_number": "1", "phone_number_verified": false}),
            None,
        ),
    ] {
        let found = read("phone_number", &claims);
        assert_eq!(found.as_deref(), expected, "{claims}");
    }
}

/// A user may be in a group that a part of their groups does not name.
#[test]
fn groups_are_whole_only_where_all_were_read() {
    let many: Vec<String> = (0..=MAX_GROUPS).map(|n| n.to_string()).collect();
    for (case, claims, expected) in [
        ("a list", json!({"groups": ["a"], "roles": []}), true),
        ("a missing claim", json!({"groups": ["a"]}), false),
        (
            "an entry that is none",
            json!({"groups": ["a", [1]], "roles": []}),
            false,
        ),
        ("too many", json!({"groups": many, "roles": []}), false),
        (
            "overage of Entra ID",
            json!({"groups": [], "roles": ["a"], "_claim_names": {"groups": "src1"}}),
            false,
        ),
        (
            "overage in the implicit flow",
            json!({"groups": [], "roles": ["a"], "hasgroups": true}),
            false,
        ),
    ] {
        let claims = map(claims);
        let settings = ClaimSettings {
            groups: vec![ClaimPath::top("groups"), ClaimPath::top("roles")],
            ..ClaimSettings::default()
        };
        let identity = ClaimSources(vec![&claims]).identity(&wanted(&settings, &[]), "s");
        assert_eq!(identity.groups_whole, expected, "{case}");
    }
}

#[test]
fn the_first_source_that_has_a_claim_counts() {
    let id = map(json!({"name": "Alice", "email": ""}));
    let userinfo = map(json!({"name": "Mallory", "email": "a@example.com"}));
    let settings = ClaimSettings::default();
    let identity = ClaimSources(vec![&id, &userinfo]).identity(&wanted(&settings, &[]), "s");
    assert_eq!(identity.name.as_deref(), Some("Alice"));
    assert_eq!(
        identity.email.as_deref(),
        Some("a@example.com"),
        "empty is absent"
    );
}

#[test]
fn names_and_addresses_are_read_where_the_settings_say() {
    let at = |path: &str| ClaimPath::parse(path).expect("a path");
    let settings = |username, email, name| ClaimSettings {
        username: at(username),
        email: at(email),
        name: at(name),
        ..ClaimSettings::default()
    };
    let claims = map(json!({
        "preferred_username": "a1", "upn": "alice@corp.example", "emails": ["a@x.example"],
        "email": "b@x.example", "email_verified": false, "profile": {"name": "Alice"},
        "nickname": "",
    }));
    for (username, email, name, expected) in [
        ("upn", "upn", "name", [None, None, None]),
        (
            "preferred_username",
            "emails",
            "profile.name",
            [Some("a1"), None, Some("Alice")],
        ),
        ("email", "emails", "name", [None, None, None]),
        ("emails", "emails", "name", [None, None, None]),
        ("nickname", "email", "name", [None, None, None]),
    ] {
        let settings = settings(username, email, name);
        let identity = ClaimSources(vec![&claims]).identity(&wanted(&settings, &[]), "s");
        let found = [
            &identity.preferred_username,
            &identity.email,
            &identity.name,
        ];
        assert_eq!(
            found.map(Option::as_deref),
            expected,
            "{username} {email} {name}"
        );
    }
}
