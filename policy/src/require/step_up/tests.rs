use serde_json::{Value, json};
use std::borrow::ToOwned as _;

use gatepost_session::NumericDate;

use super::*;
use crate::config::{self, Fields, Problems, policy};
use crate::decide::double::{NOW, authentic, claims};
use crate::request::double::Sent;
use crate::{Decision, Demand, Policy, Unauthenticated};

fn read(value: &Value) -> Policy {
    let problems = Problems::new();
    let value = &config::Value::from(value);
    let mut fields = Fields::of(value, "", &problems).expect("a section");
    let policy = policy(&mut fields);
    assert!(problems.is_empty(), "{value:?}");
    policy
}

/// Alice of `staff`, who has authenticated with the class `silver`, by a password, a minute ago.
fn alice() -> Claims {
    Claims {
        groups: ["staff"].into(),
        acr: Some("silver".into()),
        amr: ["pwd"].into(),
        auth_time: Some(NumericDate::from_seconds(NOW.as_seconds() - 60)),
        ..claims("alice@example.com")
    }
}

/// Returns what is asked of a user's authentication for a page that this rule refuses, and which
/// classes.
fn asked(
    policy: &Policy,
    path: &str,
    demand: Option<&Demand>,
    user: &Claims,
) -> Option<(String, String)> {
    let authentic = authentic(user);
    let session = authentic.current(NOW, 0).map_err(Unauthenticated::Window);
    match policy.decide_with(&Sent::new("GET", path), session, demand) {
        Decision::Deny(denial) => {
            assert!(!(denial.lacks_device() && denial.step_up().is_some()));
            let step_up = denial.step_up()?;
            Some((step_up.to_text(), step_up.acr_values()))
        }
        decision => panic!("{path}: {decision:?}"),
    }
}

/// Returns the same for Alice by one rule, as the text of a link.
fn asked_of_alice(require: &Value, change: impl FnOnce(&mut Claims)) -> Option<String> {
    let mut user = alice();
    change(&mut user);
    let policy = read(&json!({ "require": require }));
    asked(&policy, "/x", None, &user).map(|(text, _)| text)
}

#[test]
fn only_an_authentication_is_asked_for() {
    let unchanged = |_: &mut Claims| ();
    for (require, expected) in [
        (json!({"acr": ["gold"]}), Some("all=claim:acr:gold")),
        (
            json!({"groups": ["staff"], "acr": ["gold", "platinum"], "maxAge": "30s"}),
            Some("all=claim:acr:gold:platinum&all=maxAge:30"),
        ),
        (
            json!({"any": {"groups": ["admins"], "acr": ["gold"]}}),
            Some("all=claim:acr:gold"),
        ),
        // Of several, the one that each user can satisfy.
        (
            json!({"any": {"maxAge": "30s", "acr": ["gold"], "amr": ["otp"]}}),
            Some("all=maxAge:30"),
        ),
        (
            json!({"any": {"acr": ["gold"], "amr": ["otp"]}}),
            Some("all=claim:acr:gold"),
        ),
        // An authentication would not help.
        (json!({"groups": ["admins"], "acr": ["gold"]}), None),
        (json!({"groups": ["admins"]}), None),
        (
            json!({"all": {"groups": ["admins"], "acr": ["gold"]}}),
            None,
        ),
        (json!({"acr": ["gold"], "not": {"groups": ["staff"]}}), None),
        (json!({"not": {"acr": ["silver"]}}), None),
        (
            json!({"acr": ["gold"], "all": {"claims": {"level": "3"}}}),
            None,
        ),
    ] {
        assert_eq!(
            asked_of_alice(&require, unchanged).as_deref(),
            expected,
            "{require}"
        );
    }
    let rule = json!({"acr": ["gold"], "deviceBound": true});
    let expected = Some("all=claim:acr:gold".to_owned());
    assert_eq!(asked_of_alice(&rule, unchanged), expected, "bound anew");
    assert_eq!(asked_of_alice(&rule, |user| user.bound = true), expected);
    let rule = json!({"maxAge": "5m"});
    let expected = Some("all=maxAge:300".to_owned());
    assert_eq!(
        asked_of_alice(&rule, |user| user.auth_time = None),
        expected
    );
    let future = |user: &mut Claims| user.auth_time = Some(NOW.plus_seconds(3600));
    assert_eq!(asked_of_alice(&rule, future), expected);
}

/// A provider that is asked for a recent sign-in alone may answer with a weaker one, and the user
/// would come back for ever.
#[test]
fn where_one_condition_on_an_authentication_is_lacking_all_are_asked_for() {
    for (require, change, expected) in [
        (
            json!({"acr": ["gold"], "maxAge": "10m"}),
            (|user: &mut Claims| {
                user.acr = Some("gold".into());
                user.auth_time = Some(NumericDate::from_seconds(NOW.as_seconds() - 601));
            }) as fn(&mut Claims),
            "all=claim:acr:gold&all=maxAge:600",
        ),
        (
            json!({"acr": ["silver"], "amr": ["otp"]}),
            |_| (),
            "all=claim:acr:silver&all=claim:amr:otp",
        ),
        (
            json!({"any": {"acr": ["silver", "gold"]}, "all": {"maxAge": "30s"}}),
            |_| (),
            "all=claim:acr:silver:gold&all=maxAge:30",
        ),
    ] {
        let asked = asked_of_alice(&require, change);
        assert_eq!(asked.as_deref(), Some(expected), "{require}");
    }
}

/// A path with several meanings meets several rules, and a demand stands besides.
#[test]
fn a_class_has_to_suffice_by_every_rule() {
    let policy = read(&json!({"rules": [
        {"paths": ["/Admin/*"], "require": {"acr": ["gold", "platinum"], "maxAge": "10m"}},
        {"paths": ["/*"], "require": {"acr": ["platinum", "bronze", "gold*"], "maxAge": "5m"}},
    ]}));
    let first = "all=claim:acr:gold:platinum&all=maxAge:600";
    let second = "all=claim:acr:platinum:bronze:gold%2A&all=maxAge:300";
    for (path, text, classes) in [
        ("/Admin/x", first.to_owned(), "gold platinum"),
        ("/x", second.to_owned(), "platinum bronze"),
        ("/admin/x", [first, "&", second].concat(), "gold platinum"),
    ] {
        let expected = Some((text, classes.to_owned()));
        assert_eq!(asked(&policy, path, None, &alice()), expected, "{path}");
    }
    for (demand, expected) in [
        ("all=claim:acr:platinum:silver", Some("platinum")),
        ("all=claim:acr:go%2A", Some("gold")),
        // No class is both, so that no authentication helps.
        ("all=claim:acr:silver", None),
        ("all=claim:acr:x%2A", None),
        ("all=claim:acr:gold%2A", Some("gold")),
    ] {
        let demand = Demand::from_text(demand).expect(demand);
        let asked = asked(&policy, "/Admin/x", Some(&demand), &alice());
        let classes = asked.map(|(_, classes)| classes);
        assert_eq!(classes.as_deref(), expected, "{demand:?}");
    }
}

#[test]
fn a_link_asks_for_an_authentication_and_for_nothing_else() {
    for text in [
        "all=claim:acr:gold",
        "all=claim:acr:gold:platinum&all=maxAge:30",
        "all=claim:acr:gold&all=claim:amr:otp&all=claim:acr:gold:silver",
        "all=claim:acr:a%2A&all=claim:acr:abc%2A",
        "all=claim:acr:%2A&all=claim:acr:b%2A:a",
        "all=claim:acr:a%2A:gold&all=claim:acr:b%2A:gold",
    ] {
        let linked = LinkedConditions::from_text(text).expect(text);
        assert_eq!(linked.step_up().to_text(), text);
    }
    let long = ["all=claim:acr:", &"a".repeat(MAX_AUTHENTICATION_BYTES)].concat();
    for text in [
        "",
        "session",
        "deny",
        "any=claim:acr:gold",
        "all=group:admins",
        "all=claim:acr:gold&all=group:admins",
        "all=claim:department:sales",
        "not=claim:acr:gold",
        "all=claim:acr:gold&not=claim:acr:silver",
        "all=deviceBound:true",
        "all=claim:acr",
        "all=claim:acr:gold&and&all=claim:amr:otp",
        // No class can be both.
        "all=claim:acr:gold&all=claim:acr:silver",
        "all=claim:acr:a%2A&all=claim:acr:b%2A",
        "all=claim:acr:a%2A:gold&all=claim:acr:b%2A:silver",
        "all=claim:acr:ab&all=claim:acr:a%2A&all=claim:acr:abc%2A",
        &long,
    ] {
        let read = LinkedConditions::from_text(text);
        assert_eq!(read, Err(InvalidRule), "{text}");
    }
    let linked = LinkedConditions::from_text("all=maxAge:0&all=maxAge:90&all=claim:acr:a");
    let linked = linked.expect("conditions").with_ages_from(60);
    let expected = "all=maxAge:60&all=maxAge:90&all=claim:acr:a";
    assert_eq!(linked.step_up().to_text(), expected);
}

/// What is needless to ask may be refused for ever: a condition of a link has to hold afterwards.
#[test]
fn of_several_that_suffice_the_one_that_holds_is_kept() {
    let rule = json!({"any": {"acr": ["gold"], "maxAge": "10m"}, "amr": ["otp"]});
    let old = NumericDate::from_seconds(NOW.as_seconds() - 3_600);
    for (class, time, expected) in [
        ("gold", old, "all=claim:acr:gold&all=claim:amr:otp"),
        ("silver", NOW, "all=maxAge:600&all=claim:amr:otp"),
        ("silver", old, "all=maxAge:600&all=claim:amr:otp"),
    ] {
        let asked = asked_of_alice(&rule, |user| {
            (user.acr, user.auth_time) = (Some(class.into()), Some(time));
        });
        assert_eq!(asked.as_deref(), Some(expected), "{class}");
    }
}

#[test]
fn a_session_is_weaker_that_lacks_what_a_rule_found_in_another() {
    let policy = read(&json!({"rules": [
        {"paths": ["/a/*"], "require": {"acr": ["gold", "plat*"], "maxAge": "10m"}},
        {"paths": ["/b/*"], "require": {"any": {"amr": ["otp"], "groups": ["staff"]}}},
    ]}));
    let of = |class: Option<&str>, methods: &[&str]| Claims {
        acr: class.map(Into::into),
        amr: methods.iter().copied().collect(),
        auth_time: None,
        ..alice()
    };
    for (old, new, expected) in [
        (of(Some("gold"), &[]), of(Some("silver"), &[]), true),
        (of(Some("gold"), &[]), of(None, &[]), true),
        (of(Some("gold"), &[]), of(Some("platinum"), &[]), false),
        (of(Some("silver"), &[]), of(Some("gold"), &[]), false),
        // No rule names it.
        (of(Some("silver"), &[]), of(Some("bronze"), &["pwd"]), false),
        (of(None, &["pwd", "otp"]), of(None, &["pwd"]), true),
        (of(None, &["pwd", "otp"]), of(None, &["otp"]), false),
        (of(None, &["otp"]), of(None, &[]), true),
    ] {
        assert_eq!(policy.is_weaker(&new, &old), expected, "{old:?} {new:?}");
    }
}

#[test]
fn a_challenge_names_what_can_be_asked_for() {
    for (text, expected) in [
        (
            "all=claim:acr:gold:platinum&all=maxAge:300&all=claim:acr:gold&all=maxAge:60",
            ", acr_values=\"gold\", max_age=\"60\"",
        ),
        ("all=claim:amr:otp", ""),
        // With a `*`, a quote or a blank it is no name.
        ("all=claim:acr:gold%2A:a%22b:a%20b:a%5Cb:%C3%A9", ""),
        (
            "all=claim:acr:urn%3Amace%3Aincommon",
            ", acr_values=\"urn:mace:incommon\"",
        ),
    ] {
        let linked = LinkedConditions::from_text(text).expect(text);
        let error = "Bearer realm=\"wiki\", error=\"insufficient_user_authentication\"";
        assert_eq!(
            linked.step_up().challenge("wiki"),
            [error, expected].concat(),
            "{text}"
        );
        assert_eq!(linked.step_up().asks_for_method(), text.contains("amr"));
    }
}

#[test]
fn a_session_meets_all_conditions_or_lacks_something() {
    let user = alice();
    let authentic = authentic(&user);
    let session = authentic.current(NOW, 0).expect("in force");
    for (text, expected) in [
        ("all=claim:acr:silver", true),
        ("all=claim:acr:silver&all=maxAge:60", true),
        ("all=claim:acr:silver&all=maxAge:59", false),
        ("all=claim:acr:sil%2A&all=claim:amr:pwd", true),
        ("all=claim:amr:otp", false),
        ("all=claim:acr:gold", false),
    ] {
        let linked = LinkedConditions::from_text(text).expect(text);
        assert_eq!(linked.step_up().is_met_by(session), expected, "{text}");
    }
    let silver = LinkedConditions::from_text("all=claim:acr:silver&all=maxAge:9").expect("silver");
    let gold = LinkedConditions::from_text("all=claim:acr:gold").expect("gold");
    assert_eq!(gold.step_up().and(&silver.step_up()), None);
    let both = LinkedConditions::from_text("all=claim:acr:gold:silver&all=maxAge:8");
    let both = both.expect("both");
    let together = both.step_up().and(&silver.step_up()).expect("silver");
    assert_eq!(together.acr_values(), "silver");
    assert_eq!(together.max_age(), Some(8));
}
