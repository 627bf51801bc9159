//! Asking the source of the configuration again, before it would by itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How often requests make the source ask at most.
const EVERY: Duration = Duration::from_secs(5);

/// Lets requests have the source of the configuration asked again, where what they see contradicts the
/// configuration. Only a source that follows a server answers.
#[derive(Debug, Default)]
pub struct Refresh {
    wanted: Notify,
    answers: watch::Sender<()>,
    last: Mutex<Last>,
}

/// The last time that a request had the source asked.
#[derive(Debug, Default)]
struct Last {
    asked: Option<Instant>,
    /// Whether there is no answer yet.
    is_pending: bool,
}

impl Refresh {
    /// Has the source asked, unless it was just now, and waits for the answer for `patience` at most.
    /// A request that comes meanwhile waits for the same answer.
    pub async fn ask(&self, patience: Duration) {
        let mut answers = self.answers.subscribe();
        if !self.begin() {
            return;
        }
        // Without an answer, the configuration is as it was.
        let _ = tokio::time::timeout(patience, answers.changed()).await;
    }

    /// Has the source asked where it is due. Returns whether there is an answer to wait for.
    fn begin(&self) -> bool {
        let mut last = self.last();
        if last.asked.is_none_or(|at| at.elapsed() >= EVERY) {
            last.asked = Some(Instant::now());
            last.is_pending = true;
            self.wanted.notify_one();
        }
        last.is_pending
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request wants the source asked.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Notes that the source was asked, and that its answer is in force if it has one.
    pub fn answered(&self) {
        self.last().is_pending = false;
        self.answers.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn requests_that_come_meanwhile_wait_for_the_same_answer() {
        let refresh = Arc::new(Refresh::default());
        let ask = || {
            let refresh = Arc::clone(&refresh);
            tokio::spawn(async move { refresh.ask(Duration::from_secs(60)).await })
        };
        let first = ask();
        refresh.wanted().await;
        let second = ask();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!first.is_finished() && !second.is_finished());
        refresh.answered();
        for asked in [first, second] {
            asked.await.expect("no panic");
        }
        // The source was asked just now, so nothing waits.
        ask().await.expect("no panic");
    }
}
