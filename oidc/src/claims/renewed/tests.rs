use gatepost_session::NumericDate;

use serde_json::{Value, json};

use super::*;
use crate::claims::tests::{map, wanted};
use crate::named_claim::NamedClaim;
use crate::settings::ClaimSettings;

#[test]
fn a_renewal_never_moves_the_authentication_to_a_later_time() {
    let settings = ClaimSettings::default();
    let wanted = wanted(&settings, &[]);
    let at = |seconds: Option<u64>| Identity {
        auth_time: seconds.map(NumericDate::from_seconds),
        ..Identity::default()
    };
    for (known, newer, expected) in [
        (Some(100), Some(900), Some(100)),
        (Some(100), Some(50), Some(50)),
        (Some(100), None, Some(100)),
        (None, Some(900), None),
    ] {
        let identity = with_authentication_of(&at(known), at(newer), &wanted);
        assert_eq!(
            identity.auth_time,
            at(expected).auth_time,
            "{known:?} {newer:?}"
        );
    }
}

#[test]
fn a_renewal_never_makes_the_authentication_another() {
    let settings = ClaimSettings::default();
    let wanted = wanted(&settings, &[]);
    let of = |auth_time: Option<u64>, acr: Option<&str>, amr: &[&str]| Identity {
        auth_time: auth_time.map(NumericDate::from_seconds),
        acr: acr.map(Into::into),
        amr: amr.iter().map(|&method| method.into()).collect(),
        ..Identity::default()
    };
    let known = of(Some(100), Some("silver"), &["pwd"]);
    for newer in [
        of(None, Some("gold"), &["pwd", "otp"]),
        of(Some(100), Some("gold"), &["hwk"]),
        of(Some(50), Some("gold"), &["hwk"]),
        of(Some(900), None, &[]),
    ] {
        let renewed = with_authentication_of(&known, newer.clone(), &wanted);
        assert_eq!(renewed.acr, known.acr, "{newer:?}");
        assert_eq!(renewed.amr, known.amr, "{newer:?}");
    }
    let renewed = with_authentication_of(&of(None, None, &[]), known, &wanted);
    assert_eq!((renewed.acr, renewed.amr), (None, Vec::new()));
}

fn id_token(claims: Value) -> serde_json::Map<String, Value> {
    map(claims)
}

/// What a number is worth at a renewal whose ID token is all that answers, or not.
#[test]
fn an_unverified_number_does_not_come_back_with_a_renewal() {
    let rules = [
        NamedClaim::for_rules("phone_number"),
        NamedClaim::for_headers("phone_number_verified"),
    ];
    let settings = ClaimSettings::default();
    let wanted = wanted(&settings, &rules);
    let number = json!({"phone_number": "1", "sub": "s"});
    let verified = json!({"phone_number": "1", "phone_number_verified": true});
    let unverified = json!({"phone_number": "1", "phone_number_verified": false});
    let nothing = json!({});
    let (one, yes, no) = (Some("1"), Some("true"), Some("false"));
    let all = Answered::All;
    let part = Answered::NotUserinfo;
    for (case, before, id, answered, number, flag) in [
        ("said no, in part", &unverified, &number, part, None, no),
        ("said no, whole", &unverified, &number, all, None, no),
        ("said yes, in part", &verified, &number, part, one, yes),
        ("nobody says any more", &verified, &number, all, one, None),
        ("not there", &verified, &nothing, part, one, yes),
        (
            "the flag alone",
            &verified,
            &json!({"phone_number_verified": false}),
            part,
            None,
            no,
        ),
        (
            "another",
            &verified,
            &json!({"phone_number": "2"}),
            part,
            None,
            no,
        ),
        ("new in part", &nothing, &number, part, None, no),
        ("new", &nothing, &verified, part, one, yes),
        ("new and whole", &nothing, &number, all, one, None),
    ] {
        let before = id_token(before.clone());
        let known = ClaimSources(vec![&before]).identity(&wanted, "s");
        let id = id_token(id.clone());
        let renewed = ClaimSources(vec![&id]).renewed(&wanted, &known, answered);
        let text = |name: &str| renewed.extra.get(name).map(String::as_str);
        assert_eq!(text("phone_number"), number, "{case}");
        assert_eq!(text("phone_number_verified"), flag, "{case}");
    }
}

/// Userinfo is asked at a renewal for what it may have said of a value.
#[test]
fn a_renewal_asks_for_the_word_on_a_value() {
    let settings = ClaimSettings::default();
    let rules = [NamedClaim::for_rules("phone_number")];
    let all = json!({"preferred_username": "a", "email": "a@b.example", "groups": []});
    let with = |name: &str, value: Value| {
        let mut claims = all.clone();
        claims[name] = value;
        id_token(claims)
    };
    for (case, claims, flag, extra, expected) in [
        ("never said", with("x", json!(1)), None, &rules[..0], false),
        (
            "learnt no",
            with("x", json!(1)),
            Some(false),
            &rules[..0],
            true,
        ),
        (
            "learnt yes",
            with("x", json!(1)),
            Some(true),
            &rules[..0],
            true,
        ),
        (
            "said",
            with("email_verified", json!(true)),
            Some(true),
            &rules[..0],
            false,
        ),
        (
            "a number",
            with("phone_number", json!("1")),
            None,
            &rules[..],
            true,
        ),
        (
            "a number for no rule",
            with("phone_number", json!("1")),
            None,
            &rules[..0],
            false,
        ),
    ] {
        let known = Identity {
            preferred_username: Some("a".into()),
            email_verified: flag,
            ..Identity::default()
        };
        let wanted = wanted(&settings, extra);
        let sources = ClaimSources(vec![&claims]);
        assert_eq!(
            sources.lacks_at_renewal(&wanted, &known),
            expected,
            "{case}"
        );
    }
}

/// The name may be at another place than the address.
#[test]
fn a_name_that_is_another_address_than_the_users_comes_back_with_its_word_alone() {
    let settings = ClaimSettings {
        username: ClaimPath::top("email"),
        email: ClaimPath::top("mail"),
        ..ClaimSettings::default()
    };
    let wanted = wanted(&settings, &[]);
    let address = |verified: Value| {
        json!({
            "email": "root@b.example", "email_verified": verified, "mail": "a@b.example",
            "mail_verified": true,
        })
    };
    let unsaid = id_token(json!({"email": "root@b.example", "mail": "a@b.example"}));
    for (verified, answered, expected) in [
        (json!(false), Answered::All, None),
        (json!(false), Answered::NotUserinfo, None),
        (json!(true), Answered::NotUserinfo, Some("root@b.example")),
    ] {
        let before = id_token(address(verified.clone()));
        let known = ClaimSources(vec![&before]).identity(&wanted, "s");
        let sources = ClaimSources(vec![&unsaid]);
        assert!(sources.lacks_at_renewal(&wanted, &known), "{verified}");
        let renewed = sources.renewed(&wanted, &known, answered);
        assert_eq!(
            renewed.preferred_username.as_deref(),
            expected,
            "{verified}"
        );
        assert_eq!(renewed.email.as_deref(), Some("a@b.example"), "{verified}");
    }
}

/// As rules see it, so do headers.
#[test]
fn headers_show_the_authentication_of_the_sign_in() {
    let names = ["amr", "auth_time"].map(NamedClaim::for_headers);
    let settings = ClaimSettings::default();
    let wanted = wanted(&settings, &names);
    let before = id_token(json!({"amr": ["pwd"], "auth_time": 5}));
    let known = ClaimSources(vec![&before]).identity(&wanted, "s");
    let not_asked_for = Identity {
        extra: std::collections::BTreeMap::new(),
        ..known.clone()
    };
    let newer = id_token(json!({"amr": ["pwd", "otp"], "auth_time": 9}));
    for known in [known, not_asked_for] {
        for answered in [Answered::All, Answered::NotUserinfo] {
            let renewed = ClaimSources(vec![&newer]).renewed(&wanted, &known, answered);
            let found: Vec<&str> = renewed.extra.values().map(String::as_str).collect();
            assert_eq!(found, ["pwd", "5"], "{answered:?}");
        }
    }
}
