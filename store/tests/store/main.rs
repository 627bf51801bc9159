//! What a store promises, checked for every kind of store, and what each kind adds.
//!
//! A case in `cases/` gets a [`Fixture`], which makes empty stores of one kind.
//! [`for_every_store!`] runs the case once for each kind. Redis needs its server, so its tests are
//! ignored by default.

// Tests may panic.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod cases;
mod embedded;
mod fixture;
mod memory;
mod redis;
mod redis_server;
mod upgrade;

use gatepost_base::{Clock, Identity, Secret};
use gatepost_session::{KeyRing, NumericDate, SessionId};
use gatepost_store::{EndRequest, Recovery, Revocation, SessionRecord, SessionSelector, Store};

use self::fixture::Fixture;

const KEYS: [&str; 2] = [
    "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=",
    "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=",
];

/// Where the time of the tests begins: in the future, since Redis expires keys by its own clock.
const EPOCH: u64 = 4_000_000_000;

/// The time without use after which a session ends, in seconds.
const IDLE: u64 = 100;

/// The longest that a session may last, in seconds.
const LIFETIME: u64 = 1_000;

/// The capacity of every store.
const CAPACITY: usize = 3;

/// The page cache of a store in a file.
const CACHE_BYTES: usize = 1 << 20;

fn ring(entries: &[&str]) -> KeyRing {
    KeyRing::from_entries(entries.iter().copied()).expect("a ring")
}

fn at(seconds: u64) -> NumericDate {
    NumericDate::from_seconds(EPOCH + seconds)
}

fn id(number: u8) -> SessionId {
    SessionId::from_random([number; 24])
}

/// Returns session `number` of this user, last seen then, with a window of ten seconds.
fn record(number: u8, subject: &str, last_seen: u64) -> SessionRecord {
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
        access_token: None,
        id_token: Secret::new(format!("id {number}")),
        device: None,
        created: at(5),
        last_validated: at(6),
        last_seen: at(last_seen),
        window_ends: at(last_seen + 10),
        ends: at(LIFETIME),
    }
}

fn subject(subject: &str) -> SessionSelector {
    SessionSelector::Subject {
        issuer: "https://id.example.com".into(),
        subject: subject.into(),
    }
}

fn provider_session(session: &str) -> SessionSelector {
    SessionSelector::ProviderSession {
        issuer: "https://id.example.com".into(),
        session: session.into(),
    }
}

fn without_provider_session(subject: &str) -> SessionSelector {
    SessionSelector::SubjectWithoutProviderSession {
        issuer: "https://id.example.com".into(),
        subject: subject.into(),
    }
}

/// Returns a request of second 50 to end these sessions, whose windows last ten seconds.
fn end_request(selector: SessionSelector) -> EndRequest {
    EndRequest {
        selector,
        requested_at: at(50),
        delayed: false,
        window: 10,
        credential_lifetime: 10,
        sign_in: 0,
        unknown_until: None,
    }
}

fn revoked(number: u8, until: u64) -> Revocation {
    Revocation::Session {
        id: id(number).expose().to_owned(),
        until: at(until),
    }
}

/// Returns the revocation of a store that begins without what was before, as every store of these
/// tests does at second 0.
fn lost() -> Revocation {
    Revocation::Lost {
        at: at(0),
        until: at(LIFETIME),
    }
}

fn recovery() -> Recovery {
    Recovery {
        clock: Clock::new(|| at(0)),
        lifetime: LIFETIME,
    }
}

/// Returns what the log has besides the store's own beginning.
async fn revocations(store: &dyn Store, now: u64) -> Vec<Revocation> {
    let mut all = store.revocations(at(now)).await.expect("revocations");
    all.retain(|revocation| *revocation != lost());
    all
}

async fn insert_all(store: &dyn Store, records: impl IntoIterator<Item = SessionRecord>) {
    for record in records {
        store.insert(record).await.expect("inserted");
    }
}

async fn ids(store: &dyn Store) -> Vec<SessionId> {
    let listed = store.list(usize::MAX).await.expect("listed");
    let mut ids: Vec<SessionId> = listed.iter().map(|record| record.id.clone()).collect();
    ids.sort();
    ids
}

/// Runs each case for every kind of store.
macro_rules! for_every_store {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&crate::Fixture::memory()).await;
            })*
        }

        mod embedded {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&crate::Fixture::embedded()).await;
            })*
        }

        mod redis {
            $(#[tokio::test]
            #[ignore = "needs redis-server: cargo xtask test"]
            async fn $case() {
                super::$case(&crate::Fixture::redis()).await;
            })*
        }
    };
}

use for_every_store;

#[test]
fn no_debug_output_contains_a_token() {
    let debug = format!("{:?}", record(1, "alice", 0));
    assert!(
        !debug.contains("refresh 1") && debug.contains("redacted"),
        "{debug}"
    );
}
