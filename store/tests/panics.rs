//! A store in a process that ends with every panic that is not contained, as the program does.

// Tests may panic.
#![allow(clippy::expect_used)]

use std::error::Error as _;
use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use gatepost_base::{Clock, Identity, Secret, contained};
use gatepost_session::{KeyRing, NumericDate, SessionId};
use gatepost_store::{EmbeddedStore, Recovery, SessionRecord, SessionStore as _, Store as _};

const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);

/// The bytes of the file that say how it is laid out, which no damage here touches.
const HEADER: u64 = 8_192;

fn record(number: u16) -> SessionRecord {
    let mut random = [0; 24];
    for (byte, of_number) in random.iter_mut().zip(number.to_be_bytes()) {
        *byte = of_number;
    }
    SessionRecord {
        id: SessionId::from_random(random),
        audience: "wiki".into(),
        identity: Identity {
            issuer: "https://id.example.com".into(),
            subject: "alice".into(),
            ..Identity::default()
        },
        provider_session: None,
        refresh_token: None,
        access_token: None,
        id_token: Secret::new("x".repeat(2_000)),
        device: None,
        created: NOW,
        last_validated: NOW,
        last_seen: NOW,
        window_ends: NOW.plus_seconds(900),
        ends: NOW.plus_seconds(86_400),
    }
}

fn overwrite(path: &Path) {
    let length = std::fs::metadata(path).expect("the file").len();
    let mut file = OpenOptions::new().write(true).open(path).expect("the file");
    file.seek(SeekFrom::Start(HEADER)).expect("a place");
    let rest = usize::try_from(length - HEADER).expect("a length");
    file.write_all(&vec![0xff; rest]).expect("written");
}

#[tokio::test]
async fn a_file_that_is_damaged_while_it_is_open_costs_operations_and_no_process() {
    contained::abort_on_others();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let key = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";
    let ring = KeyRing::from_entries([key]).expect("a ring");
    let recovery = Recovery {
        clock: Clock::new(|| NOW),
        lifetime: 86_400,
    };
    let store = EmbeddedStore::open(&path, 10_000, 4_096, &ring, recovery).expect("a store");
    store
        .insert_all((0..1_000).map(record).collect())
        .await
        .expect("stored");

    overwrite(&path);
    let error = store.list(10).await;
    let error = error.expect_err("nothing in it can be read");
    let cause = error.source().expect("a cause").to_string();
    assert!(cause.contains("panic"), "not by a panic: {cause}");

    let begun = Instant::now();
    while let Err(error) = store.check_writable(NOW).await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.list(10).await.expect("a list"), [], "a new file");
    store.insert(record(1)).await.expect("stored");
    assert!(store.find(&record(1).id).await.expect("found").is_some());
    let names = std::fs::read_dir(folder.path()).expect("listed");
    let names = names.map(|entry| entry.expect("listed").file_name());
    let aside = names.filter(|name| name.to_string_lossy().contains("damaged"));
    assert_eq!(aside.count(), 1, "the damaged one is set aside");
}
