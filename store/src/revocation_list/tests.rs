use gatepost_session::revoked::{InvalidList, is_revoked};

use super::*;
use crate::revocation_log::CLOCK_SKEW_SECONDS;

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
        id: SessionId::from_random([sid; 24]).expose().to_owned(),
        until: at(until),
    }
}

fn subject(subject: &str, time: u64) -> Revocation {
    Revocation::Subject {
        issuer: "https://id.example.com".into(),
        subject: subject.into(),
        at: at(time),
        until: at(time + 900),
    }
}

/// Returns what a plugin finds in the file.
fn file_revokes(path: &Path, claims: &Claims) -> bool {
    let file = std::fs::read(path).expect("the file");
    let header = Header::parse(&file[..HEADER_BYTES]).expect("a header");
    let read = |offset: u64, length: usize| -> Result<Vec<u8>, InvalidList> {
        let start = usize::try_from(offset).expect("small");
        Ok(file[start..file.len().min(start + length)].to_vec())
    };
    is_revoked(claims, header, read).expect("a list")
}

#[test]
fn the_list_and_its_file_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("revoked");
    let list = RevocationList::default();
    list.add([session(1, 2_000), subject("bob", 1_000)]);
    assert!(
        list.write_if_changed(&path, Readable::ByAll)
            .expect("written")
    );
    for (case, claims, revoked) in [
        ("the session", claims(1, "alice", 1_500), true),
        ("another session", claims(2, "alice", 500), false),
        ("the user, before", claims(3, "bob", 1_000), true),
        ("the user, since", claims(3, "bob", 1_001), false),
    ] {
        assert_eq!(list.is_revoked(&claims), revoked, "{case}");
        assert_eq!(file_revokes(&path, &claims), revoked, "{case}, by the file");
    }
    list.add([Revocation::All {
        at: at(3_000),
        until: at(4_000),
    }]);
    assert!(
        list.write_if_changed(&path, Readable::ByAll)
            .expect("written")
    );
    assert!(file_revokes(&path, &claims(9, "carol", 3_000)));
    assert!(list.is_revoked(&claims(9, "carol", 3_000)));
    assert!(!list.is_revoked(&claims(9, "carol", 3_001)));
}

/// Lost sessions are over. Access tokens are in no store.
#[test]
fn the_loss_of_a_store_revokes_sessions_and_no_access_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("revoked");
    let list = RevocationList::default();
    list.add([Revocation::Lost {
        at: at(3_000),
        until: at(4_000),
    }]);
    assert!(
        list.write_if_changed(&path, Readable::ByAll)
            .expect("written")
    );
    for (iat, revoked) in [(3_000, true), (3_001, false)] {
        let claims = claims(9, "carol", iat);
        assert_eq!(list.is_revoked(&claims), revoked, "{iat}");
        assert_eq!(file_revokes(&path, &claims), revoked, "{iat}, by the file");
        assert_eq!(list.tokens_revoked_at(&claims.iss, &claims.sub), None);
    }
}

#[test]
fn the_file_is_written_after_a_change_and_each_time_with_a_greater_generation() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("revoked");
    let generation = || {
        let file = std::fs::read(&path).expect("the file");
        Header::parse(&file[..HEADER_BYTES])
            .expect("a header")
            .generation
    };
    let first = RevocationList::default();
    assert!(
        first
            .write_if_changed(&path, Readable::ByAll)
            .expect("written"),
        "new"
    );
    let empty = generation();
    assert!(
        !first
            .write_if_changed(&path, Readable::ByAll)
            .expect("read"),
        "unchanged"
    );
    first.add([session(1, 2_000)]);
    assert!(
        first
            .write_if_changed(&path, Readable::ByAll)
            .expect("written")
    );
    let one = generation();
    assert!(one > empty);
    first.add([session(1, 2_000)]);
    assert!(
        !first
            .write_if_changed(&path, Readable::ByAll)
            .expect("read"),
        "known"
    );
    std::fs::remove_file(&path).expect("removed");
    assert!(
        first
            .write_if_changed(&path, Readable::ByAll)
            .expect("written"),
        "removed"
    );
    let complete = std::fs::read(&path).expect("read");
    for broken in [
        &complete[..complete.len() / 2],
        &complete[..10],
        b"junk",
        &[&complete[..], b"x"].concat(),
    ] {
        std::fs::write(&path, broken).expect("written");
        assert!(
            first
                .write_if_changed(&path, Readable::ByAll)
                .expect("written"),
            "broken"
        );
    }
    assert!(
        !first
            .write_if_changed(&path, Readable::ByAll)
            .expect("read"),
        "complete"
    );

    // A later process: the time in nanoseconds goes on.
    let second = RevocationList::default();
    second.add([session(1, 2_000)]);
    assert!(
        second
            .write_if_changed(&path, Readable::ByAll)
            .expect("written")
    );
    assert!(generation() > one);
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn an_entry_is_removed_when_it_has_expired() {
    let list = RevocationList::default();
    list.add((0..200).map(|n| session(n, 1_000 + u64::from(n))));
    list.remove_expired(at(1_100 + CLOCK_SKEW_SECONDS));
    assert_eq!(list.len(), 99);
    assert!(!list.is_revoked(&claims(100, "alice", 0)));
    assert!(list.is_revoked(&claims(101, "alice", 0)));
    list.remove_expired(at(10_000));
    assert!(list.is_empty());
}

#[test]
fn a_file_that_could_not_be_written_is_written_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing/revoked");
    let list = RevocationList::default();
    list.add([session(1, 1_000)]);
    list.write_if_changed(&path, Readable::ByAll)
        .expect_err("no folder");
    std::fs::create_dir(path.parent().expect("a folder")).expect("made");
    assert!(
        list.write_if_changed(&path, Readable::ByAll)
            .expect("written")
    );
}
