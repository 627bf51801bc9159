//! The folder that plugins read ([`gatepost_policy::state`] has its format), kept as the
//! configuration in force says.
//!
//! One process writes a folder at a time. Two that took turns would have plugins serve now the one's
//! rules, now the other's. So the writer holds a lock, and another outpost waits until it ends.
//!
//! What a folder says stays in force while no outpost writes it. One that the
//! configuration leaves is closed: otherwise its plugins would serve the rules of that day for ever.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatepost_base::Clock;
use gatepost_base::contained::{Panicked, contained_blocking};
use gatepost_base::files::{self, Readable};
use gatepost_policy::state::{
    APPLICATION_PREFIX, APPLICATION_SUFFIX, RENEW_SECONDS, RENEWED_FILE, REVOKED_FILE, renewed_text,
};

use tokio::sync::{Notify, watch};

use crate::export::state::StateFiles;

/// How often to look whether the configuration has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The file whose lock says which process writes the folder. It is never removed: a lock on a removed
/// file would keep no other out.
const LOCK_FILE: &str = "lock";

/// How often to look whether another outpost that writes the folder has ended.
const LOOK_AT_LOCK_EVERY: Duration = Duration::from_secs(3);

/// How long to wait after a step that has panicked.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// What the other tasks of this process know of the folder, and what the writer knows of theirs.
#[derive(Debug, Default)]
pub(super) struct StateFolder {
    shared: Mutex<Shared>,
    /// Wakes the writer, which would otherwise look a while later.
    wake: Notify,
    /// Whether the folder has been written once, or cannot be for now.
    settled: watch::Sender<bool>,
}

/// What is to become of the folder.
#[derive(Debug)]
pub(super) enum Wanted {
    /// It has these files.
    Files(Arc<StateFiles>),
    /// The configuration names none.
    NoFolder,
    /// There is no outpost any more.
    End,
}

#[derive(Debug, Default)]
struct Shared {
    /// The folder that this process writes, if any.
    held: Option<PathBuf>,
    /// Whether this process has written the list of revoked sessions into it, and could the last
    /// time.
    has_list: bool,
    /// Why plugins do not have what is in force, if so.
    problem: Option<String>,
}

impl StateFolder {
    /// Returns where the list of revoked sessions belongs, while this process writes a folder.
    pub(super) fn revoked_file(&self) -> Option<PathBuf> {
        let shared = self.shared();
        shared.held.as_ref().map(|held| held.join(REVOKED_FILE))
    }

    /// Notes whether the list of revoked sessions could be written to `path`.
    pub(super) fn note_list(&self, path: &Path, is_written: bool) {
        if self.revoked_file().as_deref() == Some(path) {
            let before = std::mem::replace(&mut self.shared().has_list, is_written);
            if is_written && !before {
                self.wake.notify_one();
            }
        }
    }

    /// Waits until plugins have the folder for the first time, or until it is known that they will not
    /// have it from this process now.
    pub(super) async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        // The sender is this very value.
        let _ = settled.wait_for(|settled| *settled).await;
    }

    /// Returns why plugins do not have what is in force, where the folder could not be written.
    pub(super) fn problem(&self) -> Option<String> {
        self.shared().problem.clone()
    }

    /// Keeps the folder as `wanted` says. `taken` is called when this process
    /// begins to write a folder, which then needs the list of revoked sessions.
    pub(super) async fn follow(
        self: Arc<Self>,
        clock: Clock,
        wanted: impl Fn() -> Wanted,
        taken: impl Fn(),
    ) {
        let mut writer = Writer::new(clock.clone());
        loop {
            let files = match wanted() {
                Wanted::Files(files) => Some(files),
                Wanted::NoFolder => None,
                Wanted::End => return,
            };
            writer.has_list = self.shared().has_list;
            // On a thread that may wait for the disk.
            let stepped = tokio::task::spawn_blocking(move || {
                contained_blocking(move || {
                    writer.step(files);
                    writer
                })
            });
            let mut pause = LOOK_EVERY;
            writer = match stepped.await {
                Ok(Ok(stepped)) => stepped,
                // The lock went with the writer. The panic's text is in the log already.
                Ok(Err(Panicked)) => {
                    tracing::error!("a step of writing `stateDir` has panicked: it begins again");
                    pause = PAUSE_AFTER_PANIC;
                    Writer {
                        problem: Some("a step of writing it has panicked".to_owned()),
                        is_settled: true,
                        ..Writer::new(clock.clone())
                    }
                }
                // After a panic, at which the hook of `contained` ends the process.
                Err(_) => return,
            };
            if self.learn(&writer) {
                taken();
            }
            // A notification while this task does not wait is not lost.
            let _ = tokio::time::timeout(pause, self.wake.notified()).await;
        }
    }

    /// Takes over what the writer has found, and returns whether it has begun to write a folder.
    fn learn(&self, writer: &Writer) -> bool {
        let held = writer.held.as_ref().map(|held| held.folder.clone());
        let mut shared = self.shared();
        let is_new = shared.held != held;
        if is_new {
            shared.has_list = false;
            shared.held = held;
        }
        // Where another outpost writes it, plugins have what that one has in force.
        shared.problem = match writer.waiting {
            None => writer.problem.clone(),
            Some(_) => None,
        };
        if writer.is_settled {
            self.settled.send_replace(true);
        }
        is_new && shared.held.is_some()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the files of a configuration, and renews them.
#[derive(Debug)]
struct Writer {
    clock: Clock,
    held: Option<Held>,
    /// Folders that the configuration has left and that could not be closed yet.
    left: Vec<Held>,
    /// The folder of another outpost, for whose end this one waits.
    waiting: Option<Waiting>,
    /// Whether the list of revoked sessions in the folder is this process's.
    has_list: bool,
    /// The last problem, which is logged once.
    problem: Option<String>,
    /// Whether the last step has left nothing to wait for.
    is_settled: bool,
}

/// What was found in a folder that another outpost writes.
#[derive(Debug)]
struct Waiting {
    files: Arc<StateFiles>,
    looked: Instant,
    differing: Vec<String>,
}

/// A folder that this process alone writes.
#[derive(Debug)]
struct Held {
    folder: PathBuf,
    lock: File,
    /// What was written last, and when.
    written: Option<(Arc<StateFiles>, Instant)>,
    /// Whether it was logged that it cannot be closed.
    is_stuck: bool,
}

/// Why a folder is not written.
#[derive(Debug)]
enum Unwritten {
    /// It has the files of something else.
    Foreign(String),
    /// Another outpost writes it. Names the applications that are not in it as they would be here.
    Taken(Vec<String>),
    /// The system refuses it for these files.
    Io(Vec<(String, io::Error)>),
}

impl Unwritten {
    fn io(name: impl Into<String>, error: io::Error) -> Self {
        Self::Io(vec![(name.into(), error)])
    }
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
            Self::Io(failed) => {
                for (at, (name, error)) in failed.iter().enumerate() {
                    let before = if at == 0 { "" } else { "; " };
                    write!(f, "{before}`{name}`: {error}")?;
                }
                Ok(())
            }
        }
    }
}

impl Writer {
    fn new(clock: Clock) -> Self {
        Self {
            clock,
            held: None,
            left: Vec::new(),
            waiting: None,
            has_list: false,
            problem: None,
            is_settled: false,
        }
    }

    /// Writes what has changed and renews what is due, and logs a problem once.
    fn step(&mut self, files: Option<Arc<StateFiles>>) {
        let Some(files) = files else {
            self.leave(None);
            self.problem = None;
            self.waiting = None;
            self.is_settled = true;
            return;
        };
        let folder = files.folder.display().to_string();
        let is_complete = files.is_complete;
        match self.write(files) {
            Ok(()) => {
                let held = self.held.as_ref();
                // The rest of an incomplete one comes from a server that may be away.
                self.is_settled = !is_complete || held.is_some_and(|held| held.written.is_some());
                if self.problem.take().is_some() {
                    tracing::info!(%folder, "`stateDir` is written again");
                }
            }
            Err(problem) => {
                self.is_settled = true;
                let text = problem.to_string();
                if self.problem.as_ref() != Some(&text) {
                    match problem {
                        Unwritten::Taken(_) => {
                            tracing::warn!(%folder, "`stateDir` is not written: {text}");
                        }
                        Unwritten::Foreign(_) | Unwritten::Io(_) => {
                            tracing::error!(%folder, "cannot write `stateDir`: {text}");
                        }
                    }
                }
                self.problem = Some(text);
            }
        }
    }

    fn write(&mut self, files: Arc<StateFiles>) -> Result<(), Unwritten> {
        self.leave(Some(&files.folder));
        if self.held.is_none() {
            self.held = Some(self.take(&files)?);
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
        // "Renewed" says that all of it is so. Without the list, plugins accept no session; one of
        // an earlier process lacks what was ended since.
        let has_list = self.has_list && held.folder.join(REVOKED_FILE).exists();
        if !has_list || !files.is_complete {
            return Ok(());
        }
        let renewed = renewed_text(self.clock.now());
        // Last, so that plugins accept a new folder only when it is complete.
        replace(&held.folder, RENEWED_FILE, renewed.as_bytes())?;
        held.written = Some((files, Instant::now()));
        Ok(())
    }

    /// Leaves the folder that is held unless it is `next`, and closes what was left.
    fn leave(&mut self, next: Option<&Path>) {
        if let Some(held) = self.held.take_if(|held| next.is_none_or(|next| !held.is(next)))
            // Another folder in the same place is written next.
            && next != Some(&held.folder)
        {
            // The list in the next folder may be of an earlier time.
            self.has_list = false;
            self.left.push(held);
        }
        self.left.retain_mut(|held| {
            // Its lock would keep this process out, and says nothing of another folder in its place.
            next != Some(&held.folder) && held.is(&held.folder) && !held.close()
        });
    }

    /// Takes a folder, or finds that another outpost has it. That one's files are read once for each
    /// configuration.
    fn take(&mut self, files: &Arc<StateFiles>) -> Result<Held, Unwritten> {
        let before = self.waiting.take();
        let mut before = before.filter(|before| Arc::ptr_eq(&before.files, files));
        if let Some(waiting) = before.take_if(|own| own.looked.elapsed() < LOOK_AT_LOCK_EVERY) {
            let differing = waiting.differing.clone();
            self.waiting = Some(waiting);
            return Err(Unwritten::Taken(differing));
        }
        if let Some(held) = Held::take(&files.folder)? {
            return Ok(held);
        }
        let differing = before.map_or_else(|| differing(files), |before| before.differing);
        self.waiting = Some(Waiting {
            files: Arc::clone(files),
            looked: Instant::now(),
            differing: differing.clone(),
        });
        Err(Unwritten::Taken(differing))
    }
}

impl Held {
    /// Takes a folder, which it makes if it is missing; `None` where another outpost has it.
    fn take(folder: &Path) -> Result<Option<Self>, Unwritten> {
        make(folder).map_err(|error| Unwritten::io(folder.display().to_string(), error))?;
        let names = names(folder)?;
        if let Some(foreign) = foreign(&names) {
            return Err(Unwritten::Foreign(foreign.to_owned()));
        }
        let failed = |error| Unwritten::io(LOCK_FILE, error);
        let lock = open_lock(&folder.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Drafts of a writer that was killed have keys. The list of revoked sessions has another
        // writer in this process.
        for name in names.iter().filter(|name| is_draft(name)) {
            remove(folder, name)?;
        }
        Ok(Some(Self {
            folder: folder.to_owned(),
            lock,
            written: None,
            is_stuck: false,
        }))
    }

    /// Returns whether this is the folder, and not another that has been put in its place.
    fn is(&self, folder: &Path) -> bool {
        self.folder == folder && is_same_file(&self.lock, &folder.join(LOCK_FILE))
    }

    /// Makes the files of the applications as they are to be. A damaged file is among those that
    /// differ. One that fails does not keep the others from it.
    fn write(&self, files: &StateFiles) -> Result<(), Unwritten> {
        let mut failed = Vec::new();
        // First: an application that is no longer served must not wait for a disk that is full.
        if files.is_complete {
            self.remove_applications(|name| !files.has(name), &mut failed)?;
        }
        for (name, content) in files.applications() {
            if !is_there(&self.folder, name, content) {
                let replaced = replace(&self.folder, name, content);
                collect(replaced, &mut failed)?;
            }
        }
        all_done(failed)
    }

    /// Removes what a plugin reads, so that those that have the folder close. Returns whether that is
    /// done.
    fn close(&mut self) -> bool {
        let mut failed = Vec::new();
        // First: without it, plugins read nothing else.
        let closed = collect(remove(&self.folder, RENEWED_FILE), &mut failed)
            .and_then(|()| self.remove_applications(|_| true, &mut failed))
            .and_then(|()| all_done(failed));
        let folder = self.folder.display();
        match &closed {
            Ok(()) => tracing::warn!(
                %folder,
                "the configuration has left this folder: plugins that read it answer 503 from now on"
            ),
            Err(problem) if !self.is_stuck => tracing::error!(
                %folder,
                "the configuration has left this folder, and it stays in force for plugins that \
                 read it, as it cannot be emptied: {problem}"
            ),
            Err(_) => {}
        }
        self.is_stuck = closed.is_err();
        closed.is_ok()
    }

    /// Removes the files of those applications.
    fn remove_applications(
        &self,
        which: impl Fn(&str) -> bool,
        failed: &mut Vec<(String, io::Error)>,
    ) -> Result<(), Unwritten> {
        for name in names(&self.folder)? {
            if is_of_application(&name) && which(&name) {
                collect(remove(&self.folder, &name), failed)?;
            }
        }
        Ok(())
    }
}

/// Puts what the system refused to those that `failed`, and returns any other problem.
fn collect(
    done: Result<(), Unwritten>,
    failed: &mut Vec<(String, io::Error)>,
) -> Result<(), Unwritten> {
    match done {
        Err(Unwritten::Io(errors)) => failed.extend(errors),
        other => other?,
    }
    Ok(())
}

fn all_done(failed: Vec<(String, io::Error)>) -> Result<(), Unwritten> {
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Unwritten::Io(failed))
    }
}

fn replace(folder: &Path, name: &str, content: &[u8]) -> Result<(), Unwritten> {
    files::replace(&folder.join(name), content, Readable::ByGroup)
        .map_err(|error| Unwritten::io(name, error))
}

fn remove(folder: &Path, name: &str) -> Result<(), Unwritten> {
    match std::fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Unwritten::io(name, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Returns whether a file has exactly this content.
fn is_there(folder: &Path, name: &str, content: &[u8]) -> bool {
    std::fs::read(folder.join(name)).is_ok_and(|there| there == content)
}

/// Returns the files that are not in the folder as they are to be.
pub(crate) fn differing(files: &StateFiles) -> Vec<String> {
    let all = files.applications();
    all.filter(|(name, content)| !is_there(&files.folder, name, content))
        .map(|(name, _)| format!("`{name}`"))
        .collect()
}

/// Returns the names of what a folder has.
fn names(folder: &Path) -> Result<Vec<String>, Unwritten> {
    let failed = |error| Unwritten::io(folder.display().to_string(), error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Returns the name of a file in `folder` for which no outpost would write it.
pub(crate) fn foreign_file(folder: &Path) -> io::Result<Option<String>> {
    let names = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<String>>>()?;
    Ok(foreign(&names).map(ToOwned::to_owned))
}

/// Returns a file of something else than an outpost. The file that an outpost writes last shows a
/// folder that an operator has put a file into.
fn foreign(names: &[String]) -> Option<&str> {
    let is_outposts = names.iter().any(|name| name == RENEWED_FILE);
    let mut names = names.iter().filter(|name| !is_outposts && !is_own(name));
    names.next().map(String::as_str)
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
