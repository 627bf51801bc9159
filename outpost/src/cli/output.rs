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

/// Returns how many of something were found, of which at most `limit` are shown.
pub(super) fn counted(what: &str, found: usize, limit: usize) -> String {
    if found > limit {
        format!("{limit} {what} shown, and there are more: `--limit`")
    } else {
        format!("{found} {what}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_cut_off_says_so() {
        for (found, limit, expected) in [
            (2, 2, "2 keys"),
            (3, 2, "2 keys shown, and there are more: `--limit`"),
            (1, 0, "0 keys shown, and there are more: `--limit`"),
            (0, 0, "0 keys"),
        ] {
            assert_eq!(counted("keys", found, limit), expected);
        }
    }
}
