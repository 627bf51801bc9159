//! What every store revokes when it ends sessions, and after it has lost them.

use super::*;

fn revoked(number: u8, until: u64) -> Revocation {
    Revocation::Session {
        id: id(number).to_string(),
        until: at(until),
    }
}

/// Row B1: what a store has dropped stands in its list, by the same step.
#[tokio::test]
async fn whatever_ends_a_session_revokes_what_may_still_be_believed() {
    let (_folder, stores) = stores();
    for (kind, store) in stores {
        let revocations = async |now| store.revocations(at(now)).await.expect("asked");
        // Their windows end at 80, 40 and 90.
        for (number, seen) in [(1, 70), (2, 30), (3, 80)] {
            store
                .insert(record(number, "alice", seen))
                .await
                .expect("kept");
        }
        let revision = store.revocations_revision().await.expect("asked");
        // A full store pushes out the idlest, whose window has ended, and then one that is believed.
        store.insert(record(4, "bob", 75)).await.expect("kept");
        assert_eq!(revocations(75).await, [], "{kind}");
        store.insert(record(5, "bob", 76)).await.expect("kept");
        assert_eq!(revocations(76).await, [revoked(1, 80)], "{kind}");
        let later = store.revocations_revision().await.expect("asked");
        assert_ne!(revision, later, "{kind}");

        let outcome = store.end(&ending(provider_session("alice at work"))).await;
        let outcome = outcome.expect("ended");
        assert_eq!(outcome.revocations, [revoked(3, 90)], "{kind}");
        let all = revocations(76).await;
        assert!(all.contains(&revoked(3, 90)), "{kind}: {all:?}");
    }
}

/// Row B1: the store may have lost what a cookie is the key to.
#[tokio::test]
async fn a_session_that_the_store_does_not_know_is_revoked_if_that_is_asked_for() {
    let (_folder, stores) = stores();
    for (kind, store) in stores {
        let one = |until: Option<u64>| Ending {
            unknown_until: until.map(at),
            ..ending(Selection::Session(id(1)))
        };
        for (until, expected) in [(None, vec![]), (Some(70), vec![revoked(1, 70)])] {
            let outcome = store.end(&one(until)).await.expect("ended");
            assert_eq!(outcome.ended, [], "{kind}");
            assert_eq!(outcome.revocations, expected, "{kind}");
            let all = store.revocations(at(50)).await.expect("asked");
            assert_eq!(all, expected, "{kind}");
        }
        // One that it knows ends as it knows it.
        store.insert(record(1, "alice", 60)).await.expect("kept");
        let outcome = store.end(&one(Some(99))).await.expect("ended");
        assert_eq!(outcome.revocations, [revoked(1, 70)], "{kind}");
    }
}

/// What a store that was away is asked late is not about who has signed in since.
#[tokio::test]
async fn an_ending_asked_for_before_a_session_began_spares_it() {
    for which in [
        subject("alice"),
        provider_session("alice at work"),
        Selection::Everyone,
    ] {
        let (_folder, stores) = stores();
        for (kind, store) in stores {
            let since = SessionRecord {
                created: at(52),
                ..record(2, "alice", 52)
            };
            store.insert(record(1, "alice", 49)).await.expect("kept");
            store.insert(since).await.expect("kept");
            let late = Ending {
                late: true,
                ..ending(which.clone())
            };
            let outcome = store.end(&late).await.expect("ended");
            assert_eq!(outcome.ended.len(), 1, "{kind}: {which:?}");
            assert_eq!(ids(&*store).await, [id(2)], "{kind}: {which:?}");
        }
    }
}

/// Row B1: a process that has kept its sessions to itself has lost what was ended, too.
#[tokio::test]
async fn a_store_in_memory_begins_by_revoking_what_was_before_it() {
    let settings = StoreSettings::Memory { max_sessions: 3 };
    let store = open(&settings, &ring(&KEYS), start()).expect("a store");
    let lost = Revocation::Lost {
        at: at(50),
        until: at(1_050),
    };
    assert_eq!(store.revocations(at(50)).await.expect("asked"), [lost]);
}

/// Damages a file that holds two sessions, and says what is then in its place.
async fn after_damage(damage: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, EmbeddedStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let open = || EmbeddedStore::open(&path, 100, &ring(&KEYS), start());
    let store = open().expect("a store");
    for (number, person) in [(1, "alice"), (2, "bob")] {
        store
            .insert(record(number, person, 10))
            .await
            .expect("kept");
    }
    drop(store);
    let mut bytes = std::fs::read(&path).expect("the file");
    damage(&mut bytes);
    std::fs::write(&path, bytes).expect("written");
    let store = open().expect("a store all the same");
    (folder, store)
}

/// Row B5: no damage keeps the outpost from starting, and none brings back what was ended.
#[tokio::test]
async fn a_damaged_file_is_set_aside_and_another_begun() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("no database", |bytes| bytes.fill(b'x')),
        ("half of it", |bytes| bytes.truncate(bytes.len() / 2)),
        ("its first bytes", |bytes| bytes.truncate(100)),
        ("a foreign beginning", |bytes| bytes[..64].fill(0)),
        ("every byte after the header", |bytes| {
            let header = 4_096;
            bytes[header..].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }),
    ];
    for (case, damage) in damages {
        let (folder, store) = after_damage(damage).await;
        assert_eq!(ids(&store).await, [], "{case}");
        let lost = Revocation::Lost {
            at: at(50),
            until: at(1_050),
        };
        let revoked = store.revocations(at(50)).await.expect("asked");
        assert_eq!(revoked, [lost], "{case}");
        let kept = std::fs::read_dir(folder.path()).expect("listed");
        let kept: Vec<String> = kept
            .map(|entry| entry.expect("listed").file_name().to_string_lossy().into())
            .filter(|name: &String| name.contains("damaged"))
            .collect();
        assert_eq!(kept, ["sessions.db.damaged-50"], "{case}");
        store.insert(record(3, "carol", 60)).await.expect("kept");
        store.check(at(60)).await.expect("it takes changes");
    }
    let (folder, store) = after_damage(|bytes| bytes.clear()).await;
    assert_eq!(ids(&store).await, [], "an empty file is a new one");
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
}
