//! Empty stores of each kind.

use std::cell::Cell;
use std::sync::Arc;

use gatepost_store::{EmbeddedStore, MemoryStore, RedisStore, RedisTls, Store};
use tempfile::TempDir;

use crate::redis_server::RedisServer;
use crate::{CACHE_BYTES, CAPACITY, KEYS, lost, recovery, ring};

/// Makes stores of one kind.
pub(crate) struct Fixture {
    kind: Kind,
    made: Cell<usize>,
}

enum Kind {
    Memory,
    Embedded(TempDir),
    Redis(RedisServer),
}

impl Fixture {
    pub(crate) fn memory() -> Self {
        Self::of(Kind::Memory)
    }

    pub(crate) fn embedded() -> Self {
        Self::of(Kind::Embedded(tempfile::tempdir().expect("a folder")))
    }

    pub(crate) fn redis() -> Self {
        Self::of(Kind::Redis(RedisServer::start()))
    }

    /// Returns whether these stores seal what they hold.
    pub(crate) fn seals(&self) -> bool {
        !matches!(self.kind, Kind::Memory)
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            made: Cell::new(0),
        }
    }

    /// Returns an empty store.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        let number = self.made.get();
        self.made.set(number + 1);
        let ring = ring(&KEYS);
        match &self.kind {
            Kind::Memory => Arc::new(MemoryStore::new(CAPACITY).with_revocation(lost())),
            Kind::Embedded(folder) => {
                let path = folder.path().join(format!("some/folder/{number}.db"));
                let store = EmbeddedStore::open(&path, CAPACITY, CACHE_BYTES, &ring, recovery());
                Arc::new(store.expect("a store"))
            }
            Kind::Redis(server) => {
                let prefix = format!("test-{number}:");
                let tls = RedisTls::default();
                Arc::new(RedisStore::new(
                    &server.url(),
                    &tls,
                    &prefix,
                    CAPACITY,
                    &ring,
                    recovery(),
                ))
            }
        }
    }
}
