//! What a store in a file adds.

use gatepost_base::Clock;
use gatepost_store::{
    EmbeddedStore, OpenStoreError, Recovery, RevocationLog as _, SessionStore as _, Store as _,
};
use tempfile::TempDir;

use crate::{
    CACHE_BYTES, IDLE, KEYS, at, id, ids, insert_all, lost, record, recovery, revoked, ring,
};

#[tokio::test]
async fn a_file_survives_its_process_and_a_rotation_of_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let open =
        |keys: &[&str]| EmbeddedStore::open(&path, 100, CACHE_BYTES, &ring(keys), recovery());
    let store = open(&KEYS[..1]).expect("a store");
    insert_all(&store, [record(1, "alice", 10)]).await;
    let second = open(&KEYS).expect_err("in use");
    assert!(matches!(second, OpenStoreError::InUse(_)), "{second}");
    assert!(second.to_string().contains("another process"), "{second}");
    drop(store);

    let store = open(&[KEYS[1], KEYS[0]]).expect("a store");
    let found = store.find(&id(1)).await.expect("found");
    assert_eq!(found.as_deref(), Some(&record(1, "alice", 10)));
    insert_all(&store, [record(2, "bob", 10)]).await;
    drop(store);

    let store = open(&KEYS[1..]).expect("a store");
    let by_old_key = store.find(&id(1)).await.expect("found");
    assert_eq!(by_old_key, None, "its key is retired");
    assert!(store.find(&id(2)).await.expect("found").is_some());
    store.use_keys(&ring(&KEYS));
    assert!(store.find(&id(1)).await.expect("found").is_some());
}

#[tokio::test]
async fn a_file_does_not_reveal_who_was_signed_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let store =
        EmbeddedStore::open(&path, 100, CACHE_BYTES, &ring(&KEYS), recovery()).expect("a store");
    insert_all(&store, [record(1, "alice", 10)]).await;
    drop(store);
    let bytes = std::fs::read(&path).expect("the file");
    for word in ["alice", "staff", "refresh 1", "R&D", "id.example.com"] {
        let is_there = bytes.windows(word.len()).any(|w| w == word.as_bytes());
        assert!(!is_there, "{word}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = std::fs::metadata(&path).expect("the file");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
}

/// Damages a file that contains two sessions, and opens it.
async fn open_after_damage(damage: impl FnOnce(&mut Vec<u8>)) -> (TempDir, EmbeddedStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let open = || EmbeddedStore::open(&path, 100, CACHE_BYTES, &ring(&KEYS), recovery());
    let store = open().expect("a store");
    insert_all(&store, [record(1, "alice", 10), record(2, "bob", 10)]).await;
    drop(store);
    let mut bytes = std::fs::read(&path).expect("the file");
    damage(&mut bytes);
    std::fs::write(&path, bytes).expect("written");
    let store = open().expect("a store in spite of the damage");
    (folder, store)
}

/// Row B5: no damage prevents a start, and none restores a session that had been ended.
#[tokio::test]
async fn a_damaged_file_is_set_aside_and_replaced() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("not a database", |bytes| bytes.fill(b'x')),
        ("half of the file", |bytes| bytes.truncate(bytes.len() / 2)),
        ("the first bytes", |bytes| bytes.truncate(100)),
        ("another header", |bytes| bytes[..64].fill(0)),
        ("every byte after the header", |bytes| {
            let header = 4_096;
            bytes[header..].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }),
    ];
    for (case, damage) in damages {
        let (folder, store) = open_after_damage(damage).await;
        assert_eq!(ids(&store).await, [], "{case}");
        let told = store.revocations(at(50)).await.expect("revocations");
        assert_eq!(told, [lost()], "{case}");
        let files = std::fs::read_dir(folder.path()).expect("listed");
        let aside: Vec<String> = files
            .map(|entry| entry.expect("listed").file_name().to_string_lossy().into())
            .filter(|name: &String| name.contains("damaged"))
            .collect();
        let expected = format!("sessions.db.damaged-{}", at(0).as_seconds());
        assert_eq!(aside, [expected], "{case}");
        insert_all(&store, [record(3, "carol", 60)]).await;
        store.check_writable(at(60)).await.expect("writable");
    }
}

/// Row B1: a container that lost its volume, or a file that was cut to nothing, has lost the list of
/// ended sessions too.
#[tokio::test]
async fn a_file_that_begins_empty_revokes_what_was_before() {
    let (folder, store) = open_after_damage(|bytes| bytes.clear()).await;
    assert_eq!(ids(&store).await, [], "an empty file is a new one");
    let told = store.revocations(at(50)).await.expect("revocations");
    assert_eq!(told, [lost()]);
    let names = || std::fs::read_dir(folder.path()).expect("listed").count();
    assert_eq!(names(), 1, "there is nothing to set aside");
    let revision = store.revocation_revision().await.expect("revision");
    drop(store);
    // The next start finds its file, and revokes nothing more.
    let path = folder.path().join("sessions.db");
    let later = Recovery {
        clock: Clock::new(|| at(70)),
        ..recovery()
    };
    let store = EmbeddedStore::open(&path, 100, CACHE_BYTES, &ring(&KEYS), later);
    let store = store.expect("a store");
    let told = store.revocations(at(50)).await.expect("revocations");
    assert_eq!(told, [lost()]);
    let later = store.revocation_revision().await.expect("revision");
    assert_eq!(revision, later);
}

/// An entry of the log that this version cannot read keeps no other from it.
#[tokio::test]
async fn an_unreadable_entry_is_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let open = || EmbeddedStore::open(&path, 100, CACHE_BYTES, &ring(&KEYS), recovery());
    drop(open().expect("a store"));
    let database = redb::Database::open(&path).expect("a file");
    let write = database.begin_write().expect("begun");
    {
        let table = redb::TableDefinition::<&str, u64>::new("revoked");
        let mut revoked = write.open_table(table).expect("a table");
        let entry = r#"{"what":"of_a_later_version"}"#;
        revoked
            .insert(entry, at(900).as_seconds())
            .expect("inserted");
    }
    write.commit().expect("committed");
    drop(database);
    let store = open().expect("a store");
    store.revoke(&[revoked(1, 60)]).await.expect("revoked");
    let mut told = store.revocations(at(50)).await.expect("revocations");
    told.sort();
    assert_eq!(told, [revoked(1, 60), lost()]);
    store.sweep(at(50), IDLE).await.expect("swept");
}

/// Each thread takes memory, and the database lets one write at a time.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_that_wait_for_each_other_take_few_threads() {
    use std::sync::Arc;

    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .expect("threads")
            .count()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let store = EmbeddedStore::open(&path, 1_000, CACHE_BYTES, &ring(&KEYS), recovery());
    let store = Arc::new(store.expect("a store"));
    insert_all(&*store, [record(1, "alice", 10)]).await;
    let before = threads();
    let touch = |n: u64| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.touch(&id(1), at(n), at(1_000)).await })
    };
    let waiting: Vec<_> = (0..300).map(touch).collect();
    let mut most = before;
    while !waiting.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(threads());
        tokio::task::yield_now().await;
    }
    for touched in waiting {
        let touched = touched.await.expect("no panic").expect("touched");
        assert!(touched.is_some(), "the session is there");
    }
    // Other tests of this process start threads, too, but not hundreds.
    assert!(most < before + 100, "{before} threads, then {most}");
}
