//! Errors of stores.

use std::error::Error;
use std::sync::Arc;

/// The store cannot be reached, or an operation of it failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the session store is unavailable: {0}")]
pub struct StoreUnavailable(#[source] Arc<dyn Error + Send + Sync>);

impl StoreUnavailable {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(cause.into()))
    }
}

/// A store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// Another process has the file open.
    #[error(
        "{0} is in use by another process: only one process can open it; several share a store in \
         Redis"
    )]
    InUse(String),
    /// A later version wrote the file.
    #[error("{path} has format {found}; this version supports formats up to {supported}")]
    UnsupportedFormat {
        /// The file.
        path: String,
        /// Its format.
        found: u64,
        /// The latest format that this version supports.
        supported: u64,
    },
    /// The file cannot be opened or read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}
