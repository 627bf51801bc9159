//! Waiting on conditions.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The shortest and the longest time between two attempts.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(300)];

/// Returns how long to wait before the next attempt, after this long: an attempt is often a whole
/// sign-in, and what has not come in a second will hardly come in the next moment.
fn pause_after(waited: Duration) -> Duration {
    let [shortest, longest] = PAUSES;
    (waited / 8).clamp(shortest, longest)
}

/// Lets time pass.
pub fn pass(time: Duration) {
    thread::sleep(time);
}

/// Runs this for each of these at the same time, and returns the outcomes in the same order.
pub fn at_once<I: Send, T: Send>(
    items: impl IntoIterator<Item = I>,
    run: impl Fn(I) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    let run = &run;
    thread::scope(|scope| {
        let items = items.into_iter();
        let running: Vec<_> = items.map(|item| scope.spawn(move || run(item))).collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|outcome| outcome.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

/// Tries again and again until it succeeds.
///
/// `what` completes the sentence "timed out waiting for …".
///
/// # Errors
///
/// That it did not succeed in time, with the error of the last attempt. `limit` is as for
/// [`until`].
pub(crate) fn until_ok<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut last = None;
    let outcome = until(what, limit, || match attempt() {
        Ok(done) => Ok(Some(done)),
        Err(error) => {
            last = Some(error);
            Ok(None)
        }
    });
    outcome.map_err(|timed_out| match last {
        Some(error) => error.context(timed_out),
        None => timed_out,
    })
}

/// Asks again and again until there is an answer.
///
/// `what` completes the sentence "timed out waiting for …".
///
/// # Errors
///
/// The error of `probe`, immediately, or that there was no answer in time. `limit` is a safety net
/// for a machine that is busy with other things, not an expectation: be generous.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = probe()? {
            return Ok(answer);
        }
        let waited = begun.elapsed();
        if waited >= limit {
            bail!("timed out after {} s waiting for {what}", limit.as_secs());
        }
        thread::sleep(pause_after(waited));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_within_limits() {
        for (waited, expected) in [(0, 25), (100, 25), (800, 100), (2_400, 300), (60_000, 300)] {
            let pause = pause_after(Duration::from_millis(waited));
            assert_eq!(pause, Duration::from_millis(expected), "after {waited} ms");
        }
    }

    #[test]
    fn what_never_succeeds_says_why() {
        let attempt = || -> Result<()> { bail!("connection refused") };
        let error = until_ok("an answer", Duration::ZERO, attempt).unwrap_err();
        let said = format!("{error:#}");
        assert_eq!(
            said,
            "timed out after 0 s waiting for an answer: connection refused"
        );
    }
}
