//! Challenges and proofs.

use gatepost_base::SealingKeys;
use gatepost_session::{KeyRing, NumericDate, Purpose, SessionId};

use super::*;

const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);

fn keys(entries: &[&str]) -> SealingKeys {
    let ring = KeyRing::from_entries(entries.iter().copied()).expect("a ring");
    SealingKeys::new(&ring, Purpose::Flow)
}

#[test]
fn a_challenge_opens_for_its_application_occasion_time_and_keys_alone() {
    let [a, b] = [
        "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=",
        "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=",
    ];
    let session = SessionId::from_random([7; 24]);
    let made = Challenge::make(&keys(&[a]), "wiki", Occasion::Refresh, &session, NOW);
    let made = made.expect("randomness");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(
        made.as_str().bytes().all(plain),
        "it is quoted without escapes"
    );
    for (case, keys, application, occasion, seconds, opens) in [
        ("itself", keys(&[a]), "wiki", Occasion::Refresh, 119, true),
        ("rotated", keys(&[b, a]), "wiki", Occasion::Refresh, 0, true),
        ("retired", keys(&[b]), "wiki", Occasion::Refresh, 0, false),
        ("another's", keys(&[a]), "git", Occasion::Refresh, 0, false),
        (
            "other use",
            keys(&[a]),
            "wiki",
            Occasion::Registration,
            0,
            false,
        ),
        ("expired", keys(&[a]), "wiki", Occasion::Refresh, 120, false),
    ] {
        let now = NOW.plus_seconds(seconds);
        let opened = Challenge::open(&keys, application, occasion, made.as_str(), now);
        let expected = opens.then(|| made.clone()).ok_or(InvalidChallenge);
        assert_eq!(opened, expected, "{case}");
    }
    let another = Challenge::make(&keys(&[a]), "wiki", Occasion::Refresh, &session, NOW);
    assert_ne!(another.expect("randomness").used_once(), made.used_once());
}

#[test]
fn a_name_is_opened_for_its_application_and_keys_alone() {
    let [a, b] = [
        "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=",
        "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=",
    ];
    let session = SessionId::from_random([7; 24]);
    let name = SessionName::make(&keys(&[a]), "wiki", &session).expect("randomness");
    assert_eq!(name.open(&keys(&[a]), "wiki"), Some(session.clone()));
    assert_eq!(name.open(&keys(&[b, a]), "wiki"), Some(session.clone()));
    assert_eq!(name.open(&keys(&[b]), "wiki"), None, "retired");
    assert_eq!(name.open(&keys(&[a]), "git"), None, "another's");
    let challenge = Challenge::make(&keys(&[a]), "wiki", Occasion::Refresh, &session, NOW);
    let challenge = SessionName::parse(challenge.expect("randomness").as_str());
    assert_eq!(challenge.expect("a text").open(&keys(&[a]), "wiki"), None);
}

#[test]
fn what_is_no_proof_is_not_taken_apart() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let proof = |header: &str, claims: &str| {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.AAAA", encode(header), encode(claims))
    };
    let header = r#"{"alg":"ES256","typ":"dbsc+jwt"}"#;
    let right = proof(header, r#"{"jti":"c"}"#);
    assert_eq!(Proof::parse(&right).expect("a proof").challenge(), "c");
    let quoted = format!(" \"{right}\" ");
    assert_eq!(Proof::parse(&quoted).expect("a proof").challenge(), "c");
    for (case, text, error) in [
        ("nothing", String::new(), InvalidProof::Malformed),
        ("two parts", "a.b".to_owned(), InvalidProof::Malformed),
        ("four parts", format!("{right}.x"), InvalidProof::Malformed),
        (
            "a member twice",
            proof(r#"{"alg":"ES256","alg":"ES256","typ":"dbsc+jwt"}"#, "{}"),
            InvalidProof::Malformed,
        ),
        ("no claims", proof(header, "[]"), InvalidProof::Malformed),
        (
            "a number",
            proof(header, r#"{"jti":1}"#),
            InvalidProof::Malformed,
        ),
        (
            "no algorithm",
            proof(r#"{"typ":"dbsc+jwt"}"#, r#"{"jti":"c"}"#),
            InvalidProof::Malformed,
        ),
        (
            "none",
            proof(r#"{"alg":"none","typ":"dbsc+jwt"}"#, r#"{"jti":"c"}"#),
            InvalidProof::Algorithm,
        ),
        ("long", "a".repeat(4_097), InvalidProof::TooLong),
    ] {
        assert_eq!(Proof::parse(&text).err(), Some(error), "{case}");
    }
}
