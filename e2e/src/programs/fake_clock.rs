//! A clock that jumps, for one program.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::settings;
use crate::tools::{Faketime, Tool as _};

/// A clock that differs from the system's by a given time. libfaketime shows it to programs that
/// get the time from the C library.
#[derive(Clone, Debug)]
pub struct FakeClock {
    library: PathBuf,
    file: PathBuf,
    at_once: bool,
}

impl FakeClock {
    /// Creates a clock with the right time, kept in this folder.
    ///
    /// # Errors
    ///
    /// When libfaketime is not installed or the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        let clock = Self {
            library: Faketime.locate()?,
            file: folder.join("clock"),
            at_once: false,
        };
        clock.jump(0)?;
        Ok(clock)
    }

    /// Has programs see a jump at once. They look at the file whenever they ask for the time, which
    /// is no way to measure how fast they are.
    #[must_use]
    pub fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// Puts the clock this many seconds ahead of the system's, or behind it. A running program
    /// sees it within a second.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn jump(&self, seconds: i64) -> Result<()> {
        settings::write_atomically(&self.file, &format!("{seconds:+}\n"))
    }

    /// Returns the file with the difference in seconds, with its sign.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the variables that the program needs in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.to_string_lossy().into_owned()),
            (
                "FAKETIME_TIMESTAMP_FILE",
                self.file.to_string_lossy().into_owned(),
            ),
            match self.at_once {
                true => ("FAKETIME_NO_CACHE", "1".to_owned()),
                false => ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            },
            // Timers run on: a clock that is set does not stop them either.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}
