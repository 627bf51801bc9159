//! Waiting on conditions.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(25);

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
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("timed out after {} s waiting for {what}", limit.as_secs());
        }
        thread::sleep(PAUSE);
    }
}
