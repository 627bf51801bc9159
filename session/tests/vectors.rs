//! The vectors in `testdata/cookies.json`: what every implementation of the format has to make of
//! the same cookies.
//!
//! The file is written by this test and checked in, so that it cannot drift from the code and a
//! change to the format shows as a change to the file. `GATEPOST_WRITE_VECTORS=1` writes it again.

// Helpers of tests may panic like the tests themselves; clippy exempts only the latter.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::string_slice)]

use std::path::Path;
use std::{env, fs};

use gatepost_session::cookie::{Candidates, CookieName};
use gatepost_session::{
    Audience, Authentic, CLOCK_SKEW_SECONDS, Claims, KeyRing, NumericDate, OpenError, Purpose,
    SessionId, TextList, Verifier, WindowError,
};
use gatepost_signing::{CookieAttributes, CrossSite, Signer};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/cookies.json");

/// Published keys: anyone can read them here.
const KEY_NEW: &str = "2026a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=";
const KEY_OLD: &str = "2025b:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=";
const KEY_UNKNOWN: &str = "2024c:enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6eno=";
/// Another secret under the id of the newest key.
const KEY_IMPOSTOR: &str = "2026a:enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6eno=";

const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);
const NAME: &str = "__Host-gatepost";

fn claims() -> Claims {
    Claims {
        iss: "https://id.example.com".into(),
        sub: "248289761001".into(),
        aud: "wiki".into(),
        sid: SessionId::from_random([0xa5; 24]),
        iat: NOW,
        exp: NOW.plus_seconds(900),
        rnw: NOW.plus_seconds(600),
        nbf: None,
        preferred_username: Some("jörg".into()),
        name: Some("Jörg \"J\" Müller".into()),
        email: Some("joerg@example.com".into()),
        email_verified: Some(true),
        groups: ["staff", "Büro & Co"].into(),
        grp_more: false,
        acr: None,
        amr: ["pwd"].into(),
        auth_time: Some(NOW),
        bound: false,
        ext: [("department".to_owned(), "R&D".to_owned())]
            .into_iter()
            .collect(),
    }
}

fn minimal() -> Claims {
    Claims {
        preferred_username: None,
        name: None,
        email: None,
        email_verified: None,
        groups: TextList::default(),
        amr: TextList::default(),
        auth_time: None,
        bound: false,
        ext: Default::default(),
        ..claims()
    }
}

fn signed_by(key: &str, claims: &Claims) -> String {
    let ring = KeyRing::parse_published(key).expect("ring");
    Signer::new(&ring).sign(claims).expect("token")
}

fn token(claims: &Claims) -> String {
    signed_by(KEY_NEW, claims)
}

/// Returns a token with any header and payload, signed with the session key derived from `key`.
fn raw_token(key: &str, header: &str, payload: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    let ring = KeyRing::parse_published(key).expect("ring");
    let derived = ring.derive(Purpose::Session);
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let mac = derived.signing().mac().compute(&[signed.as_bytes()]);
    format!("{signed}.{}", BASE64.encode(mac))
}

fn payload(change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::to_value(claims()).expect("JSON");
    change(&mut value);
    value.to_string()
}

const HEADER: &str = r#"{"alg":"HS256","kid":"2026a","typ":"gatepost+jwt"}"#;

/// A case before its outcome is known.
struct Case {
    name: &'static str,
    why: &'static str,
    now: NumericDate,
    audience: &'static str,
    issuer: Option<&'static str>,
    cookies: Vec<String>,
}

fn case(name: &'static str, why: &'static str, value: &str) -> Case {
    Case {
        name,
        why,
        now: NOW,
        audience: "wiki",
        issuer: None,
        cookies: vec![format!("{NAME}={value}")],
    }
}

/// Returns the `Cookie` lines that the outpost's cookies for this token make.
fn as_set(token: &str) -> Vec<String> {
    let name = CookieName::new(NAME).expect("name");
    let attributes = CookieAttributes {
        name,
        domain: None,
        secure: true,
        cross_site: CrossSite::Withheld,
    };
    let lines = attributes.issue(token, 60, &Candidates::default());
    let pairs = lines
        .iter()
        .filter_map(|line| line.split_once(';'))
        .map(|(pair, _)| pair);
    vec![pairs.collect::<Vec<_>>().join("; ")]
}

fn cases() -> Vec<Case> {
    let good = token(&claims());
    let over = token(&Claims {
        exp: NOW,
        ..claims()
    });
    let without_mac = good.rsplit_once('.').expect("three parts").0.to_owned();
    let flipped = |at: usize| {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("ASCII")
    };
    // The last character of a 32-byte MAC in base64url carries two unused bits.
    let noncanonical = {
        let last = good.chars().last().expect("not empty");
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.find(last).expect("base64url");
        format!("{}{}", &good[..good.len() - 1], &alphabet[at + 1..at + 2])
    };
    let many_groups = |count: usize| Claims {
        groups: (0..count).map(|n| format!("group-{n:054}")).collect(),
        ..claims()
    };
    let mut cases = vec![
        case("valid", "a session in force", &good),
        case(
            "valid, minimal",
            "only the claims that must be there",
            &token(&minimal()),
        ),
        case(
            "valid, bound to a device",
            "a flag that says how the session is renewed, and nothing else",
            &token(&Claims {
                bound: true,
                ..claims()
            }),
        ),
        case(
            "valid, older key",
            "every key of the ring verifies",
            &signed_by(KEY_OLD, &claims()),
        ),
        Case {
            now: NOW.plus_seconds(600),
            ..case(
                "valid, renewal due",
                "from `rnw` on a page load should renew",
                &good,
            )
        },
        Case {
            now: NOW.plus_seconds(899),
            ..case("valid, last second", "the window ends at `exp`", &good)
        },
        Case {
            now: NOW.plus_seconds(900),
            ..case("ended", "nothing is allowed on `exp`", &good)
        },
        case(
            "valid, clock 30 s ahead",
            "the issuer's clock may be ahead by this much",
            &token(&Claims {
                iat: NOW.plus_seconds(30),
                ..claims()
            }),
        ),
        case(
            "not yet, clock 31 s ahead",
            "and no further",
            &token(&Claims {
                iat: NOW.plus_seconds(31),
                ..claims()
            }),
        ),
        case(
            "not yet, nbf",
            "`nbf` is honoured",
            &token(&Claims {
                nbf: Some(NOW.plus_seconds(31)),
                ..claims()
            }),
        ),
        case(
            "other audience",
            "a cookie of one application is refused at another",
            &token(&Claims {
                aud: "wiki2".into(),
                ..claims()
            }),
        ),
        Case {
            issuer: Some("https://id.example.com"),
            ..case(
                "valid, issuer asked for",
                "the named provider's session",
                &good,
            )
        },
        Case {
            issuer: Some("https://id.example.com/"),
            ..case(
                "other issuer",
                "issuers are compared exactly as text",
                &good,
            )
        },
        case(
            "unknown key",
            "no key of that id",
            &signed_by(KEY_UNKNOWN, &claims()),
        ),
        case(
            "other secret",
            "the id of a key, not its secret",
            &signed_by(KEY_IMPOSTOR, &claims()),
        ),
        case(
            "flipped bit in header",
            "the header is compared byte for byte",
            &flipped(4),
        ),
        case(
            "flipped bit in payload",
            "the MAC covers the payload",
            &flipped(100),
        ),
        case(
            "flipped bit in MAC",
            "the MAC is compared whole",
            &flipped(good.len() - 20),
        ),
        case("truncated", "a MAC has 32 bytes", &good[..good.len() - 1]),
        case("no MAC", "three parts", &without_mac),
        case(
            "empty MAC",
            "a MAC has 32 bytes",
            &format!("{without_mac}."),
        ),
        case("appended", "a MAC has 32 bytes", &format!("{good}AAAA")),
        case(
            "fourth part",
            "exactly three parts",
            &format!("{good}.AAAA"),
        ),
        case("padding", "base64url without padding", &format!("{good}=")),
        case("unused bits set", "one text for one MAC", &noncanonical),
        case("empty", "no parts", ""),
        case(
            "quoted",
            "a value is read unchanged",
            &format!("\"{good}\""),
        ),
        case("too long", "longer than five chunks", &"A".repeat(19_001)),
    ];
    for (name, header) in [
        (
            "alg none",
            r#"{"alg":"none","kid":"2026a","typ":"gatepost+jwt"}"#,
        ),
        (
            "alg HS512",
            r#"{"alg":"HS512","kid":"2026a","typ":"gatepost+jwt"}"#,
        ),
        (
            "crit",
            r#"{"alg":"HS256","kid":"2026a","typ":"gatepost+jwt","crit":["x"]}"#,
        ),
        (
            "members in other order",
            r#"{"kid":"2026a","alg":"HS256","typ":"gatepost+jwt"}"#,
        ),
        (
            "spaces",
            r#"{"alg": "HS256", "kid": "2026a", "typ": "gatepost+jwt"}"#,
        ),
        (
            "member twice",
            r#"{"alg":"HS256","kid":"2026a","kid":"2026a","typ":"gatepost+jwt"}"#,
        ),
        ("other typ", r#"{"alg":"HS256","kid":"2026a","typ":"JWT"}"#),
    ] {
        let why = "no header is parsed: any other than ours is not ours, even well signed";
        cases.push(case(
            name,
            why,
            &raw_token(KEY_NEW, header, &payload(|_| {})),
        ));
    }
    let changed = |name, change: &dyn Fn(&mut Value)| {
        let why = "signed, but not a set of claims: refused, never read as absent";
        case(name, why, &raw_token(KEY_NEW, HEADER, &payload(change)))
    };
    cases.extend([
        changed("exp is a text", &|v| v["exp"] = json!("1800000900")),
        changed("exp is a fraction", &|v| v["exp"] = json!(1_800_000_900.5)),
        changed("exp is negative", &|v| v["exp"] = json!(-1)),
        changed("exp is huge", &|v| v["exp"] = json!(1e300)),
        changed("exp is past 2^53", &|v| {
            v["exp"] = json!(9_007_199_254_740_993_u64)
        }),
        changed("exp is null", &|v| v["exp"] = Value::Null),
        changed("exp is missing", &|v| {
            drop(v.as_object_mut().expect("object").remove("exp"))
        }),
        changed("sid is short", &|v| v["sid"] = json!("abc")),
        changed("aud is a list", &|v| v["aud"] = json!(["wiki"])),
        changed("groups is a text", &|v| v["groups"] = json!("staff")),
        changed("groups holds a number", &|v| {
            v["groups"] = json!(["staff", 1])
        }),
        changed("an extra claim is a number", &|v| {
            v["ext"] = json!({"department": 1})
        }),
        changed("iss is empty", &|v| v["iss"] = json!("")),
        changed("sub is empty", &|v| v["sub"] = json!("")),
        changed("name is null", &|v| v["name"] = Value::Null),
        changed("nested deeply", &|v| {
            v["groups"] = (0..100).fold(json!([]), |inner, _| json!([inner]));
        }),
    ]);
    let twice = payload(|_| {}).replacen("{", r#"{"aud":"wiki2","#, 1);
    let why = "one claim, one reading";
    cases.push(case("aud twice", why, &raw_token(KEY_NEW, HEADER, &twice)));
    let unknown = payload(|v| v["something_new"] = json!({"a": [1, 2.5, null]}));
    let why = "later versions may add claims";
    cases.push(case(
        "valid, unknown claim",
        why,
        &raw_token(KEY_NEW, HEADER, &unknown),
    ));
    cases.push(case(
        "not JSON",
        "signed, but not JSON",
        &raw_token(KEY_NEW, HEADER, "{"),
    ));

    let chunks = |name, why, cookies| Case {
        cookies,
        ..case(name, why, "")
    };
    let three = as_set(&token(&many_groups(120)));
    let pairs: Vec<&str> = three[0].split("; ").collect();
    assert_eq!(pairs.len(), 3, "three chunks");
    cases.extend([
        chunks(
            "valid, three chunks",
            "larger than one cookie",
            three.clone(),
        ),
        chunks(
            "valid, five chunks",
            "the most",
            as_set(&token(&many_groups(210))),
        ),
        chunks(
            "valid, chunks in any order",
            "numbers order them",
            vec![[pairs[2], pairs[0], pairs[1]].join("; ")],
        ),
        chunks(
            "chunk missing",
            "no hole",
            vec![[pairs[0], pairs[2]].join("; ")],
        ),
        chunks(
            "first chunk missing",
            "from 0",
            vec![[pairs[1], pairs[2]].join("; ")],
        ),
        chunks(
            "chunk twice",
            "none may appear twice",
            vec![[pairs[0], pairs[1], pairs[2], pairs[2]].join("; ")],
        ),
        chunks(
            "stale chunk",
            "one more than belongs to it",
            vec![format!("{}; {NAME}.3=AAAA", three[0])],
        ),
        chunks(
            "no cookie",
            "nothing by that name",
            vec!["theme=dark".into()],
        ),
        chunks("no cookie header", "nothing at all", vec![]),
        chunks(
            "other name",
            "names are compared byte for byte",
            vec![format!(
                "__host-gatepost={good}; \"{NAME}\"={good}; {NAME}x={good}"
            )],
        ),
        chunks(
            "valid, after a wrong one",
            "the first that is in force counts",
            vec![format!("{NAME}=wrong; {NAME}={good}")],
        ),
        chunks(
            "valid, after one that has ended",
            "a session that has ended hides nothing",
            vec![format!("{NAME}={over}; {NAME}={good}")],
        ),
        chunks(
            "valid, in chunks after one that has ended",
            "a session that has ended hides nothing, in either form",
            vec![format!("{NAME}={over}; {}", three[0])],
        ),
        chunks(
            "ended, before a wrong one",
            "the first that is authentic says why",
            vec![format!("{NAME}=wrong; {NAME}={over}; {NAME}=wrong")],
        ),
        chunks(
            "valid, on a second line",
            "all `Cookie` lines are read",
            vec!["theme=dark".into(), format!("lang=de; {NAME}={good}")],
        ),
        chunks(
            "fifth of one name",
            "at most four are tried",
            vec![format!(
                "{0}; {0}; {0}; {0}; {NAME}={good}",
                format_args!("{NAME}=wrong")
            )],
        ),
    ]);
    cases
}

/// Returns the crate's outcome for a case, in the words of the file.
fn outcome(case: &Case) -> Value {
    let ring = KeyRing::parse_published(&format!("{KEY_NEW}\n{KEY_OLD}")).expect("ring");
    let mut verifier = Verifier::new(&ring, Audience::new(case.audience).expect("audience"));
    if let Some(issuer) = case.issuer {
        verifier = verifier.with_issuer(issuer);
    }
    let name = CookieName::new(NAME).expect("name");
    let found = Candidates::find(case.cookies.iter().map(|line| line.as_bytes()), &name);
    let current = |authentic: &Authentic| authentic.current(case.now, CLOCK_SKEW_SECONDS).is_ok();
    let refused = match verifier.choose(&found, current) {
        Ok(authentic) => match authentic.current(case.now, CLOCK_SKEW_SECONDS) {
            Ok(session) => {
                return json!({
                    "session": session.claims(),
                    "renewalDue": session.renewal_due(),
                });
            }
            Err(WindowError::Ended) => "ended",
            Err(WindowError::NotYet) => "not-yet",
        },
        Err(None) => "no-cookie",
        Err(Some(error)) => match error {
            OpenError::TooLong => "too-long",
            OpenError::Malformed => "malformed",
            OpenError::Forged => "forged",
            OpenError::Claims => "claims",
            OpenError::Audience => "audience",
            OpenError::Issuer => "issuer",
            _ => "unknown",
        },
    };
    json!({"refused": refused})
}

fn file() -> Value {
    let cases: Vec<Value> = cases()
        .iter()
        .map(|case| {
            json!({
                "name": case.name,
                "why": case.why,
                "now": case.now,
                "audience": case.audience,
                "issuer": case.issuer,
                "cookieName": NAME,
                "cookies": case.cookies,
                "expect": outcome(case),
            })
        })
        .collect();
    json!({
        "about": "Session cookies and what to make of them: docs/cookie-format.md. \
                  The keys are for tests only.",
        "keys": [KEY_NEW, KEY_OLD],
        "clockSkewSeconds": CLOCK_SKEW_SECONDS,
        "cases": cases,
    })
}

#[test]
fn the_vectors_are_what_this_code_makes_and_reads() {
    let made = serde_json::to_string_pretty(&file()).expect("JSON") + "\n";
    if env::var_os("GATEPOST_WRITE_VECTORS").is_some() {
        fs::write(PATH, &made).expect("write the vectors");
    }
    let checked_in = fs::read_to_string(Path::new(PATH)).expect("read the vectors");
    assert!(
        checked_in == made,
        "testdata/cookies.json differs: the format has changed, or GATEPOST_WRITE_VECTORS=1 is due"
    );
}

#[test]
fn a_case_called_valid_is_accepted_and_no_other() {
    for case in cases() {
        let accepted = outcome(&case).get("session").is_some();
        assert_eq!(accepted, case.name.starts_with("valid"), "{}", case.name);
    }
}

#[test]
fn each_of_several_issuers_is_accepted_and_no_other() {
    let ring = KeyRing::parse_published(KEY_NEW).expect("ring");
    let of = |issuer: &str| {
        let iss = issuer.to_owned();
        token(&Claims { iss, ..claims() })
    };
    let two = Verifier::new(&ring, Audience::new("wiki").expect("audience"))
        .with_issuer("https://id.example.com")
        .with_issuer("https://id.example.net");
    for (issuer, expected) in [
        ("https://id.example.com", None),
        ("https://id.example.net", None),
        ("https://id.example.net/", Some(OpenError::Issuer)),
        ("https://id.example.org", Some(OpenError::Issuer)),
        ("", Some(OpenError::Claims)),
    ] {
        let outcome = two.authenticate(of(issuer).as_bytes());
        assert_eq!(outcome.err(), expected, "{issuer}");
    }
}

#[test]
fn another_jwt_library_reads_the_same_claims() {
    let ring = KeyRing::parse_published(&format!("{KEY_NEW}\n{KEY_OLD}")).expect("ring");
    let keys = ring.derive(Purpose::Session);
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&["wiki"]);
    validation.set_issuer(&["https://id.example.com"]);
    validation.validate_exp = false; // The vectors have a clock of their own.
    for (key, text) in keys.iter().zip([KEY_NEW, KEY_OLD]) {
        let token = signed_by(text, &claims());
        let read = decode::<Value>(
            &token,
            &DecodingKey::from_secret(key.expose_bytes()),
            &validation,
        )
        .expect("valid for jsonwebtoken");
        assert_eq!(read.header.kid.as_deref(), Some(key.id().as_str()));
        assert_eq!(read.header.typ.as_deref(), Some("gatepost+jwt"));
        assert_eq!(read.claims, serde_json::to_value(claims()).expect("JSON"));
        let other = DecodingKey::from_secret(&[0; 32]);
        assert!(decode::<Value>(&token, &other, &validation).is_err());
    }
}
