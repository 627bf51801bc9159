//! Whether the file of the session store can be used.
//!
//! The file is not opened as a store: a running outpost has it to itself, and one that this check
//! made would belong to the user who ran it.

use std::fs::{self, OpenOptions};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use gatepost_base::user_name;

use super::report::{Report, Subject};

/// Adds whether the user who runs this check can write the file, or make it.
pub(super) fn check(path: &Path, report: &mut Report) {
    let shown = path.display();
    let own_user = own_user();
    match try_to_write(path) {
        Ok(()) => report.note(
            &Subject::Store,
            format!("{shown} can be written by {own_user}"),
        ),
        Err((what, error)) => report.failure(
            &Subject::Store,
            format!(
                "{}{} cannot be written by {own_user}: {error}. The outpost's user needs to write \
                 the file and its folder",
                prefix(path, &what),
                what.display()
            ),
        ),
    }
    warn_of_root(path, &Subject::Store, report);
}

/// Returns the path of what cannot be used with a colon, unless `what` hinders that is the same.
pub(super) fn prefix(path: &Path, what: &Path) -> String {
    match path == what {
        true => String::new(),
        false => format!("{}: ", path.display()),
    }
}

/// Names the user with whose rights this check tries.
pub(super) fn own_user() -> String {
    match gatepost_base::own_user() {
        Some(user) => format!("`{}`, who runs this check", user_name(user)),
        None => "the user who runs this check".to_owned(),
    }
}

/// Warns where root runs this check, and so can write what the outpost's user may not.
pub(super) fn warn_of_root(path: &Path, subject: &Subject, report: &mut Report) {
    let shown = path.display();
    if let (Some(0), Some(owner)) = (gatepost_base::own_user(), owner(path))
        && owner != 0
    {
        let owner = user_name(owner);
        report.warning(
            subject,
            format!(
                "{shown} belongs to `{owner}`, and root runs this check: run it as the outpost's user, \
                 with the same options (`sudo -u '{owner}' gatepost check …`)"
            ),
        );
    }
}

/// Tries to write the file, or to make it, and leaves all as it was.
fn try_to_write(path: &Path) -> Result<(), (PathBuf, Error)> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err((path.to_owned(), error)),
    }
    // The outpost makes the folders that are missing.
    let mut folders = path.ancestors().skip(1);
    let folder = folders.find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let folder = match folder {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let probe = format!(".gatepost-check-{}", std::process::id());
    try_to_make(folder, &probe).map_err(|error| (folder.to_owned(), error))
}

/// Tries to make a file of this name in a folder, and leaves all as it was.
pub(super) fn try_to_make(folder: &Path, name: &str) -> Result<(), Error> {
    let probe = folder.join(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)?;
    let _ = fs::remove_file(&probe);
    Ok(())
}

/// Returns the number of the user whose file this is, or whose folder it would be in.
#[cfg(unix)]
fn owner(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let mut places = [Some(path), path.parent()].into_iter().flatten();
    places
        .find_map(|place| fs::metadata(place).ok())
        .map(|found| found.uid())
}

#[cfg(not(unix))]
fn owner(_: &Path) -> Option<u32> {
    None
}
