use gatepost_session::revoked::{HEADER_BYTES, Header, InvalidList, is_revoked};

use super::*;
use gatepost_base::Identity;

fn at(seconds: u64) -> NumericDate {
    NumericDate::from_seconds(seconds)
}

fn claims(sid: u8, sub: &str, iat: u64) -> Claims {
    let identity = Identity {
        issuer: "https://id.example.com".into(),
        subject: sub.into(),
        ..Identity::default()
    };
    let id = SessionId::from_random([sid; 24]);
    identity.into_claims("wiki".into(), id, at(iat), at(iat + 600), at(iat + 900))
}

fn session(sid: u8, until: u64) -> Revocation {
    Revocation::Session {
        id: SessionId::from_random([sid; 24]).to_string(),
        until: at(until),
    }
}

fn subject(subject: &str, moment: u64) -> Revocation {
    Revocation::Subject {
        issuer: "https://id.example.com".into(),
        subject: subject.into(),
        at: at(moment),
        until: at(moment + 900),
    }
}

/// What a verifier that has only the file says.
fn file_refuses(path: &Path, claims: &Claims) -> bool {
    let file = std::fs::read(path).expect("the file");
    let header = Header::parse(&file[..HEADER_BYTES]).expect("a header");
    let read = |offset: u64, length: usize| -> Result<Vec<u8>, InvalidList> {
        let start = usize::try_from(offset).expect("small");
        Ok(file[start..file.len().min(start + length)].to_vec())
    };
    is_revoked(claims, header, read).expect("a list")
}

#[test]
fn the_list_and_its_file_refuse_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("revoked");
    let revocations = Revocations::default();
    revocations.add([session(1, 2_000), subject("bob", 1_000)]);
    assert!(revocations.write_changes(&path).expect("written"));
    for (case, claims, refused) in [
        ("the session", claims(1, "alice", 1_500), true),
        ("another session", claims(2, "alice", 500), false),
        ("the person, before", claims(3, "bob", 1_000), true),
        ("the person, since", claims(3, "bob", 1_001), false),
    ] {
        assert_eq!(revocations.refuses(&claims), refused, "{case}");
        assert_eq!(file_refuses(&path, &claims), refused, "{case}, by the file");
    }
    revocations.add([Revocation::Everyone {
        at: at(3_000),
        until: at(4_000),
    }]);
    assert!(revocations.write_changes(&path).expect("written"));
    assert!(file_refuses(&path, &claims(9, "carol", 3_000)));
    assert!(revocations.refuses(&claims(9, "carol", 3_000)));
    assert!(!revocations.refuses(&claims(9, "carol", 3_001)));

    // Sessions that a store has lost are over, and no program's token is.
    let lost = Revocations::default();
    lost.add([Revocation::Lost {
        at: at(3_000),
        until: at(4_000),
    }]);
    assert!(lost.write_changes(&path).expect("written"));
    for (iat, refused) in [(3_000, true), (3_001, false)] {
        let claims = claims(9, "carol", iat);
        assert_eq!(lost.refuses(&claims), refused, "{iat}");
        assert_eq!(file_refuses(&path, &claims), refused, "{iat}, by the file");
        assert_eq!(lost.last_end_of(&claims.iss, &claims.sub), None);
    }
}

#[test]
fn the_file_is_written_when_something_changes_and_never_with_a_generation_of_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("revoked");
    let generation = || {
        let file = std::fs::read(&path).expect("the file");
        Header::parse(&file[..HEADER_BYTES])
            .expect("a header")
            .generation
    };
    let first = Revocations::default();
    assert!(first.write_changes(&path).expect("written"), "at the start");
    let empty = generation();
    assert!(!first.write_changes(&path).expect("looked"), "no change");
    first.add([session(1, 2_000)]);
    assert!(first.write_changes(&path).expect("written"));
    let one = generation();
    assert!(one > empty);
    first.add([session(1, 2_000)]);
    assert!(!first.write_changes(&path).expect("looked"), "known");
    std::fs::remove_file(&path).expect("removed");
    assert!(first.write_changes(&path).expect("written"), "taken away");
    let whole = std::fs::read(&path).expect("read");
    for broken in [
        &whole[..whole.len() / 2],
        &whole[..10],
        b"junk",
        &[&whole[..], b"x"].concat(),
    ] {
        std::fs::write(&path, broken).expect("written");
        assert!(first.write_changes(&path).expect("written"), "cut short");
    }
    assert!(!first.write_changes(&path).expect("looked"), "whole again");

    // Another process later, whose clock may have been set back, is no reader's problem: the time
    // in nanoseconds goes on.
    let second = Revocations::default();
    second.add([session(1, 2_000)]);
    assert!(second.write_changes(&path).expect("written"));
    assert!(generation() > one);
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn entries_go_when_no_window_can_be_open_any_more() {
    let revocations = Revocations::default();
    revocations.add((0..200).map(|n| session(n, 1_000 + u64::from(n))));
    revocations.forget_expired(at(1_100 + SLACK_SECONDS));
    assert_eq!(revocations.len(), 99);
    assert!(!revocations.refuses(&claims(100, "alice", 0)));
    assert!(revocations.refuses(&claims(101, "alice", 0)));
    revocations.forget_expired(at(10_000));
    assert!(revocations.is_empty());
}

#[test]
fn a_file_that_cannot_be_written_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing/revoked");
    let revocations = Revocations::default();
    revocations.add([session(1, 1_000)]);
    revocations.write_changes(&path).expect_err("no folder");
    std::fs::create_dir(path.parent().expect("a folder")).expect("made");
    assert!(revocations.write_changes(&path).expect("written"));
}
