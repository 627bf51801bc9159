//! The file: opened, opened again after a failed write, and set aside if it is damaged.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use gatepost_base::contained::{Panicked, contained_blocking};
use redb::backends::FileBackend;
use redb::{CommitError, Database, DatabaseError, StorageError, TableError, TransactionError};

use super::tables::BoxError;
use super::tables::{self, FORMAT};
use crate::{OpenStoreError, Recovery};

/// The time between two attempts to open a file again: each attempt reads the whole file.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The file of an embedded store.
///
/// After an I/O error the database accepts no more writes until it is opened again. The next
/// operation opens it, because a full disk may have space again.
pub(super) struct File {
    path: PathBuf,
    cache_bytes: usize,
    recovery: Recovery,
    database: RwLock<Option<Database>>,
    failed_at: Mutex<Option<Instant>>,
}

/// Why a file cannot be opened.
enum OpenError {
    /// The file's content is not the content that was written.
    Damaged(BoxError),
    Other(OpenStoreError),
}

impl File {
    /// Opens the file, or makes it together with its folders.
    pub(super) fn open(
        path: &Path,
        cache_bytes: usize,
        recovery: Recovery,
    ) -> Result<Self, OpenStoreError> {
        let database = open_or_replace(path, cache_bytes, &recovery)?;
        Ok(Self {
            path: path.to_owned(),
            cache_bytes,
            recovery,
            database: RwLock::new(Some(database)),
            failed_at: Mutex::default(),
        })
    }

    /// Runs an operation on the database. If the database had to be closed, it is opened first and
    /// `on_reopen` called.
    ///
    /// The database panics at a page that was damaged since it was opened. That costs the operation:
    /// the next one opens the file, which finds the damage.
    pub(super) fn run<T>(
        &self,
        on_reopen: impl FnOnce(),
        work: impl FnOnce(&Database) -> Result<T, BoxError>,
    ) -> Result<T, BoxError> {
        self.reopen(on_reopen)?;
        let result = {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have closed it meanwhile.
            let database = database.as_ref().ok_or("the file is closed")?;
            contained_blocking(|| work(database)).unwrap_or_else(|panicked| Err(panicked.into()))
        };
        if let Err(error) = &result
            && needs_reopen(error)
        {
            tracing::error!(
                path = %self.path.display(), %error,
                "the session store failed: its file is opened again"
            );
            self.close();
        }
        result
    }

    fn reopen(&self, on_reopen: impl FnOnce()) -> Result<(), BoxError> {
        let is_open = |database: &Option<Database>| database.is_some();
        if is_open(&self.database.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if is_open(&database) {
            return Ok(());
        }
        let mut failed_at = self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if failed_at.is_some_and(|at| at.elapsed() < RETRY_INTERVAL) {
            return Err("the file could not be opened a moment ago".into());
        }
        match open_or_replace(&self.path, self.cache_bytes, &self.recovery) {
            Ok(open) => {
                *database = Some(open);
                *failed_at = None;
                on_reopen();
                tracing::info!(path = %self.path.display(), "the session store is open again");
                Ok(())
            }
            Err(error) => {
                *failed_at = Some(Instant::now());
                Err(error.into())
            }
        }
    }

    fn close(&self) {
        // Waits for running operations. The lock on the file is released with the database.
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let closed = database.take();
        // It writes once more, to a file that may be damaged.
        if let Err(panicked) = contained_blocking(|| drop(closed)) {
            tracing::error!(path = %self.path.display(), "the file is closed unfinished: {panicked}");
        }
    }
}

/// Returns whether the database has to be opened again after this failure.
fn needs_reopen(failure: &BoxError) -> bool {
    if failure.is::<Panicked>() {
        return true;
    }
    let error = if let Some(error) = failure.downcast_ref::<StorageError>() {
        Some(error)
    } else if let Some(TransactionError::Storage(error)) = failure.downcast_ref() {
        Some(error)
    } else if let Some(TableError::Storage(error)) = failure.downcast_ref() {
        Some(error)
    } else if let Some(CommitError::Storage(error)) = failure.downcast_ref() {
        Some(error)
    } else {
        None
    };
    error.is_some_and(|error| !matches!(error, StorageError::ValueTooLarge(_)))
}

/// Opens a file. A damaged file is set aside and replaced.
fn open_or_replace(
    path: &Path,
    cache_bytes: usize,
    recovery: &Recovery,
) -> Result<Database, OpenStoreError> {
    let damage = match open(path, cache_bytes, recovery) {
        Ok(database) => return Ok(database),
        Err(OpenError::Other(error)) => return Err(error),
        Err(OpenError::Damaged(damage)) => damage,
    };
    let now = recovery.clock.now();
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".damaged-{}", now.as_seconds()));
    fs::rename(path, &aside).map_err(|error| {
        let cause = format!("damaged ({damage}), and cannot be set aside: {error}");
        file_error(path, cause)
    })?;
    tracing::error!(
        path = %path.display(), kept_as = %Path::new(&aside).display(), %damage,
        "the session store's file is damaged: it is set aside and a new one begun; everyone signs \
         in again"
    );
    open(path, cache_bytes, recovery).map_err(|error| match error {
        OpenError::Damaged(damage) => file_error(path, damage),
        OpenError::Other(error) => error,
    })
}

/// Opens a file, as [`open_uncontained`] does. What its check does not expect to find, it may panic at.
fn open(path: &Path, cache_bytes: usize, recovery: &Recovery) -> Result<Database, OpenError> {
    contained_blocking(|| open_uncontained(path, cache_bytes, recovery))
        .unwrap_or_else(|panicked| Err(OpenError::Damaged(panicked.into())))
}

/// Opens a file. One that begins, because there was none or it was empty, revokes everything from
/// before: the revocations were in the file too.
fn open_uncontained(
    path: &Path,
    cache_bytes: usize,
    recovery: &Recovery,
) -> Result<Database, OpenError> {
    let other = |cause: BoxError| OpenError::Other(file_error(path, cause));
    let file = create(path).map_err(|error| other(error.into()))?;
    let database = FileBackend::new(file).and_then(|backend| {
        Database::builder()
            // Otherwise a damaged page causes a panic in the request that needs it.
            .set_check_integrity_on_open(true)
            .set_cache_size(cache_bytes)
            .create_with_backend(backend)
    });
    let database = database.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => {
            OpenError::Other(OpenStoreError::InUse(path.display().to_string()))
        }
        DatabaseError::Storage(StorageError::Corrupted(_)) => OpenError::Damaged(error.into()),
        DatabaseError::Storage(StorageError::Io(cause))
            if matches!(
                cause.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            OpenError::Damaged(cause.into())
        }
        error => other(error.into()),
    })?;
    let lost = recovery.revocation();
    let format = tables::prepare(&database, &lost).map_err(|error| {
        let is_damaged = matches!(error.downcast_ref(), Some(StorageError::Corrupted(_)))
            || matches!(
                error.downcast_ref(),
                Some(TableError::Storage(StorageError::Corrupted(_)))
            );
        if is_damaged {
            OpenError::Damaged(error)
        } else {
            other(error)
        }
    })?;
    if format > FORMAT {
        return Err(OpenError::Other(OpenStoreError::UnsupportedFormat {
            path: path.display().to_string(),
            found: format,
            supported: FORMAT,
        }));
    }
    Ok(database)
}

fn file_error(path: &Path, cause: impl Into<BoxError>) -> OpenStoreError {
    OpenStoreError::File {
        path: path.display().to_string(),
        source: cause.into(),
    }
}

/// Opens the file. A new one is readable by its owner alone: its content is sealed, but no other
/// user needs it.
fn create(path: &Path) -> std::io::Result<fs::File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
