use super::*;

use alloc::borrow::ToOwned as _;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use alloc::{format, vec};
use proptest::collection::vec as vec_of;
use proptest::option::of;
use proptest::prelude::*;

/// Generates a text, with or without characters that JSON escapes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z0-9 @.:/-]{0,20}", 1 => ".{0,12}", 1 => "[\"\\\\\u{1}a]{0,4}"]
}

fn time() -> impl Strategy<Value = NumericDate> {
    prop_oneof![0..5_u64, 1_700_000_000..1_900_000_000_u64, any::<u64>()]
        .prop_map(NumericDate::from_seconds)
}

prop_compose! {
    fn claims()(
        (iss, sub, aud) in (text(), text(), text()),
        sid in any::<[u8; 24]>(),
        (iat, exp, rnw) in (time(), time(), time()),
        (nbf, auth_time) in (of(time()), of(time())),
        (preferred_username, name, email, acr) in (of(text()), of(text()), of(text()), of(text())),
        (email_verified, grp_more, bound) in (of(any::<bool>()), any::<bool>(), any::<bool>()),
        (groups, amr) in (vec_of(text(), 0..6), vec_of(text(), 0..3)),
        ext in vec_of((text(), text()), 0..3),
    ) -> Claims {
        let sid = SessionId::from_random(sid);
        let ext = ext.into_iter().collect();
        let (groups, amr) = (groups.iter().collect(), amr.iter().collect());
        Claims {
            iss, sub, aud, sid, iat, exp, rnw, nbf, preferred_username, name, email,
            email_verified, groups, grp_more, acr, amr, auth_time, bound, ext,
        }
    }
}

/// Pieces of payloads, which replace a part of one.
fn piece() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "",
        " ",
        ",",
        ":",
        "\"",
        "{",
        "}",
        "[",
        "]",
        "0",
        "00",
        "1e3",
        "1.0",
        "-1",
        "null",
        "true",
        "false",
        "\\u0041",
        "\\",
        "\"\"",
        "\u{7f}",
        "\u{e9}",
        "\n",
        "9007199254740991",
        "9007199254740992",
        "99999999999999999999",
        ",\"iss\":\"x\"",
        ",\"x\":1",
        ",\"groups\":[]",
        ",\"ext\":{}",
        ",\"grp_more\":false",
        ",\"nbf\":1",
        "\"a\",\"b\"",
        "\"a\":\"b\",\"a\":\"c\"",
    ];
    prop::sample::select(PIECES).prop_map(String::from)
}

/// Asserts that the scanned claims equal those of the JSON reader, and that signing them gives
/// exactly these bytes.
fn agree(payload: &[u8]) -> Result<Option<Claims>, TestCaseError> {
    let scanned = scan(payload);
    let read: Option<Claims> = serde_json::from_slice(payload).ok();
    if let Some(claims) = &scanned {
        prop_assert_eq!(read.as_ref(), Some(claims));
        let written = serde_json::to_vec(claims).expect("JSON");
        prop_assert_eq!(payload, &written);
    }
    prop_assert_eq!(Claims::read(payload), read);
    Ok(scanned)
}

/// Generates values of members, of every type and spelling.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"AAAAAAAAAAAAAAAAAAAAAA\"".to_owned()),
        prop::sample::select(VALUES).prop_map(String::from),
        ".{0,8}".prop_map(|text| serde_json::to_string(&text).expect("JSON")),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        vec_of(text(), 0..3).prop_map(|texts| serde_json::to_string(&texts).expect("JSON")),
    ]
}

const VALUES: &[&str] = &[
    "\"\\u0061\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\ude00\"",
    "\"\\/\"",
    "\"\u{0}\"",
    "\"\u{7f}\u{80}\u{2028}\"",
    "\"",
    "1",
    "01",
    "-0",
    "1.0",
    "1e0",
    "9007199254740991",
    "9007199254740992",
    "18446744073709551616",
    "1e400",
    "true",
    "false",
    "null",
    "tru",
    "[]",
    "[\"a\",]",
    "[1]",
    "[[\"a\"]]",
    "{}",
    "{\"a\":\"b\"}",
    "{\"a\":\"b\",\"a\":\"b\"}",
    "{\"a\":1}",
];

/// The members that a payload must have, in their order; then those that it may have.
const MEMBERS: &[(&str, &str)] = &[
    ("iss", "\"i\""),
    ("sub", "\"s\""),
    ("aud", "\"a\""),
    ("sid", "\"AAAAAAAAAAAAAAAAAAAAAA\""),
    ("iat", "1"),
    ("exp", "2"),
    ("rnw", "3"),
    ("nbf", "4"),
    ("preferred_username", "\"p\""),
    ("name", "\"n\""),
    ("email", "\"e\""),
    ("email_verified", "true"),
    ("groups", "[\"g\"]"),
    ("grp_more", "true"),
    ("acr", "\"c\""),
    ("amr", "[\"m\"]"),
    ("auth_time", "5"),
    ("bound", "true"),
    ("ext", "{\"x\":\"y\"}"),
];

/// One member of a payload: left out, in other words, twice, or with another value.
#[derive(Clone, Debug)]
enum Change {
    Leave,
    Drop,
    Repeat,
    Set(String),
    Rename(String),
    Move,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        24 => Just(Change::Leave),
        3 => Just(Change::Drop),
        1 => Just(Change::Repeat),
        2 => value().prop_map(Change::Set),
        1 => prop_oneof![text(), Just("x".to_owned())].prop_map(Change::Rename),
        1 => Just(Change::Move),
    ]
}

/// Generates JSON that is much like a payload: members left out, repeated, unknown, out of order or
/// of another type, blanks, and bytes behind the end.
fn json() -> impl Strategy<Value = String> {
    let blank =
        || prop_oneof![60 => Just(""), 1 => prop::sample::select(vec![" ", "\n", "\t", "\u{c}"])];
    let changes = vec_of((change(), blank(), blank()), MEMBERS.len());
    let end =
        prop_oneof![12 => Just(""), 1 => prop::sample::select(vec![" ", "}", ",", "x", "\u{0}"])];
    (changes, end).prop_map(|(changes, end)| {
        let mut members = Vec::new();
        for ((name, usual), (change, before, after)) in MEMBERS.iter().zip(changes) {
            let member = |name: &str, value: &str| {
                let name = serde_json::to_string(name).expect("JSON");
                format!("{before}{name}:{after}{value}")
            };
            match change {
                Change::Leave => members.push(member(name, usual)),
                Change::Drop => {}
                Change::Repeat => members.extend([member(name, usual), member(name, usual)]),
                Change::Set(value) => members.push(member(name, &value)),
                Change::Rename(name) => members.push(member(&name, usual)),
                Change::Move => members.insert(0, member(name, usual)),
            }
        }
        format!("{{{}}}{end}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_written_without_escapes_is_scanned(claims in claims()) {
        let payload = serde_json::to_string(&claims).expect("JSON");
        let scanned = agree(payload.as_bytes())?;
        let usual = !payload.contains('\\')
            && !claims.iss.is_empty()
            && !claims.sub.is_empty();
        prop_assert_eq!(scanned.is_some(), usual, "{}", payload);
    }

    #[test]
    fn any_json_is_read_as_by_the_json_reader(payload in json()) {
        agree(payload.as_bytes())?;
    }

    #[test]
    fn a_changed_payload_is_read_as_json_or_not_at_all(
        claims in claims(),
        at in any::<prop::sample::Index>(),
        removed in 0_usize..6,
        piece in piece(),
    ) {
        let payload = serde_json::to_string(&claims).expect("JSON").into_bytes();
        let at = at.index(payload.len());
        let rest = payload.len().min(at + removed);
        let changed = [&payload[..at], piece.as_bytes(), &payload[rest..]].concat();
        agree(&changed)?;
    }

    #[test]
    fn a_changed_byte_is_read_as_json_or_not_at_all(
        claims in claims(),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let mut payload = serde_json::to_string(&claims).expect("JSON").into_bytes();
        let at = at.index(payload.len());
        payload[at] = to;
        agree(&payload)?;
    }
}

#[test]
fn unusual_forms_are_left_to_the_json_reader() {
    let usual =
        r#"{"iss":"i","sub":"s","aud":"a","sid":"AAAAAAAAAAAAAAAAAAAAAA","iat":1,"exp":2,"rnw":3}"#;
    assert!(scan(usual.as_bytes()).is_some());
    for (from, to) in [
        ("\"iss\":\"i\"", "\"iss\":\"\""),
        ("{", "{ "),
        ("}", "} "),
        ("\"iat\":1", "\"iat\":01"),
        ("\"iat\":1", "\"iat\":\"1\""),
        ("\"rnw\":3", "\"rnw\":3,\"groups\":[]"),
        ("\"rnw\":3", "\"rnw\":3,\"grp_more\":false"),
        ("\"rnw\":3", "\"rnw\":3,\"x\":1"),
        ("\"aud\":\"a\"", "\"aud\":\"\\u0061\""),
    ] {
        let payload = usual.replacen(from, to, 1);
        assert_ne!(payload, usual, "{from}");
        assert_eq!(scan(payload.as_bytes()), None, "{payload}");
    }
}
