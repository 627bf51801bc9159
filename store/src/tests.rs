//! What every store does alike. Redis is tested end to end, where there is one.

use super::*;
use gatepost_base::{Identity, Secret};

mod endings;

const KEYS: [&str; 2] = [
    "a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=",
    "b:YkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=",
];

fn ring(entries: &[&str]) -> KeyRing {
    KeyRing::from_entries(entries.iter().copied()).expect("a ring")
}

fn at(seconds: u64) -> NumericDate {
    NumericDate::from_seconds(seconds)
}

fn id(number: u8) -> SessionId {
    SessionId::from_random([number; 24])
}

/// Session `number`, of the person of that name, last seen then.
pub(super) fn record(number: u8, subject: &str, last_seen: u64) -> SessionRecord {
    SessionRecord {
        id: id(number),
        audience: "wiki".into(),
        identity: Identity {
            issuer: "https://id.example.com".into(),
            subject: subject.into(),
            groups: vec!["staff".into()],
            extra: [("department".to_owned(), "R&D".to_owned())].into(),
            ..Identity::default()
        },
        provider_session: Some(format!("{subject} at work")),
        refresh_token: Some(Secret::new(format!("refresh {number}"))),
        id_token: Secret::new(format!("id {number}")),
        created: at(5),
        confirmed: at(6),
        last_seen: at(last_seen),
        window_ends: at(last_seen + 10),
        ends: at(1_000),
    }
}

/// The time without use after which a session ends, in seconds.
const IDLE: u64 = 100;

fn subject(subject: &str) -> Selection {
    Selection::Subject {
        issuer: "https://id.example.com".into(),
        subject: subject.into(),
    }
}

fn provider_session(session: &str) -> Selection {
    Selection::ProviderSession {
        issuer: "https://id.example.com".into(),
        session: session.into(),
    }
}

fn start() -> Start {
    Start {
        clock: Clock::new(|| at(50)),
        lifetime: 1_000,
    }
}

/// To end these, asked for at 50, in windows of ten seconds.
fn ending(which: Selection) -> Ending {
    Ending {
        which,
        asked: at(50),
        late: false,
        window: 10,
        believed: 10,
        unknown_until: None,
    }
}

type Stores = Vec<(&'static str, Arc<dyn SessionStore>)>;

/// A store of each kind that needs nothing else, with room for three sessions.
fn stores() -> (tempfile::TempDir, Stores) {
    let folder = tempfile::tempdir().expect("a folder");
    let embedded = EmbeddedStore::open(
        &folder.path().join("deep/er/s.db"),
        3,
        &ring(&KEYS),
        start(),
    );
    let stores: Stores = vec![
        ("memory", Arc::new(MemoryStore::new(3))),
        ("embedded", Arc::new(embedded.expect("a store"))),
    ];
    (folder, stores)
}

async fn ids(store: &dyn SessionStore) -> Vec<SessionId> {
    let listed = store.list(100).await.expect("listed");
    let mut ids: Vec<SessionId> = listed.iter().map(|record| record.id.clone()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn what_is_kept_comes_back_until_it_is_ended() {
    let (_folder, stores) = stores();
    for (kind, store) in stores {
        store.insert(record(1, "alice", 10)).await.expect("kept");
        let found = store.find(&id(1)).await.expect("asked");
        assert_eq!(found.as_deref(), Some(&record(1, "alice", 10)), "{kind}");
        assert_eq!(store.find(&id(2)).await.expect("asked"), None, "{kind}");

        let touch = async |now, until| store.touch(&id(1), at(now), at(until)).await;
        assert!(touch(20, 30).await.expect("touched"), "{kind}");
        assert!(touch(15, 25).await.expect("touched"), "{kind}");
        let renewed = SessionRecord {
            refresh_token: Some(Secret::new("next".into())),
            ..record(1, "alice", 10)
        };
        assert!(store.update(renewed).await.expect("updated"), "{kind}");
        let found = store.find(&id(1)).await.expect("asked").expect("kept");
        assert_eq!(found.last_seen, at(20), "{kind}: never back in time");
        assert_eq!(found.window_ends, at(30), "{kind}");
        assert_eq!(
            found.refresh_token,
            Some(Secret::new("next".into())),
            "{kind}"
        );

        let one = ending(Selection::Session(id(1)));
        for count in [1, 0] {
            let outcome = store.end(&one).await.expect("ended");
            assert_eq!(outcome.ended.len(), count, "{kind}");
        }
        // Row B2: no cookie may be made of it.
        assert!(!touch(40, 50).await.expect("asked"), "{kind}");
        let late = store.update(record(1, "alice", 40)).await;
        assert!(!late.expect("asked"), "{kind}: ended is ended");
        assert_eq!(store.find(&id(1)).await.expect("asked"), None, "{kind}");
    }
}

#[tokio::test]
async fn sessions_end_by_person_by_session_at_the_provider_and_altogether() {
    for (case, which, left) in [
        ("one", Selection::Session(id(1)), vec![2, 3]),
        ("alice", subject("alice"), vec![3]),
        ("nobody", subject("carol"), vec![1, 2, 3]),
        ("bob's", provider_session("bob at work"), vec![1, 2]),
        ("everyone", Selection::Everyone, vec![]),
    ] {
        let (_folder, stores) = stores();
        for (kind, store) in stores {
            for (number, person) in [(1, "alice"), (2, "alice"), (3, "bob")] {
                store
                    .insert(record(number, person, 10))
                    .await
                    .expect("kept");
            }
            let outcome = store.end(&ending(which.clone())).await.expect("ended");
            let expected: Vec<SessionId> = left.iter().map(|number| id(*number)).collect();
            assert_eq!(outcome.ended.len(), 3 - left.len(), "{kind}: {case}");
            assert_eq!(ids(&*store).await, expected, "{kind}: {case}");
        }
    }
}

#[tokio::test]
async fn a_full_store_drops_the_session_unused_for_longest() {
    let (_folder, stores) = stores();
    for (kind, store) in stores {
        for (number, seen) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            store
                .insert(record(number, "alice", seen))
                .await
                .expect("kept");
        }
        assert_eq!(ids(&*store).await, [id(1), id(3), id(4)], "{kind}");
    }
}

#[tokio::test]
async fn sweeping_drops_idle_and_ended_sessions() {
    let (_folder, stores) = stores();
    for (kind, store) in stores {
        store.insert(record(1, "alice", 10)).await.expect("kept");
        store.insert(record(2, "bob", 50)).await.expect("kept");
        let sweep = async |now| store.sweep(at(now), IDLE).await.expect("swept");
        assert_eq!(sweep(109).await, 2, "{kind}");
        assert_eq!(sweep(110).await, 1, "{kind}");
        let touched = store.touch(&id(2), at(149), at(160)).await;
        assert!(touched.expect("kept"), "{kind}");
        assert_eq!(sweep(248).await, 1, "{kind}");
        assert_eq!(sweep(1_000).await, 0, "{kind}");
        let outcome = store.end(&ending(subject("bob"))).await.expect("asked");
        assert_eq!(outcome.ended, [], "{kind}");
    }
}

#[tokio::test]
async fn revocations_and_what_serves_once_are_remembered_for_as_long_as_they_matter() {
    let (_folder, stores) = stores();
    for (kind, store) in stores {
        let revision = store.revocations_revision().await.expect("asked");
        let revocation = Revocation::Session {
            id: id(1).to_string(),
            until: at(100),
        };
        store
            .revoke(std::slice::from_ref(&revocation))
            .await
            .expect("noted");
        let later = store.revocations_revision().await.expect("asked");
        assert_ne!(revision, later, "{kind}");
        let live = store.revocations(at(100)).await.expect("asked");
        assert_eq!(live, std::slice::from_ref(&revocation), "{kind}");
        let over = store.revocations(revocation.until()).await.expect("asked");
        assert_eq!(over, [], "{kind}");

        for (what, now, expires, fresh) in [
            ("a", 10, 20, true),
            ("a", 11, 20, false),
            ("b", 11, 20, true),
            ("a", 20, 30, true),
        ] {
            let was_used = store.was_used(what, at(now)).await;
            assert_eq!(was_used.expect("asked"), !fresh, "{kind}: {what} at {now}");
            let used = store.use_once(what, at(now), at(expires)).await;
            assert_eq!(used.expect("asked"), fresh, "{kind}: {what} at {now}");
        }
    }
}

#[tokio::test]
async fn a_file_outlives_its_process_and_a_rotation_of_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let open = |keys: &[&str]| EmbeddedStore::open(&path, 100, &ring(keys), start());
    let store = open(&KEYS[..1]).expect("a store");
    store.insert(record(1, "alice", 10)).await.expect("kept");
    let second = open(&KEYS).expect_err("in use");
    assert!(matches!(second, OpenStoreError::InUse(_)), "{second}");
    assert!(second.to_string().contains("another process"), "{second}");
    drop(store);

    let store = open(&[KEYS[1], KEYS[0]]).expect("a store");
    let found = store.find(&id(1)).await.expect("asked");
    assert_eq!(found.as_deref(), Some(&record(1, "alice", 10)));
    store.insert(record(2, "bob", 10)).await.expect("kept");
    drop(store);

    let store = open(&KEYS[1..]).expect("a store");
    let by_old_key = store.find(&id(1)).await.expect("asked");
    assert_eq!(by_old_key, None, "its key is retired");
    assert!(store.find(&id(2)).await.expect("asked").is_some());
    store.use_keys(&ring(&KEYS));
    assert!(store.find(&id(1)).await.expect("asked").is_some());
}

#[tokio::test]
async fn nothing_in_the_file_tells_who_was_signed_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let store = EmbeddedStore::open(&path, 100, &ring(&KEYS), start()).expect("a store");
    store.insert(record(1, "alice", 10)).await.expect("kept");
    drop(store);
    let bytes = std::fs::read(&path).expect("the file");
    for word in ["alice", "staff", "refresh 1", "R&D", "id.example.com"] {
        let there = bytes.windows(word.len()).any(|w| w == word.as_bytes());
        assert!(!there, "{word}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn no_debug_output_shows_a_token() {
    let debug = format!("{:?}", record(1, "alice", 0));
    assert!(
        !debug.contains("refresh 1") && debug.contains("redacted"),
        "{debug}"
    );
}

/// What version 1 wrote of a session, before it was sealed.
const VERSION_1: &str = r#"{
    "audience": "wiki",
    "identity": {
        "issuer": "https://id.example.com", "subject": "alice",
        "preferred_username": null, "name": null, "email": null, "email_verified": null,
        "groups": ["staff"], "acr": null, "amr": [], "auth_time": null,
        "extra": {"department": "R&D"}
    },
    "provider_session": "alice at work",
    "refresh_token": "refresh 1",
    "id_token": "id 1",
    "created": 5
}"#;

#[tokio::test]
async fn a_file_of_the_version_before_keeps_its_sessions_and_a_later_one_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let keys = gatepost_base::SealingKeys::new(&ring(&KEYS), gatepost_session::Purpose::Store);
    let mut row = Vec::new();
    for time in [10_u64, 20, 1_000] {
        row.extend(time.to_be_bytes());
    }
    // No owners, and version 1.
    row.extend([0, 1]);
    let context = format!("session 1 {}", id(1));
    row.extend(keys.seal(&context, VERSION_1.as_bytes()).expect("sealed"));
    let write = |meta: u64| {
        let database = redb::Database::create(&path).expect("a file");
        let write = database.begin_write().expect("begun");
        {
            let table = redb::TableDefinition::<&str, &[u8]>::new("sessions");
            let mut sessions = write.open_table(table).expect("a table");
            sessions
                .insert(id(1).as_str(), row.as_slice())
                .expect("kept");
            let table = redb::TableDefinition::<&str, u64>::new("meta");
            let mut table = write.open_table(table).expect("a table");
            table.insert("format", meta).expect("kept");
        }
        write.commit().expect("committed");
    };
    write(1);
    let store = EmbeddedStore::open(&path, 100, &ring(&KEYS), start()).expect("a store");
    let found = store.find(&id(1)).await.expect("asked").expect("kept");
    let expected = SessionRecord {
        confirmed: at(5),
        ..record(1, "alice", 10)
    };
    assert_eq!(*found, expected);
    drop(found);
    drop(store);

    write(99);
    let error = EmbeddedStore::open(&path, 100, &ring(&KEYS), start()).expect_err("too new");
    assert!(
        matches!(error, OpenStoreError::TooNew { found: 99, .. }),
        "{error}"
    );
}
