//! Remembers which providers do not answer, so that only one request in a while waits for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatepost_session::SessionId;

/// How long a provider that did not answer is not asked again, unless it names a time. The same
/// applies to a single session that it neither confirmed nor ended.
const PAUSE: Duration = Duration::from_secs(10);

/// The longest time that a provider may name.
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// How many sessions are remembered; beyond it, those whose time is over are forgotten.
const MANY: usize = 1_000;

/// Why a session is in doubt, though its provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The answer says nothing of the session.
    Unclear,
    /// The refresh token was refused without a reason.
    Refused,
}

/// Until when providers, and single sessions at them, are not asked.
#[derive(Debug, Default)]
pub(super) struct ProviderPauses {
    /// By the provider's name.
    providers: Mutex<HashMap<String, Instant>>,
    sessions: Mutex<HashMap<SessionId, (Instant, Doubt)>>,
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
    pub(super) fn doubt(&self, session: &SessionId) -> Option<Doubt> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, doubt) = sessions.get(session)?;
        (Instant::now() < *until).then_some(*doubt)
    }

    /// Notes that a session is in doubt.
    pub(super) fn note_doubt(&self, session: &SessionId, doubt: Doubt) {
        let now = Instant::now();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MANY {
            sessions.retain(|_, (until, _)| now < *until);
        }
        sessions.insert(session.clone(), (now + PAUSE, doubt));
    }
}
