//! One line a minute about what fails again and again.

use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(60);

/// Decides which of many failures in a row are worth a line.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    last_line: Option<Instant>,
    since: u64,
    failing: bool,
}

impl LogLimit {
    /// Notes a failure; how many went without a line since the last one, if this one gets one.
    pub(super) fn failed(&mut self, now: Instant) -> Option<u64> {
        self.failing = true;
        if self
            .last_line
            .is_some_and(|last| now.duration_since(last) < EVERY)
        {
            self.since += 1;
            return None;
        }
        self.last_line = Some(now);
        Some(std::mem::take(&mut self.since))
    }

    /// Notes a success, and says whether failures came before it.
    pub(super) fn recovered(&mut self) -> bool {
        std::mem::take(&mut self.failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_lasts_gets_one_line_a_minute() {
        let start = Instant::now();
        let mut limit = LogLimit::default();
        let lines: Vec<(u64, u64)> = (0..60)
            .map(|step| step * 3)
            .filter_map(|at| Some((at, limit.failed(start + Duration::from_secs(at))?)))
            .collect();
        assert_eq!(lines, [(0, 0), (60, 19), (120, 19)]);
        assert!(limit.recovered());
        assert!(!limit.recovered(), "it is logged once");
    }
}
