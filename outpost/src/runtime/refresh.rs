//! Asking the source of the configuration again, before it would by itself.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How often requests make the source ask at most.
const EVERY: Duration = Duration::from_secs(5);

/// Lets requests have the source of the configuration asked again, where what they see contradicts the
/// configuration. Only a source that follows a server answers.
#[derive(Debug)]
pub struct Refresh {
    wanted: Notify,
    answers: watch::Sender<u64>,
    last_asked: Mutex<Option<Instant>>,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            wanted: Notify::new(),
            answers: watch::Sender::new(0),
            last_asked: Mutex::default(),
        }
    }
}

impl Refresh {
    /// Has the source asked, unless it was just now, and waits for the answer for `patience` at most.
    pub async fn ask(&self, patience: Duration) {
        let mut answers = self.answers.subscribe();
        if !self.may_ask() {
            return;
        }
        self.wanted.notify_one();
        // Without an answer, the configuration is as it was.
        let _ = tokio::time::timeout(patience, answers.changed()).await;
    }

    fn may_ask(&self) -> bool {
        let mut last = self
            .last_asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|at| at.elapsed() >= EVERY);
        if may {
            *last = Some(Instant::now());
        }
        may
    }

    /// Waits until a request wants the source asked.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Notes that the source was asked, and that its answer is in force if it has one.
    pub fn answered(&self) {
        self.answers.send_modify(|count| *count += 1);
    }
}
