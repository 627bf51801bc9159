//! What makes the outpost ask authentik again: its WebSocket, a signal, or time.

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::socket::Update;

/// What makes the outpost ask authentik again.
pub(super) struct Reasons {
    told: mpsc::Receiver<Update>,
    forced: AskedBySignal,
}

impl Reasons {
    /// Waits for what comes through `told`, and for signals.
    pub(super) fn new(told: mpsc::Receiver<Update>) -> Self {
        Self {
            told,
            forced: asked_by_signal(),
        }
    }

    /// Waits for the next, which is `at` that time if none comes before.
    pub(super) async fn next(&mut self, at: Instant) -> Update {
        tokio::select! {
            // A channel that is closed says nothing, and in particular not that it is time.
            Some(update) = self.told.recv() => update,
            () = self.forced.changed() => Update::Now,
            () = tokio::time::sleep_until(at) => Update::Now,
        }
    }
}

/// `SIGUSR1` asks for what changed, as it does of authentik's own outposts.
struct AskedBySignal {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

fn asked_by_signal() -> AskedBySignal {
    AskedBySignal {
        #[cfg(unix)]
        signals: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined1()).ok(),
    }
}

impl AskedBySignal {
    async fn changed(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals {
            signals.recv().await;
            return;
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Row C: a dead socket task does not have authentik asked in a hot loop.
    #[tokio::test]
    async fn a_closed_channel_is_no_reason_to_ask_again() {
        let (updates, told) = mpsc::channel(1);
        let mut reasons = Reasons::new(told);
        drop(updates);
        let pause = Duration::from_millis(200);
        let begun = Instant::now();
        assert_eq!(reasons.next(begun + pause).await, Update::Now);
        assert!(begun.elapsed() >= pause, "{:?}", begun.elapsed());
    }
}
