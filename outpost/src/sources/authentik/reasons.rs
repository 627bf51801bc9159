//! The reasons for which the outpost asks authentik again: its WebSocket, a signal, a request that
//! contradicts the configuration, or time.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::socket::Update;
use crate::runtime::Refresh;
use crate::service_manager;
use crate::signals::Asked;

/// The signals for which the outpost asks authentik again.
#[derive(Debug)]
pub struct AskingSignals {
    /// The service manager's, which waits for the end of the reload.
    pub reload: Asked,
    /// That of authentik's own outposts.
    pub refresh: Asked,
}

/// The reasons for which the outpost asks authentik again.
pub(super) struct Reasons {
    updates: mpsc::Receiver<Update>,
    signals: AskingSignals,
    refresh: Arc<Refresh>,
    /// Whether the service manager has heard of a reload, and not yet of its end.
    is_reloading: bool,
}

impl Reasons {
    /// Waits for updates, for either of the signals, and for requests.
    pub(super) fn new(
        updates: mpsc::Receiver<Update>,
        signals: AskingSignals,
        refresh: Arc<Refresh>,
    ) -> Self {
        Self {
            updates,
            signals,
            refresh,
            is_reloading: false,
        }
    }

    /// Says that authentik was asked, with whatever outcome: a service manager that has asked for a reload
    /// waits for its end.
    pub(super) fn reload_ended(&mut self) {
        if std::mem::take(&mut self.is_reloading) {
            service_manager::ready();
        }
    }

    /// Waits for the next reason, at the latest until `at`.
    pub(super) async fn next(&mut self, at: Instant) -> Update {
        tokio::select! {
            // A closed channel is not a reason to ask.
            Some(update) = self.updates.recv() => update,
            () = self.signals.reload.next() => {
                service_manager::reloading();
                self.is_reloading = true;
                Update::Now
            }
            () = self.signals.refresh.next() => Update::Now,
            () = self.refresh.wanted() => Update::Now,
            () = tokio::time::sleep_until(at) => Update::Now,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Row C: a dead socket task does not make the outpost ask authentik in a hot loop.
    #[tokio::test]
    async fn a_closed_channel_is_no_reason_to_ask_again() {
        let (sender, updates) = mpsc::channel(1);
        let signals = AskingSignals {
            reload: Asked::never(),
            refresh: Asked::never(),
        };
        let mut reasons = Reasons::new(updates, signals, Arc::default());
        drop(sender);
        let pause = Duration::from_millis(200);
        let begun = Instant::now();
        assert_eq!(reasons.next(begun + pause).await, Update::Now);
        assert!(begun.elapsed() >= pause, "{:?}", begun.elapsed());
    }
}
