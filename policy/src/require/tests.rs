use super::*;
use crate::decide::double::{NOW, claims};
use alloc::vec;
use gatepost_session::{MoreClaims, TextList};

/// Returns the situation of a request with a session.
fn of(claims: &Claims) -> Situation {
    Situation {
        now: Some(claims.iat),
        bound: claims.bound,
    }
}

/// Returns the conditions of these groups and e-mail domains.
fn lists(groups: &[&str], domains: &[&str]) -> Vec<Condition> {
    let groups = groups
        .iter()
        .map(|name| Condition::new(Kind::Group, (*name).into()));
    let domains = domains
        .iter()
        .map(|name| Condition::new(Kind::EmailDomain, (*name).into()));
    groups.chain(domains).collect()
}

/// Returns the rule with these conditions under `any` and `all`.
fn rule(any: Vec<Condition>, all: Vec<Condition>) -> Require {
    Require::new(any, all, Vec::new())
}

#[test]
fn a_rule_is_within_another_where_it_asks_for_as_much() {
    let none = Vec::new;
    let any = |groups: &[&str]| rule(lists(groups, &[]), none());
    let all = |groups: &[&str]| rule(none(), lists(groups, &[]));
    for (own, other, expected) in [
        (any(&[]), any(&[]), true),
        (any(&["a"]), any(&[]), true),
        (any(&[]), any(&["a"]), false),
        (any(&["a"]), any(&["a"]), true),
        (any(&["a"]), any(&["b", "a"]), true),
        (any(&["b", "a"]), any(&["a"]), false),
        (all(&["a", "b"]), all(&["a"]), true),
        (all(&["a"]), all(&["a", "b"]), false),
        (all(&["a"]), any(&["a", "b"]), true),
        (any(&["a"]), all(&["a"]), false),
    ] {
        assert_eq!(own.is_within(&other), expected, "{own:?} {other:?}");
    }
}

#[test]
fn any_needs_one_and_all_needs_every_entry() {
    let none = Vec::new;
    let cases = [
        ("nothing asked", rule(none(), none()), Ruling::Holds),
        (
            "one of two",
            rule(lists(&["x", "staff"], &[]), none()),
            Ruling::Holds,
        ),
        (
            "none of two",
            rule(lists(&["x", "y"], &[]), none()),
            Ruling::Fails,
        ),
        (
            "case differs",
            rule(lists(&["Staff"], &[]), none()),
            Ruling::Fails,
        ),
        (
            "all held",
            rule(none(), lists(&["staff", "dev"], &[])),
            Ruling::Holds,
        ),
        (
            "one missing",
            rule(none(), lists(&["staff", "x"], &[])),
            Ruling::Fails,
        ),
        (
            "any and all",
            rule(lists(&["x"], &["example.com"]), lists(&["dev"], &[])),
            Ruling::Holds,
        ),
        (
            "any holds, all does not",
            rule(lists(&["staff"], &[]), lists(&["x"], &[])),
            Ruling::Fails,
        ),
    ];
    let person = Claims {
        groups: ["staff", "dev"].into(),
        ..claims("a@example.com")
    };
    for (case, rule, expected) in cases {
        assert_eq!(rule.rule(&person, of(&person)), expected, "{case}");
    }
}

#[test]
fn a_device_is_asked_of_the_session_and_not_of_the_user() {
    let staff = || rule(lists(&["staff"], &[]), Vec::new());
    let device = vec![Condition::new(Kind::DeviceBound, "true".into())];
    let with_device = rule(lists(&["staff"], &[]), device);
    let unbound = Claims {
        groups: ["staff"].into(),
        ..claims("a@example.com")
    };
    let bound = Claims {
        bound: true,
        ..unbound.clone()
    };
    let outsider = Claims {
        groups: TextList::default(),
        ..bound.clone()
    };
    for (case, claims, of_session, of_user) in [
        ("bound", &bound, Ruling::Holds, Ruling::Holds),
        ("unbound", &unbound, Ruling::Fails, Ruling::Holds),
        ("an outsider's", &outsider, Ruling::Unknown, Ruling::Unknown),
    ] {
        assert_eq!(with_device.rule(claims, of(claims)), of_session, "{case}");
        assert_eq!(
            with_device.rule(claims, Situation::OF_NO_REQUEST),
            of_user,
            "{case}"
        );
    }
    assert!(with_device.needs_device() && !staff().needs_device());
    assert!(with_device.is_within(&staff()) && !staff().is_within(&with_device));
}

#[test]
fn groups_left_out_of_the_cookie_make_only_their_absence_undecidable() {
    let person = Claims {
        groups: ["staff"].into(),
        grp_more: true,
        ..claims("a@example.com")
    };
    let none = Vec::new;
    let cases = [
        (
            "listed",
            rule(lists(&["staff"], &[]), none()),
            Ruling::Holds,
        ),
        (
            "not listed",
            rule(lists(&["x"], &[]), none()),
            Ruling::Undecidable,
        ),
        (
            "another entry holds",
            rule(lists(&["x"], &["example.com"]), none()),
            Ruling::Holds,
        ),
        (
            "another entry fails for sure",
            rule(none(), lists(&["x"], &["other.example"])),
            Ruling::Fails,
        ),
    ];
    for (case, rule, expected) in cases {
        assert_eq!(rule.rule(&person, of(&person)), expected, "{case}");
    }
}

#[test]
fn an_address_that_cannot_be_relied_on_matches_no_rule() {
    let rule = rule(lists(&[], &["Example.com"]), Vec::new());
    for (email, expected) in [
        ("a@example.com", Ruling::Holds),
        ("A@EXAMPLE.COM", Ruling::Holds),
        ("a@evil.example@example.com", Ruling::Unknown),
        ("\"a@evil\"@example.com", Ruling::Unknown),
        ("a@example.com ", Ruling::Unknown),
        ("a b@example.com", Ruling::Unknown),
        ("@example.com", Ruling::Unknown),
        ("a@sub.example.com", Ruling::Fails),
        ("a@exampl\u{435}.com", Ruling::Unknown),
        ("example.com", Ruling::Unknown),
    ] {
        assert_eq!(
            rule.rule(&claims(email), Situation::OF_NO_REQUEST),
            expected,
            "{email}"
        );
    }
    let unverified = Claims {
        email_verified: Some(false),
        ..claims("a@example.com")
    };
    assert_eq!(rule.rule(&unverified, of(&unverified)), Ruling::Unknown);
    let absent = Claims {
        email: None,
        ..claims("")
    };
    assert_eq!(rule.rule(&absent, of(&absent)), Ruling::Unknown);
}

/// What is not known of a user is no reason to admit them.
#[test]
fn a_user_is_outside_of_a_group_only_where_all_groups_are_known() {
    let part = |known: &str| [(MoreClaims::GROUPS_IN_PART.into(), known.into())];
    let not = Require::new(Vec::new(), Vec::new(), lists(&["contractors"], &[]));
    let held = rule(lists(&["contractors"], &[]), Vec::new());
    for (case, groups, more, ext, expected) in [
        ("known", &["staff"][..], false, None, Ruling::Holds),
        ("in it", &["contractors"], false, None, Ruling::Fails),
        ("no groups at all", &[], false, None, Ruling::Unknown),
        ("left out", &["staff"], true, None, Ruling::Undecidable),
        ("all left out", &[], true, None, Ruling::Undecidable),
        ("read in part", &["staff"], false, Some(""), Ruling::Unknown),
        (
            "known of others",
            &["staff"],
            false,
            Some("a|contractor"),
            Ruling::Unknown,
        ),
        (
            "known to be outside",
            &["staff"],
            false,
            Some("a|contractors"),
            Ruling::Holds,
        ),
        (
            "known to be outside, others left out",
            &[],
            true,
            Some("contractors"),
            Ruling::Holds,
        ),
    ] {
        let person = Claims {
            groups: groups.iter().collect(),
            grp_more: more,
            ext: ext.into_iter().flat_map(part).collect(),
            ..claims("a@example.com")
        };
        assert_eq!(not.rule(&person, of(&person)), expected, "{case}");
        assert_eq!(
            held.rule(&person, of(&person)),
            expected.opposite(),
            "{case}, asked for"
        );
    }
}

/// Another spelling of a name refuses where the name is asked for, and must not admit where it is
/// excluded.
#[test]
fn what_is_spelled_in_another_case_is_excluded_too() {
    let claim = |values: &[&str]| {
        let values = values.iter().copied().map(String::from).collect();
        Condition::claim("kind".into(), values)
    };
    let condition = |kind, text: &str| Condition::new(kind, text.into());
    let person = |kind: &str| Claims {
        groups: ["staff", "Contractors"].iter().collect(),
        preferred_username: Some("Mallory".into()),
        ext: [("kind".into(), kind.into())].into_iter().collect(),
        ..claims("mallory@Example.com")
    };
    for (case, condition, kind, is_admitted) in [
        ("a group", condition(Kind::Group, "contractors"), "", false),
        (
            "no such group",
            condition(Kind::Group, "contractor"),
            "",
            true,
        ),
        ("a user", condition(Kind::User, "mallory"), "", false),
        ("another user", condition(Kind::User, "mallorie"), "", true),
        (
            "a domain",
            condition(Kind::EmailDomain, "eXample.com"),
            "",
            false,
        ),
        ("a claim", claim(&["external"]), "External", false),
        ("another claim", claim(&["external"]), "internal", true),
        ("an entry", claim(&["external"]), "a|EXTERNAL", false),
        ("a beginning", claim(&["ext*"]), "EXTernal", false),
        ("another beginning", claim(&["ext*"]), "ex", true),
        ("no flag", claim(&["true"]), "1", false),
        ("no flag in words", claim(&["true"]), "yes", false),
        ("a flag in another case", claim(&["true"]), "TRUE", false),
        ("the other flag", claim(&["true"]), "False", true),
        (
            "a flag beside words",
            claim(&["true", "external"]),
            "no",
            true,
        ),
    ] {
        let person = person(kind);
        let not = Require::new(Vec::new(), Vec::new(), Vec::from([condition]));
        let ruling = not.rule(&person, of(&person));
        assert_eq!(ruling == Ruling::Holds, is_admitted, "{case}: {ruling:?}");
        assert_eq!(not.lacking(&person, NOW).is_empty(), is_admitted, "{case}");
    }
}

#[test]
fn a_domain_with_a_dot_at_its_end_is_not_another() {
    let not = Require::new(Vec::new(), Vec::new(), lists(&[], &["example.com"]));
    for (email, expected) in [
        ("a@example.com", Ruling::Fails),
        ("a@example.com.", Ruling::Unknown),
        ("a@example.net", Ruling::Holds),
    ] {
        let person = claims(email);
        assert_eq!(not.rule(&person, of(&person)), expected, "{email}");
    }
}
