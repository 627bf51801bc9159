//! Why a configuration cannot be used.

use std::fmt;
use std::path::{Path, PathBuf};

use gatepost_policy::config::Problem;

/// A configuration that cannot be used. Displays one line for each problem.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The text is not YAML.
    #[error("{}not valid YAML: {message}", PathPrefix(path.as_deref()))]
    Syntax {
        /// The file, where it came from one.
        path: Option<PathBuf>,
        /// The parser's message, with line and column.
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

struct PathPrefix<'a>(Option<&'a Path>);

impl fmt::Display for PathPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "{}: ", path.display()),
            None => Ok(()),
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
