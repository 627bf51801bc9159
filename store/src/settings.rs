//! The settings of a store.

use std::path::PathBuf;

use crate::{RedisTls, RedisUrl};

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// In this process: a restart ends them all.
    Memory {
        /// The most sessions that are kept; beyond it those unused for longest go.
        max_sessions: usize,
    },
    /// In a file, which one process has to itself.
    Embedded {
        /// The file.
        path: PathBuf,
        /// As for `Memory`.
        max_sessions: usize,
    },
    /// In Redis, for several replicas.
    Redis {
        /// Where it is.
        url: RedisUrl,
        /// Whom to trust there, and who to be.
        tls: RedisTls,
        /// What the names of all keys begin with.
        prefix: String,
        /// As for `Memory`.
        max_sessions: usize,
    },
}
