use std::fmt;
use std::ops::AddAssign;

/// How many tests went how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Tests that could not run, such as those with a provider that is not installed.
    pub(crate) skipped: u64,
}

impl Counts {
    pub(crate) fn success() -> Self {
        Self {
            passed: 1,
            ..Self::default()
        }
    }

    pub(crate) fn failure() -> Self {
        Self {
            failed: 1,
            ..Self::default()
        }
    }

    /// Leaves out the tests that were skipped.
    pub(crate) fn without_skipped(self) -> Self {
        Self { skipped: 0, ..self }
    }

    /// Counts as passed this many tests that failed before.
    pub(crate) fn passing_now(self, count: u64) -> Self {
        Self {
            passed: self.passed + count,
            failed: self.failed.saturating_sub(count),
            ..self
        }
    }

    /// Counts as skipped this many tests that have left themselves out, which their harness takes for
    /// passed.
    pub(crate) fn leaving_out(self, count: u64) -> Self {
        Self {
            passed: self.passed.saturating_sub(count),
            skipped: self.skipped + count,
            ..self
        }
    }

    /// Reads a line that sums up tests, of Rust or of Node.js.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        Self::of_result_line(line).or_else(|| Self::of_node_line(line))
    }

    /// Reads the line that closes the output of every Rust test program:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; …`
    fn of_result_line(line: &str) -> Option<Self> {
        let (_, results) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |kind: &str| {
            results
                .split("; ")
                .find_map(|part| part.strip_suffix(kind)?.trim().parse().ok())
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            skipped: count("ignored")?,
        })
    }

    /// Reads one of the lines that close the output of `node --test`: `ℹ pass 3`.
    fn of_node_line(line: &str) -> Option<Self> {
        let (kind, count) = line.strip_prefix("ℹ ")?.split_once(' ')?;
        let count = count.parse().ok()?;
        match kind {
            "pass" => Some(Self {
                passed: count,
                ..Self::default()
            }),
            // A test that was broken off has not passed.
            "fail" | "cancelled" => Some(Self {
                failed: count,
                ..Self::default()
            }),
            _ => None,
        }
    }
}

/// Returns the name in the line of a Rust test that failed: `test tabs::twelve_tabs ... FAILED`.
pub(crate) fn failed_test(line: &str) -> Option<&str> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    // The suites with a harness of their own write names in a column.
    Some(name.trim_end())
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let cases = [
            (
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; \
                 finished in 0.01s",
                Some((12, 0, 1)),
            ),
            (
                "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
                Some((3, 2, 0)),
            ),
            ("test headers::test result: ok ... ok", None),
            ("running 12 tests", None),
            ("ℹ tests 12", None),
            ("ℹ pass 11", Some((11, 0, 0))),
            ("ℹ fail 1", Some((0, 1, 0))),
            ("ℹ cancelled 2", Some((0, 2, 0))),
            ("ℹ duration_ms 12.5", None),
        ];
        for (line, expected) in cases {
            let expected = expected.map(|(passed, failed, skipped)| Counts {
                passed,
                failed,
                skipped,
            });
            assert_eq!(Counts::of_line(line), expected, "{line}");
        }
    }

    #[test]
    fn a_failed_test_is_named() {
        let cases = [
            (
                "test tabs::twelve_tabs ... FAILED",
                Some("tabs::twelve_tabs"),
            ),
            ("test labels::plugin    ... FAILED", Some("labels::plugin")),
            ("test tabs::twelve_tabs ... ok", None),
            ("test result: FAILED. 3 passed; 2 failed", None),
            ("    tabs::twelve_tabs", None),
        ];
        for (line, expected) in cases {
            assert_eq!(failed_test(line), expected, "{line}");
        }
    }

    #[test]
    fn a_test_that_passes_by_itself_is_no_failure() {
        let line = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        let counts = Counts::of_line(line).unwrap().passing_now(1);
        assert_eq!(counts.to_string(), "4 passed, 1 failed");
    }

    #[test]
    fn a_test_that_left_itself_out_is_skipped() {
        let line = "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        let counts = Counts::of_line(line).unwrap().leaving_out(1);
        assert_eq!(counts.to_string(), "3 passed, 0 failed, 2 skipped");
    }
}
