//! The files that keys name.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use gatepost_policy::config::Fields;
use zeroize::Zeroizing;

use crate::config::error::Mend;

/// The files that were read for a configuration, so that a change of one can be noticed.
#[derive(Debug, Default)]
pub(super) struct Files(RefCell<Vec<PathBuf>>);

/// Where a value is written.
pub(super) enum Written<T> {
    /// In the configuration itself.
    Inline(T),
    /// In the file of this path.
    File(String),
}

/// Returns where the value of `key` is written: under that key, as `inline` has it, or in the file
/// that `file_key` names. `Some(Err(()))` after reporting that it is in both.
pub(super) fn written<T>(
    fields: &mut Fields<'_>,
    inline: Option<T>,
    key: &str,
    file_key: &'static str,
) -> Option<Result<Written<T>, ()>> {
    match (inline, fields.text(file_key)) {
        (Some(_), Some(_)) => {
            let message = format!("cannot be combined with `{key}`: set only one");
            fields.problem(file_key, message);
            Some(Err(()))
        }
        (Some(value), None) => Some(Ok(Written::Inline(value))),
        (None, Some(path)) => Some(Ok(Written::File(path))),
        (None, None) => None,
    }
}

impl Files {
    /// Returns the text of the file that `key` names, or reports why it cannot be read.
    pub(super) fn read(
        &self,
        fields: &Fields<'_>,
        key: &str,
        path: &str,
    ) -> Option<Zeroizing<String>> {
        self.watch(path.as_ref());
        match std::fs::read_to_string(path) {
            Ok(text) => Some(Zeroizing::new(text)),
            Err(error) => {
                fields.problem(key, format!("cannot read {path}: {error}{}", Mend(&error)));
                None
            }
        }
    }

    /// Adds a file that is read elsewhere, or may come to be.
    pub(super) fn watch(&self, path: &Path) {
        self.0.borrow_mut().push(path.to_path_buf());
    }

    /// Returns the paths of all files.
    pub(super) fn into_paths(self) -> Vec<PathBuf> {
        self.0.into_inner()
    }
}
