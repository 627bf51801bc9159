//! The problems with settings.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

/// A problem with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key with all sections around it, like `applications[0].require.groups`.
    pub path: String,
    /// The problem and the accepted form. Never the value of a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// All problems with a configuration, in the order of reading.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Makes an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem.
    pub fn add(&self, path: impl Into<String>, message: impl fmt::Display) {
        self.push(path.into(), &message);
    }

    // Not generic: the guest has room for one of it.
    pub(super) fn push(&self, path: String, message: &dyn fmt::Display) {
        // A shared list rather than a result from every reading: a wrong key must not hide the
        // next one. The borrow ends with the statement, so it cannot meet another.
        self.0.borrow_mut().push(Problem {
            path,
            message: message.to_string(),
        });
    }

    /// Returns whether no problem was found.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Returns how many problems were found.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Takes the problems out, in the order of reading.
    pub fn take(&self) -> Vec<Problem> {
        self.0.take()
    }

    /// Returns the problems in the order of reading.
    pub fn into_vec(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}
