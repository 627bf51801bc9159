//! The settings of a store.

use std::path::PathBuf;

use crate::{RedisTls, RedisUrl};

/// What kind of store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In the memory of the process, which no other replica sees.
    Memory,
    /// In a file, which one process has to itself.
    Embedded,
    /// In Redis, which replicas may share, each with its own clock.
    Redis,
}

/// Which store to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// A store in this process: a restart ends all sessions.
    Memory {
        /// The capacity. A full store ends the sessions that were unused for longest.
        max_sessions: usize,
    },
    /// A store in a file, which one process has to itself.
    Embedded {
        /// The file.
        path: PathBuf,
        /// The size of the page cache, in bytes.
        cache_bytes: usize,
        /// The capacity. A full store ends the sessions that were unused for longest.
        max_sessions: usize,
    },
    /// A store in Redis, for several replicas.
    Redis {
        /// The address of Redis.
        url: RedisUrl,
        /// The certificates for connections over TLS.
        tls: RedisTls,
        /// The prefix of all keys.
        prefix: String,
        /// The capacity. A full store ends the sessions that were unused for longest.
        max_sessions: usize,
    },
}

impl StoreSettings {
    /// Returns which kind of store this is.
    pub fn kind(&self) -> StoreKind {
        match self {
            Self::Memory { .. } => StoreKind::Memory,
            Self::Embedded { .. } => StoreKind::Embedded,
            Self::Redis { .. } => StoreKind::Redis,
        }
    }
}
