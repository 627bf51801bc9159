//! The folder that plugins read ([`gatepost_policy::state`] has its format), kept as the
//! configuration in force says.
//!
//! One process writes a folder at a time. Two that took turns would have plugins serve now the one's
//! rules, now the other's. So the writer holds a lock, and another outpost waits until it ends.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatepost_base::Clock;
use gatepost_base::files::{self, Readable};
use gatepost_policy::state::{
    APPLICATION_PREFIX, APPLICATION_SUFFIX, RENEW_SECONDS, RENEWED_FILE, REVOKED_FILE, renewed_text,
};

use crate::export::state::StateFiles;

/// How often to look whether the configuration has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The file whose lock says which process writes the folder. It is never removed: a lock on a removed
/// file would keep no other out.
const LOCK_FILE: &str = "lock";

/// The folder that this process writes, if any.
#[derive(Debug, Default)]
pub(super) struct StateFolder {
    held: Mutex<Option<PathBuf>>,
}

impl StateFolder {
    /// Returns where the list of revoked sessions belongs, while this process writes a folder.
    pub(super) fn revoked_file(&self) -> Option<PathBuf> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|folder| folder.join(REVOKED_FILE))
    }

    /// Keeps the folder current. Runs until `current` returns `None`.
    pub(super) async fn follow(
        self: Arc<Self>,
        clock: Clock,
        current: impl Fn() -> Option<Option<Arc<StateFiles>>>,
    ) {
        let mut writer = Writer::new(clock);
        while let Some(files) = current() {
            // On a thread that may wait for the disk.
            let stepped = tokio::task::spawn_blocking(move || {
                writer.step(files);
                writer
            });
            let Ok(stepped) = stepped.await else {
                return;
            };
            writer = stepped;
            let held = writer.held.as_ref().map(|held| held.folder.clone());
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Writes the files of a configuration, and renews them.
#[derive(Debug)]
struct Writer {
    clock: Clock,
    held: Option<Held>,
    /// The last problem, which is logged once.
    problem: Option<String>,
}

/// A folder that this process alone writes.
#[derive(Debug)]
struct Held {
    folder: PathBuf,
    lock: File,
    /// What was written last, and when.
    written: Option<(Arc<StateFiles>, Instant)>,
}

/// Why a folder is not written.
#[derive(Debug)]
enum Unwritten {
    /// It has the files of something else.
    Foreign(String),
    /// Another outpost writes it. Names the applications that are not in it as they would be here.
    Taken(Vec<String>),
    /// The system refuses.
    Io(String, io::Error),
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(name) => write!(
                f,
                "it has `{name}`, which no outpost has written: give the outpost a folder of its own"
            ),
            Self::Taken(differing) => {
                f.write_str(
                    "another outpost writes it, and this one will when the other has ended",
                )?;
                if !differing.is_empty() {
                    write!(
                        f,
                        "; the two have different configurations: {} would be another here",
                        differing.join(", ")
                    )?;
                }
                Ok(())
            }
            Self::Io(name, error) => write!(f, "`{name}`: {error}"),
        }
    }
}

impl Writer {
    fn new(clock: Clock) -> Self {
        Self {
            clock,
            held: None,
            problem: None,
        }
    }

    /// Writes what has changed and renews what is due, and logs a problem once.
    fn step(&mut self, files: Option<Arc<StateFiles>>) {
        let Some(files) = files else {
            self.held = None;
            return;
        };
        let folder = files.folder.display().to_string();
        match self.write(files) {
            Ok(()) => {
                if self.problem.take().is_some() {
                    tracing::info!(%folder, "`stateDir` is written again");
                }
            }
            Err(problem) => {
                let text = problem.to_string();
                if self.problem.as_ref() != Some(&text) {
                    match problem {
                        Unwritten::Taken(_) => {
                            tracing::warn!(%folder, "`stateDir` is not written: {text}");
                        }
                        Unwritten::Foreign(_) | Unwritten::Io(..) => {
                            tracing::error!(%folder, "cannot write `stateDir`: {text}");
                        }
                    }
                }
                self.problem = Some(text);
            }
        }
    }

    fn write(&mut self, files: Arc<StateFiles>) -> Result<(), Unwritten> {
        if self
            .held
            .as_ref()
            .is_none_or(|held| !held.is(&files.folder))
        {
            self.held = None;
            self.held = Some(Held::take(&files)?);
        }
        let Some(held) = &mut self.held else {
            return Ok(());
        };
        let renew_every = Duration::from_secs(RENEW_SECONDS);
        if let Some((written, at)) = &held.written
            && Arc::ptr_eq(written, &files)
            && at.elapsed() < renew_every
        {
            return Ok(());
        }
        // What was written in part is written again.
        held.written = None;
        held.write(&files)?;
        // Without the list, plugins accept no session.
        if !held.folder.join(REVOKED_FILE).exists() {
            return Ok(());
        }
        let renewed = renewed_text(self.clock.now());
        // Last, so that a new folder is none before it is complete.
        replace(&held.folder, RENEWED_FILE, renewed.as_bytes())?;
        held.written = Some((files, Instant::now()));
        Ok(())
    }
}

impl Held {
    /// Takes a folder, which is made where there is none.
    fn take(files: &StateFiles) -> Result<Self, Unwritten> {
        let folder = &files.folder;
        make(folder).map_err(|error| Unwritten::Io(folder.display().to_string(), error))?;
        let names = names(folder)?;
        if let Some(foreign) = names.iter().find(|name| !is_own(name)) {
            // The file that an outpost writes last shows a folder that an operator has put a file
            // into.
            if !names.iter().any(|name| name == RENEWED_FILE) {
                return Err(Unwritten::Foreign(foreign.clone()));
            }
        }
        let failed = |error| Unwritten::Io(LOCK_FILE.to_owned(), error);
        let lock = open_lock(&folder.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Unwritten::Taken(differing(files))),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Drafts of a writer that was killed have keys. The list of revoked sessions has another
        // writer in this process.
        for name in names.iter().filter(|name| is_draft(name)) {
            remove(folder, name)?;
        }
        Ok(Self {
            folder: folder.clone(),
            lock,
            written: None,
        })
    }

    /// Returns whether this is the folder, and not another that has been put in its place.
    fn is(&self, folder: &Path) -> bool {
        self.folder == folder && is_same_file(&self.lock, &folder.join(LOCK_FILE))
    }

    /// Makes the files of the applications as they are to be. A file that someone has damaged is
    /// among those that differ.
    fn write(&self, files: &StateFiles) -> Result<(), Unwritten> {
        // First: an application that is no longer served must not wait for a disk that is full.
        for name in names(&self.folder)? {
            if files.is_complete && is_of_application(&name) && !files.has(&name) {
                remove(&self.folder, &name)?;
            }
        }
        for (name, content) in files.applications() {
            if !is_there(&self.folder, name, content) {
                replace(&self.folder, name, content)?;
            }
        }
        Ok(())
    }
}

fn replace(folder: &Path, name: &str, content: &[u8]) -> Result<(), Unwritten> {
    files::replace(&folder.join(name), content, Readable::ByGroup)
        .map_err(|error| Unwritten::Io(name.to_owned(), error))
}

fn remove(folder: &Path, name: &str) -> Result<(), Unwritten> {
    match std::fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Unwritten::Io(name.to_owned(), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Returns whether a file has exactly this content.
fn is_there(folder: &Path, name: &str, content: &[u8]) -> bool {
    std::fs::read(folder.join(name)).is_ok_and(|there| there == content)
}

/// Returns the files that are not in the folder as they are to be.
fn differing(files: &StateFiles) -> Vec<String> {
    let all = files.applications();
    all.filter(|(name, content)| !is_there(&files.folder, name, content))
        .map(|(name, _)| format!("`{name}`"))
        .collect()
}

/// Returns the names of what a folder has.
fn names(folder: &Path) -> Result<Vec<String>, Unwritten> {
    let failed = |error| Unwritten::Io(folder.display().to_string(), error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    Ok(names)
}

fn is_of_application(name: &str) -> bool {
    name.starts_with(APPLICATION_PREFIX) && name.ends_with(APPLICATION_SUFFIX)
}

fn is_draft(name: &str) -> bool {
    let hidden = name.strip_prefix('.').filter(|_| name.ends_with(".draft"));
    hidden.is_some_and(|of| of.starts_with(APPLICATION_PREFIX) || of.starts_with(RENEWED_FILE))
}

/// Returns whether an outpost may have written a file of this name, or the file system itself.
fn is_own(name: &str) -> bool {
    let fixed = [RENEWED_FILE, REVOKED_FILE, LOCK_FILE, "lost+found"];
    let hidden = name.strip_prefix('.').filter(|_| name.ends_with(".draft"));
    fixed.contains(&name)
        || is_of_application(name)
        || is_draft(name)
        || hidden.is_some_and(|of| of.starts_with(REVOKED_FILE))
}

/// Makes a folder that its user and group may read. One that is there keeps its mode.
fn make(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Whatever the umask says.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o750))?;
    }
    Ok(())
}

fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn is_same_file(open: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(open), Ok(there)) = (open.metadata(), std::fs::metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests;
