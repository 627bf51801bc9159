//! The output of commands.

use std::io::Write as _;

/// Writes a line to standard output, whose reader may have closed it.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a line to standard output that must not be lost.
///
/// # Errors
///
/// It was not written, or not all of it.
pub(super) fn hand_over(line: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Returns the value; after writing an error, `None`.
pub(super) fn said<T>(outcome: Result<T, impl std::fmt::Display>) -> Option<T> {
    outcome.map_err(|error| complain(&error)).ok()
}

/// Writes an error to standard error.
pub(super) fn complain(error: &impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{error}");
}
