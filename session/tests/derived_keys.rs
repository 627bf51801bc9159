//! Keys that a program has without the secret that they are derived from.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::string_slice)]

use gatepost_session::{Audience, DerivedKey, DerivedKeys, KeyRing, Purpose, SessionId, Verifier};

const A: &str = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";
const B: &str = "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=";

/// Row B9: the folder that plugins read has derived keys.
#[test]
fn derived_keys_come_back_from_their_entries_and_from_no_others() {
    let ring = KeyRing::parse(&format!("{A}\n{B}")).expect("a ring");
    let keys = ring.derive(Purpose::Session);
    let entries: Vec<_> = keys.iter().map(DerivedKey::to_entry).collect();
    let read = DerivedKeys::from_entries(entries.iter().map(|entry| entry.as_str()));
    let read = read.expect("keys");
    for (own, other) in keys.iter().zip(read.iter()) {
        assert_eq!(own.id(), other.id());
        assert_eq!(own.expose_bytes(), other.expose_bytes());
    }
    assert!(!entries[0].contains(A.split_once(':').expect("an entry").1));
    let first = entries[0].as_str();
    let cut = &first[..first.len() - 1];
    let none: [&[&str]; 7] = [
        &[],
        &[""],
        &[cut],
        &[&first[1..]],
        &[first, first],
        &[first, "b"],
        // A secret of a keys file may be longer than what is derived from it.
        &["c:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFi"],
    ];
    for entries in none {
        let read = DerivedKeys::from_entries(entries.iter().copied());
        assert!(read.is_none(), "{entries:?}");
    }
}

/// Each word serves one session and one text, of whichever key of the ring.
#[test]
fn a_voucher_serves_its_session_and_its_text_alone() {
    let verifier = |keys: &str| {
        let ring = KeyRing::parse(keys).expect("a ring");
        Verifier::new(&ring, Audience::new("wiki").expect("a name"))
    };
    let (own, other) = (
        SessionId::from_random([7; 24]),
        SessionId::from_random([8; 24]),
    );
    let word = verifier(A).vouch(&own, "all=maxAge:60");
    assert_eq!(word.len(), 22);
    for keys in [A.to_owned(), format!("{A}\n{B}"), format!("{B}\n{A}")] {
        let verifier = verifier(&keys);
        assert!(verifier.has_vouched(&own, "all=maxAge:60", &word));
        for (session, text, word) in [
            (&other, "all=maxAge:60", &*word),
            (&own, "all=maxAge:6", &word),
            (&own, "", &word),
            (&own, "all=maxAge:60", &word[1..]),
            (&own, "all=maxAge:60", ""),
        ] {
            assert!(!verifier.has_vouched(session, text, word), "{text} {word}");
        }
    }
    assert!(!verifier(B).has_vouched(&own, "all=maxAge:60", &word));
}
