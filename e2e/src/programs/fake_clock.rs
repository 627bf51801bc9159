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
        };
        clock.jump(0)?;
        Ok(clock)
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

    /// Returns the variables that the program needs in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.to_string_lossy().into_owned()),
            (
                "FAKETIME_TIMESTAMP_FILE",
                self.file.to_string_lossy().into_owned(),
            ),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            // Timers run on: a clock that is set does not stop them either.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}
