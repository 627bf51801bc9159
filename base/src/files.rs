//! Files that others read while they are replaced.

use std::io::Write as _;
use std::path::Path;

/// Who may read a file, whatever the process's umask says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readable {
    /// The user that the outpost runs as.
    ByOwner,
    /// This user, and the group of the file, which is the folder's where that says so (`chmod g+s`).
    ByGroup,
    /// Every user.
    ByAll,
}

impl Readable {
    #[cfg(unix)]
    fn permissions(self) -> std::fs::Permissions {
        std::os::unix::fs::PermissionsExt::from_mode(match self {
            Self::ByOwner => 0o600,
            Self::ByGroup => 0o640,
            Self::ByAll => 0o644,
        })
    }
}

/// Puts a file in place as a whole: a reader finds the one before or this one, also after a crash.
///
/// The draft is a file next to it with a random name: a name made from the process id would not be
/// unique, since containers that share a volume all run as process 1.
///
/// # Errors
///
/// When it cannot be written, and then the file before stays.
pub fn replace(path: &Path, bytes: &[u8], readable: Readable) -> std::io::Result<()> {
    // A bare name has the empty path as its parent, which is the working folder.
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    let mut draft = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".draft")
        .tempfile_in(folder)?;
    draft.write_all(bytes)?;
    #[cfg(unix)]
    draft.as_file().set_permissions(readable.permissions())?;
    #[cfg(not(unix))]
    let _ = readable;
    draft.as_file().sync_all()?;
    draft.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row B8: replicas in containers write one file, each as process 1.
    #[test]
    fn many_writers_never_leave_half_a_file_and_no_drafts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list");
        let texts: Vec<Vec<u8>> = (b'a'..b'e').map(|byte| vec![byte; 100_000]).collect();
        replace(&path, &texts[0], Readable::ByAll).expect("written");
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| {
                    for _ in 0..20 {
                        replace(&path, text, Readable::ByAll).expect("written");
                    }
                });
            }
            for _ in 0..200 {
                let read = std::fs::read(&path).expect("there");
                assert!(texts.contains(&read), "half a file: {} bytes", read.len());
            }
        });
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    /// Row B8: the systemd unit's umask is 0077.
    #[cfg(unix)]
    #[test]
    fn who_may_read_a_file_is_said_and_not_left_to_the_umask() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        for (readable, expected) in [
            (Readable::ByAll, 0o644),
            (Readable::ByGroup, 0o640),
            (Readable::ByOwner, 0o600),
        ] {
            let path = folder.path().join(format!("{readable:?}"));
            replace(&path, b"x", readable).expect("written");
            let metadata = std::fs::metadata(&path).expect("there");
            assert_eq!(metadata.permissions().mode() & 0o777, expected);
        }
    }
}
