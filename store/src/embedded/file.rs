//! The file: opened, opened again after it could not be written, and set aside where it is damaged.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{
    CommitError, Database, DatabaseError, ReadableTable as _, StorageError, TableError,
    TransactionError,
};

use super::{FORMAT, FORMAT_KEY, Failure, META, OWNERS, REVISION_KEY, REVOKED, SESSIONS, USED};
use crate::revocation::Revocation;
use crate::{OpenStoreError, Start};

/// For how long a file that could not be opened again is left alone: opening it reads all of it.
const PAUSE: Duration = Duration::from_millis(500);

/// The file of an embedded store.
///
/// After an error of the disk the database takes no more changes until it is opened again, so that
/// is what happens at the next question: a disk that was full is not full for ever.
pub(super) struct File {
    path: PathBuf,
    start: Start,
    database: RwLock<Option<Database>>,
    failed: Mutex<Option<Instant>>,
}

/// Why a file is not opened.
enum NotOpened {
    /// What is in it cannot be what was written.
    Damaged(Failure),
    Other(OpenStoreError),
}

impl File {
    /// Opens the file, or makes it with the folders that it is in.
    pub(super) fn open(path: &Path, start: Start) -> Result<Self, OpenStoreError> {
        let database = open_or_begin(path, &start)?;
        Ok(Self {
            path: path.to_owned(),
            start,
            database: RwLock::new(Some(database)),
            failed: Mutex::default(),
        })
    }

    /// Works on the database, which is opened first where it had to be closed; then `reopened` is
    /// called before.
    pub(super) fn run<T>(
        &self,
        reopened: impl FnOnce(),
        work: impl FnOnce(&Database) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.reopen(reopened)?;
        let outcome = {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            // Closed again by another thread at this very moment.
            let database = database.as_ref().ok_or("the file is closed")?;
            work(database)
        };
        if let Err(error) = &outcome
            && is_broken(error)
        {
            tracing::error!(
                path = %self.path.display(), %error,
                "the session store failed: its file is opened again"
            );
            self.close();
        }
        outcome
    }

    fn reopen(&self, reopened: impl FnOnce()) -> Result<(), Failure> {
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
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err("the file could not be opened a moment ago".into());
        }
        match open_or_begin(&self.path, &self.start) {
            Ok(open) => {
                *database = Some(open);
                *failed = None;
                reopened();
                tracing::info!(path = %self.path.display(), "the session store is open again");
                Ok(())
            }
            Err(error) => {
                *failed = Some(Instant::now());
                Err(error.into())
            }
        }
    }

    fn close(&self) {
        // Waits for those who are at it; the file can be locked again once it is dropped.
        *self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether nothing can be done with a database any more before it is opened again.
fn is_broken(failure: &Failure) -> bool {
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

/// Opens a file; one that is damaged is set aside, and another begun.
fn open_or_begin(path: &Path, start: &Start) -> Result<Database, OpenStoreError> {
    let damage = match open(path, None) {
        Ok(database) => return Ok(database),
        Err(NotOpened::Other(error)) => return Err(error),
        Err(NotOpened::Damaged(damage)) => damage,
    };
    let now = start.clock.now();
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".damaged-{}", now.as_seconds()));
    let file_error = |source: Failure| OpenStoreError::File {
        path: path.display().to_string(),
        source,
    };
    fs::rename(path, &aside).map_err(|error| {
        file_error(format!("damaged ({damage}), and cannot be set aside: {error}").into())
    })?;
    tracing::error!(
        path = %path.display(), kept_as = %Path::new(&aside).display(), %damage,
        "the session store's file is damaged: it is set aside and a new one begun; everyone signs \
         in again"
    );
    // What was revoked stood in the file too. So whatever it may have been, it is revoked.
    let lost = start.lost_before(now);
    open(path, Some(lost)).map_err(|error| match error {
        NotOpened::Damaged(damage) => file_error(damage),
        NotOpened::Other(error) => error,
    })
}

fn open(path: &Path, lost: Option<Revocation>) -> Result<Database, NotOpened> {
    let file_error = |source: Failure| {
        NotOpened::Other(OpenStoreError::File {
            path: path.display().to_string(),
            source,
        })
    };
    let file = create(path).map_err(|error| file_error(error.into()))?;
    let database = FileBackend::new(file).and_then(|backend| {
        Database::builder()
            // Without this, a damaged page is found by the request that needs it, as a panic.
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
    });
    let database = database.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => {
            NotOpened::Other(OpenStoreError::InUse(path.display().to_string()))
        }
        DatabaseError::Storage(StorageError::Corrupted(_)) => NotOpened::Damaged(error.into()),
        DatabaseError::Storage(StorageError::Io(cause))
            if matches!(
                cause.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            NotOpened::Damaged(cause.into())
        }
        error => file_error(error.into()),
    })?;
    let format = prepare(&database, lost).map_err(|error| {
        let damaged = matches!(error.downcast_ref(), Some(StorageError::Corrupted(_)))
            || matches!(
                error.downcast_ref(),
                Some(TableError::Storage(StorageError::Corrupted(_)))
            );
        if damaged {
            NotOpened::Damaged(error)
        } else {
            file_error(error)
        }
    })?;
    if format > FORMAT {
        return Err(NotOpened::Other(OpenStoreError::TooNew {
            path: path.display().to_string(),
            found: format,
            known: FORMAT,
        }));
    }
    Ok(database)
}

/// Opens the file for its owner alone: what is in it is sealed, but why show it?
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

/// Makes the tables of a new file, and says which format those of an old one have. `lost` is what
/// has to be revoked for the file before.
fn prepare(database: &Database, lost: Option<Revocation>) -> Result<u64, Failure> {
    let write = database.begin_write()?;
    let format = {
        let mut meta = write.open_table(META)?;
        let found = meta.get(FORMAT_KEY)?.map(|format| format.value());
        if found.is_none() {
            meta.insert(FORMAT_KEY, FORMAT)?;
        }
        if let Some(lost) = &lost {
            // Another number than any of the file before.
            meta.insert(REVISION_KEY, lost.until().as_seconds())?;
        }
        found.unwrap_or(FORMAT)
    };
    if format <= FORMAT {
        write.open_table(SESSIONS)?;
        write.open_multimap_table(OWNERS)?;
        let mut revoked = write.open_table(REVOKED)?;
        if let Some(lost) = &lost {
            let text = serde_json::to_string(lost)?;
            revoked.insert(text.as_str(), lost.until().as_seconds())?;
        }
        drop(revoked);
        write.open_table(USED)?;
    }
    write.commit()?;
    Ok(format)
}
