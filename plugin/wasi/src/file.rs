//! Files to read.

use wasip1::{
    ERRNO_ACCES, ERRNO_ISDIR, ERRNO_NOENT, ERRNO_NOTCAPABLE, ERRNO_NOTDIR, ERRNO_PERM, Errno, Fd,
    Iovec, LOOKUPFLAGS_SYMLINK_FOLLOW, RIGHTS_FD_READ, RIGHTS_FD_SEEK,
};

use crate::folder::within;

/// The first descriptor that can be a folder of the host: those before are the standard streams.
const FIRST_FOLDER: Fd = 3;

/// A file that is open.
#[derive(Debug)]
pub struct File {
    descriptor: Fd,
}

impl File {
    /// Opens a file to read it, in the folder of the host that has the longest name of those that
    /// the path begins with.
    ///
    /// # Errors
    ///
    /// A text for the operator.
    pub fn open(path: &str) -> Result<Self, String> {
        let mut nearest: Option<(Fd, &str)> = None;
        let mut folder = FIRST_FOLDER;
        while let Some(name) = folder_name(folder) {
            if let Some(rest) = within(&name, path)
                && nearest.is_none_or(|(_, other)| rest.len() < other.len())
            {
                nearest = Some((folder, rest));
            }
            folder += 1;
        }
        let (folder, rest) = nearest.ok_or_else(|| text(ERRNO_NOENT))?;
        // SAFETY: the path is a text that outlives the call.
        let opened = unsafe {
            wasip1::path_open(
                folder,
                LOOKUPFLAGS_SYMLINK_FOLLOW,
                rest,
                0,
                RIGHTS_FD_READ | RIGHTS_FD_SEEK,
                0,
                0,
            )
        };
        let descriptor = opened.map_err(text)?;
        Ok(Self { descriptor })
    }

    /// Reads bytes from an offset, fewer than `length` only at the end of the file.
    ///
    /// # Errors
    ///
    /// A text for the operator.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
        let mut part = vec![0; length];
        let mut filled = 0;
        while let Some(rest) = part.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let vector = Iovec {
                buf: rest.as_mut_ptr(),
                buf_len: rest.len(),
            };
            let at = offset.saturating_add(filled as u64);
            // SAFETY: the host writes at most `buf_len` bytes to `buf`, which outlives the call.
            let read = unsafe { wasip1::fd_pread(self.descriptor, &[vector], at) };
            match read.map_err(text)? {
                0 => break,
                count => filled += count,
            }
        }
        part.truncate(filled);
        Ok(part)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this file's, and is used no more.
        let _ = unsafe { wasip1::fd_close(self.descriptor) };
    }
}

/// Returns the name under which the guest sees a folder of the host. `None` behind the last one.
fn folder_name(descriptor: Fd) -> Option<String> {
    // SAFETY: the host writes to memory of the function itself.
    let folder = unsafe { wasip1::fd_prestat_get(descriptor) }.ok()?;
    // SAFETY: WASI has no other kind than folders.
    let bytes = unsafe { folder.u.dir.pr_name_len };
    let mut name = vec![0; bytes];
    // SAFETY: the name is as long as the host said.
    unsafe { wasip1::fd_prestat_dir_name(descriptor, name.as_mut_ptr(), bytes) }.ok()?;
    String::from_utf8(name).ok()
}

/// Says what is wrong, as the standard library does.
fn text(error: Errno) -> String {
    match error {
        ERRNO_NOENT => "entity not found".to_owned(),
        ERRNO_ACCES | ERRNO_PERM | ERRNO_NOTCAPABLE => "permission denied".to_owned(),
        ERRNO_ISDIR => "is a directory".to_owned(),
        ERRNO_NOTDIR => "not a directory".to_owned(),
        other => format!("error {} of WASI", other.raw()),
    }
}
