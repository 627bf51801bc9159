//! What a ring takes, and what it derives.

use super::*;
use alloc::format;
use alloc::string::ToString;
use proptest::prelude::*;

const A: &str = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";
const B: &str = "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI";

proptest! {
    #[test]
    fn a_secret_is_decoded_as_a_library_does(
        bytes in prop::collection::vec(any::<u8>(), 0..9),
        of_urls: bool,
        end in "[=]{0,3}|[-_+/A=]{0,4}",
    ) {
        use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
        use ::base64::{Engine as _, alphabet};

        let form = GeneralPurposeConfig::new()
            .with_encode_padding(false)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let [standard, url_safe] = [&alphabet::STANDARD, &alphabet::URL_SAFE]
            .map(|alphabet| GeneralPurpose::new(alphabet, form));
        let text = if of_urls { &url_safe } else { &standard }.encode(&bytes) + &end;
        let is_url_safe = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
        let library = if is_url_safe { url_safe } else { standard };
        let decoded = decode_secret(&text).map(|secret| secret.to_vec());
        prop_assert_eq!(decoded, library.decode(&text).ok(), "{}", text);
    }
}

#[test]
fn a_ring_keeps_its_order_and_accepts_comments_commas_and_line_endings() {
    for text in [
        format!("{A}\n{B}\n"),
        format!("# new\r\n {A} \r\n\r\n{B}"),
        format!("{A},{B}"),
    ] {
        let ring = KeyRing::parse(&text).expect(&text);
        assert_eq!(
            ring.key_ids().map(KeyId::as_str).collect::<Vec<_>>(),
            ["a", "b"],
            "{text}"
        );
    }
}

#[test]
fn a_wrong_ring_is_refused_with_the_reason() {
    let short = format!("s:{}", base64::encode(&[7; 31]));
    let cases: [(&str, KeyRingError); 7] = [
        ("", KeyRingError::Empty),
        ("\n# only a comment\n", KeyRingError::Empty),
        (
            "Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=",
            KeyRingError::MissingKeyId { position: 1 },
        ),
        ("a b:AAAA", KeyRingError::InvalidKeyId { position: 1 }),
        (
            "a:not*base64",
            KeyRingError::InvalidBase64 {
                id: KeyId::new("a").expect("an id"),
            },
        ),
        (
            &short,
            KeyRingError::ShortKey {
                id: KeyId::new("s").expect("an id"),
                bytes: 31,
            },
        ),
        (
            &format!("{A}\n{A}"),
            KeyRingError::DuplicateKeyId {
                id: KeyId::new("a").expect("an id"),
            },
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(KeyRing::parse(text).err(), Some(expected), "{text}");
    }
}

#[test]
fn no_error_or_debug_output_shows_a_secret() {
    let secret = "c2hvcnQtc2VjcmV0";
    let error = KeyRing::parse(&format!("k:{secret}")).expect_err("short");
    assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret));
    let ring = KeyRing::parse(A).expect("ring");
    assert_eq!(format!("{ring:?}"), r#"["a"]"#);
    assert_eq!(
        format!("{:?}", ring.derive(Purpose::Flow)),
        "DerivedKeys { signing: DerivedKey(a, redacted), others: [] }"
    );
}

/// Row A10: without the keys a client cannot say a word that opens a router.
#[test]
fn every_key_and_application_has_its_own_word_for_allowed() {
    let ring = KeyRing::parse(&format!("{A}\n{B}")).expect("ring");
    let word = |name: &str| ring.verdicts(&Audience::new(name).expect("a name"));
    let mut words: Vec<String> = ["wiki", "wik", "files"]
        .into_iter()
        .flat_map(word)
        .collect();
    assert!(words.iter().all(|word| word.len() == 22), "{words:?}");
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), 6);
}

/// Part of the format: routers have the word in their rules.
#[test]
fn a_word_for_allowed_is_the_same_in_every_release() {
    let ring = KeyRing::parse_published("a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=");
    let words = ring
        .expect("ring")
        .verdicts(&Audience::new("wiki").expect("a name"));
    assert_eq!(words, ["xp0El6QSAkO_2ZccmXn_AA"]);
}

#[test]
fn every_purpose_and_secret_has_its_own_key() {
    let ring = KeyRing::parse(&format!("{A}\n{B}")).expect("ring");
    let mut keys: Vec<[u8; 32]> = [
        Purpose::Session,
        Purpose::Flow,
        Purpose::Store,
        Purpose::Operator,
    ]
    .into_iter()
    .flat_map(|purpose| ring.derive(purpose).iter().cloned().collect::<Vec<_>>())
    .map(|key| *key.expose_bytes())
    .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 8);
}

#[test]
fn keys_are_those_of_any_hkdf() {
    let ring = KeyRing::parse(&format!("{A}\n{B}")).expect("ring");
    for purpose in [
        Purpose::Session,
        Purpose::Flow,
        Purpose::Store,
        Purpose::Operator,
    ] {
        let derived = ring.derive(purpose);
        for (secret, key) in ring.secrets().zip(derived.iter()) {
            let mut expected = [0; MAC_BYTES];
            hkdf::Hkdf::<sha2::Sha256>::new(None, &secret.bytes)
                .expand(purpose.info(), &mut expected)
                .expect("one block");
            assert_eq!(key.expose_bytes(), &expected, "{purpose:?} of {}", key.id());
        }
    }
}

#[test]
fn another_key_signs_and_every_key_is_kept() {
    let ring = KeyRing::parse(&format!("{A}\n{B}")).expect("ring");
    let other = ring
        .signing_with(&KeyId::new("b").expect("an id"))
        .expect("a key");
    let ids: Vec<&str> = other.key_ids().map(KeyId::as_str).collect();
    assert_eq!(ids, ["b", "a"]);
    assert!(
        ring.signing_with(&KeyId::new("c").expect("an id"))
            .is_none()
    );
}
