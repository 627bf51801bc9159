//! The files that keys name.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use gatepost_policy::config::Fields;
use zeroize::Zeroizing;

/// The files that were read for a configuration, so that a change of one can be noticed.
#[derive(Debug, Default)]
pub(super) struct Files(RefCell<Vec<PathBuf>>);

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
                fields.problem(key, format!("cannot read {path}: {error}"));
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
