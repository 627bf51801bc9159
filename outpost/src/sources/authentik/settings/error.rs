//! What is wrong with the variables.

use std::fmt;
use std::path::PathBuf;

/// A variable that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It is needed together with the other.
    #[error("{missing}: missing, although {given} is set")]
    Missing {
        /// The missing variable.
        missing: &'static str,
        /// The variable that is set.
        given: &'static str,
    },
    /// The file that it names cannot be read.
    #[error("{variable}: cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Its value is invalid.
    #[error("{variable}: expected {accepted}")]
    Wrong {
        /// The variable.
        variable: &'static str,
        /// The accepted values.
        accepted: &'static str,
    },
    /// Several variables cannot be used. Shows a line for each.
    #[error("{}", Lines(.0))]
    Several(Vec<Self>),
}

struct Lines<'e>(&'e [SettingsError]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            let end = if at > 0 { "\n" } else { "" };
            write!(f, "{end}{error}")?;
        }
        Ok(())
    }
}

/// Returns a value, or keeps why it is wrong.
pub(super) fn kept<T>(read: Result<T, SettingsError>, wrong: &mut Vec<SettingsError>) -> Option<T> {
    read.map_err(|error| wrong.push(error)).ok()
}
