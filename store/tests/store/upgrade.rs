//! What earlier versions wrote.
//!
//! `data/format-1.db` and `data/redis.txt` have sessions 1 and 2 of `alice` and 3 of `bob`, one
//! revocation of each kind, and the value `jti`, used.

use gatepost_base::SealingKeys;
use gatepost_session::{KeyRing, Purpose};
use gatepost_store::{
    EmbeddedStore, OpenStoreError, RedisStore, RedisTls, Revocation, SessionRecord,
    SessionStore as _, Store,
};

use crate::redis_server::RedisServer;
use crate::{
    CACHE_BYTES, KEYS, at, end_request, id, ids, record, recovery, revoked, ring, subject,
};

/// Returns the key with which the earlier version wrote them.
fn earlier() -> KeyRing {
    KeyRing::parse_published("a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=").expect("a ring")
}

async fn check_content(store: &dyn Store) {
    let found = store.find(&id(1)).await.expect("found");
    assert_eq!(found.as_deref(), Some(&record(1, "alice", 10)));
    assert_eq!(ids(store).await, [id(1), id(2), id(3)]);
    assert!(store.was_used("jti", at(50)).await.expect("asked"));
    let mut revocations = store.revocations(at(50)).await.expect("revocations");
    revocations.sort();
    let until = at(100);
    let expected = [
        revoked(4, 100),
        Revocation::Subject {
            issuer: "https://id.example.com".into(),
            subject: "carol".into(),
            at: at(50),
            until,
        },
        Revocation::All { at: at(20), until },
        Revocation::Lost { at: at(10), until },
    ];
    assert_eq!(revocations, expected);
    // The index keys are the same too.
    let outcome = store.end(&end_request(subject("alice"))).await;
    assert_eq!(outcome.expect("ended").ended.len(), 2);
    assert_eq!(ids(store).await, [id(3)]);
}

#[tokio::test]
async fn a_file_of_an_earlier_version_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    std::fs::write(&path, include_bytes!("data/format-1.db")).expect("written");
    let store =
        EmbeddedStore::open(&path, 100, CACHE_BYTES, &earlier(), recovery()).expect("a store");
    check_content(&store).await;
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test"]
async fn keys_of_an_earlier_version_are_read() {
    let server = RedisServer::start();
    for line in include_str!("data/redis.txt").lines() {
        if !line.starts_with('#') {
            server.run(&line.split(' ').map(argument).collect::<Vec<_>>());
        }
    }
    let tls = RedisTls::default();
    let store = RedisStore::new(
        &server.url(),
        &tls,
        "gatepost:",
        100,
        &earlier(),
        recovery(),
    );
    check_content(&store).await;
}

/// Parses an argument of a command, which is text or in hexadecimal.
fn argument(text: &str) -> Vec<u8> {
    let Some(digits) = text.strip_prefix("hex:") else {
        return text.as_bytes().to_vec();
    };
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("digits");
            u8::from_str_radix(pair, 16).expect("a byte")
        })
        .collect()
}

/// A session as version 1 wrote it, before it was sealed.
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
    "created": 4000000005
}"#;

/// Writes a file with one session of version 1, whose tables have this format.
fn write_version_1(path: &std::path::Path, format: u64) {
    let keys = SealingKeys::new(&ring(&KEYS), Purpose::Store);
    let mut row = Vec::new();
    for time in [at(10), at(20), at(1_000)] {
        row.extend(time.as_seconds().to_be_bytes());
    }
    // No index keys, and version 1.
    row.extend([0, 1]);
    let context = format!("session 1 {}", id(1).expose());
    row.extend(keys.seal(&context, VERSION_1.as_bytes()).expect("sealed"));
    let database = redb::Database::create(path).expect("a file");
    let write = database.begin_write().expect("begun");
    {
        let table = redb::TableDefinition::<&str, &[u8]>::new("sessions");
        let mut sessions = write.open_table(table).expect("a table");
        sessions
            .insert(id(1).expose(), row.as_slice())
            .expect("inserted");
        let table = redb::TableDefinition::<&str, u64>::new("meta");
        let mut meta = write.open_table(table).expect("a table");
        meta.insert("format", format).expect("inserted");
    }
    write.commit().expect("committed");
}

#[tokio::test]
async fn a_session_of_version_1_counts_as_validated_when_it_was_created() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    write_version_1(&path, 1);
    let store =
        EmbeddedStore::open(&path, 100, CACHE_BYTES, &ring(&KEYS), recovery()).expect("a store");
    let found = store.find(&id(1)).await.expect("found");
    let expected = SessionRecord {
        last_validated: at(5),
        ..record(1, "alice", 10)
    };
    assert_eq!(found.as_deref(), Some(&expected));
}

#[test]
fn a_file_of_a_later_format_is_not_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    write_version_1(&path, 99);
    let error = EmbeddedStore::open(&path, 100, CACHE_BYTES, &ring(&KEYS), recovery())
        .expect_err("too new");
    assert!(
        matches!(error, OpenStoreError::UnsupportedFormat { found: 99, .. }),
        "{error}"
    );
}
