//! Remembers which providers do not answer, so that only one request in a while waits for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatepost_session::SessionId;
use moka::future::Cache;
use moka::policy::EvictionPolicy;

/// How long a provider that did not answer is not asked again, unless it names a time. The same
/// applies to a single session that it neither confirmed nor ended.
const PAUSE: Duration = Duration::from_secs(10);

/// The longest time that a provider may name.
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// How many sessions are remembered. Beyond it the provider is asked about the one that was noted
/// first as if it had never been in doubt.
const MAX_IN_DOUBT: u64 = 10_000;

/// Why a session is in doubt, though its provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The answer says nothing of the session.
    Unclear,
    /// The refresh token was refused without a reason.
    Refused,
}

/// Until when providers, and single sessions at them, are not asked.
#[derive(Debug)]
pub(super) struct ProviderPauses {
    /// By the provider's name.
    providers: Mutex<HashMap<String, Instant>>,
    sessions: Cache<SessionId, Doubt>,
}

impl Default for ProviderPauses {
    fn default() -> Self {
        let sessions = Cache::builder()
            .max_capacity(MAX_IN_DOUBT)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(PAUSE)
            .build();
        Self {
            providers: Mutex::default(),
            sessions,
        }
    }
}

impl ProviderPauses {
    /// Returns whether a provider did not answer lately.
    pub(super) fn is_unavailable(&self, provider: &str) -> bool {
        let providers = self
            .providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        providers
            .get(provider)
            .is_some_and(|until| Instant::now() < *until)
    }

    /// Notes that a provider answers.
    pub(super) fn note_available(&self, provider: &str) {
        let mut providers = self
            .providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        providers.remove(provider);
    }

    /// Notes that a provider is not to be asked for a while: for `retry_after`, if it names one.
    pub(super) fn note_unavailable(&self, provider: &str, retry_after: Option<Duration>) {
        let pause = retry_after.map_or(PAUSE, |own| own.clamp(PAUSE, MAX_PAUSE));
        let mut providers = self
            .providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        providers.insert(provider.to_owned(), Instant::now() + pause);
    }

    /// Returns why a session is in doubt, where the provider neither confirmed nor ended it lately.
    pub(super) async fn doubt(&self, session: &SessionId) -> Option<Doubt> {
        self.sessions.get(session).await
    }

    /// Notes that a session is in doubt.
    pub(super) async fn note_doubt(&self, session: &SessionId, doubt: Doubt) {
        self.sessions.insert(session.clone(), doubt).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> SessionId {
        let mut random = [0; 24];
        for (byte, of_number) in random.iter_mut().zip(number.to_be_bytes()) {
            *byte = of_number;
        }
        SessionId::from_random(random)
    }

    /// A provider that refuses many tokens at once must not fill the memory.
    #[tokio::test]
    async fn the_last_sessions_in_doubt_are_remembered_and_no_more() {
        let pauses = ProviderPauses::default();
        let many = u32::try_from(2 * MAX_IN_DOUBT).expect("a number");
        for number in 0..many {
            pauses.note_doubt(&id(number), Doubt::Refused).await;
        }
        pauses.sessions.run_pending_tasks().await;
        assert_eq!(pauses.sessions.entry_count(), MAX_IN_DOUBT);
        assert_eq!(pauses.doubt(&id(many - 1)).await, Some(Doubt::Refused));
        assert_eq!(pauses.doubt(&id(0)).await, None);
    }
}
