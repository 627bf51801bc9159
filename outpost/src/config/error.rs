//! Why a configuration cannot be used.

use std::fmt;
use std::path::{Path, PathBuf};

use gatepost_base::{own_user, user_name};
use gatepost_policy::config::Problem;

/// A configuration that cannot be used. Displays one line for each problem.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}{}", path.display(), Mend(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The text is not YAML.
    #[error("{}not valid YAML: {message}", Place(path.as_deref(), *at))]
    Syntax {
        /// The file, where it came from one.
        path: Option<PathBuf>,
        /// The line and the column, where the parser knows them.
        at: Option<(u64, u64)>,
        /// The parser's message.
        message: String,
    },
    /// Keys are missing, invalid or unknown.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Finding>),
}

/// A problem and its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key and its problem.
    pub problem: Problem,
    /// The file and the line of the key, or of the section that lacks it; `None` for a value from
    /// the environment.
    pub location: Option<(PathBuf, u64)>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((path, line)) = &self.location {
            write!(f, "{}:{line}: ", path.display())?;
        }
        write!(f, "{}", self.problem)
    }
}

/// Says what to do about a file that may not be read: an editor that replaces a file makes one of its own
/// user's. No advice opens the file to whoever runs a command: it may hold secrets.
pub(super) struct Mend<'a>(pub(super) &'a std::io::Error);

impl fmt::Display for Mend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            std::io::ErrorKind::PermissionDenied => match own_user() {
                Some(user) => write!(
                    f,
                    ": run this as the outpost's user, with the same options (the package's: `sudo -u \
                     gatepost gatepost …`). If `{}`, who runs this, is that user, let its group read the \
                     file (`chgrp`, `chmod g+r`, again after an editor has replaced it)",
                    user_name(user)
                ),
                None => f.write_str(": run this as the outpost's user"),
            },
            _ => Ok(()),
        }
    }
}

/// Where a mistake is, in the form of [`Finding`].
struct Place<'a>(Option<&'a Path>, Option<(u64, u64)>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(path), Some((line, column))) => write!(f, "{}:{line}:{column}: ", path.display()),
            (Some(path), None) => write!(f, "{}: ", path.display()),
            (None, Some((line, column))) => write!(f, "line {line}, column {column}: "),
            (None, None) => Ok(()),
        }
    }
}

struct Lines<'a>(&'a [Finding]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}
