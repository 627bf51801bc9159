//! Asks the provider whether a session is still valid: one request at a time, in all replicas.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepost_session::NumericDate;

use super::flights::{Flights, Patience, Progress};
use super::provider_pauses::{Doubt, ProviderPauses};
use super::revalidation::{Revalidation, RevalidationError, access_token, is_due, of_provider};
use super::revoker::Revoker;
use super::unsaved::UnsavedSessions;
use crate::application::{Application, TokenHeaders, TokenNeed};
use crate::session_times::SessionTimes;
use crate::telemetry::audit;
use crate::telemetry::metrics::{self, Revalidated};
use gatepost_base::Clock;
use gatepost_base::contained::{Panicked, contained};
use gatepost_oidc::{NamedClaim, Provider, RefreshError, SignInError, Unavailable};
use gatepost_store::{AccessToken, RenewalLock, SessionRecord, SessionSelector, Store};

/// How long a request whose window has ended waits for another replica that asks about its session.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often to look whether another replica is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often to extend the lock while the provider is asked.
const HOLD_EVERY: Duration = Duration::from_secs(2);

/// How often to try to save a rotated refresh token while requests wait: without it, the session
/// cannot be renewed again.
const SAVE_ATTEMPTS: u32 = 20;

/// Asks providers about sessions.
#[derive(Debug)]
pub struct Revalidator {
    /// The name of this process in the locks.
    process: Arc<str>,
    store: Arc<dyn Store>,
    revoker: Arc<Revoker>,
    clock: Clock,
    flights: Flights,
    pauses: ProviderPauses,
    /// What providers said and the store could not save.
    unsaved: Arc<UnsavedSessions>,
}

impl Revalidator {
    /// Returns one for a process of this name, which no other has.
    pub(super) fn new(
        process: Arc<str>,
        store: Arc<dyn Store>,
        revoker: Arc<Revoker>,
        clock: Clock,
    ) -> Self {
        Self {
            process,
            store,
            revoker,
            clock,
            flights: Flights::default(),
            pauses: ProviderPauses::default(),
            unsaved: Arc::default(),
        }
    }

    /// Asks the provider whether a session is still valid, if it has not been asked for a while.
    ///
    /// One request at a time asks for a session, in all replicas, and the others get its answer.
    /// While the provider is unavailable the session goes on for its grace.
    ///
    /// # Errors
    ///
    /// [`RevalidationError`], and then nothing is known of the session.
    pub async fn revalidate(
        self: &Arc<Self>,
        times: &SessionTimes,
        application: &Application,
        record: Arc<SessionRecord>,
        patience: Patience,
    ) -> Result<Revalidation, RevalidationError> {
        self.ask_for(Reason::Session, times, application, record, patience)
            .await
    }

    /// Has the tokens of a session renewed at the provider for the application, as
    /// [`Self::revalidate`] asks.
    ///
    /// # Errors
    ///
    /// [`RevalidationError`], and then nothing is known of the session.
    pub(super) async fn renew_tokens(
        self: &Arc<Self>,
        times: &SessionTimes,
        application: &Application,
        record: Arc<SessionRecord>,
        patience: Patience,
    ) -> Result<Revalidation, RevalidationError> {
        self.ask_for(Reason::Tokens, times, application, record, patience)
            .await
    }

    async fn ask_for(
        self: &Arc<Self>,
        reason: Reason,
        times: &SessionTimes,
        application: &Application,
        record: Arc<SessionRecord>,
        patience: Patience,
    ) -> Result<Revalidation, RevalidationError> {
        let provider = application.providers().of_issuer(&record.identity.issuer);
        let times = provider.map_or(*times, |provider| of_provider(times, provider));
        let due = Due {
            times,
            tokens: application.capabilities().token_headers.clone(),
            reason,
        };
        if !due.is(&record, self.clock.now()) {
            return Ok(Revalidation::Valid(record));
        }
        if record.refresh_token.is_none() {
            return Ok(Revalidation::NeedsBrowser);
        }
        let Some(provider) = provider else {
            return Ok(Revalidation::Ended);
        };
        let asking = Asking {
            revalidator: Arc::clone(self),
            provider: Arc::clone(provider),
            extra: application.claims_of_sessions(),
            due,
        };
        let id = record.id.clone();
        let flight = self.flights.join(&id, |progress| {
            let id = id.clone();
            // On its own, so that it is finished even when the browser goes away: the provider has
            // then taken the old refresh token back, and the new one must be saved.
            tokio::spawn(async move {
                let outcome = contained(asking.run(Arc::clone(&record), &progress)).await;
                let outcome =
                    outcome.unwrap_or_else(|Panicked| Err(SignInError::from(Unavailable).into()));
                asking.revalidator.flights.land(&id, &progress, outcome);
            });
        });
        flight.outcome(patience).await
    }

    /// Returns whether the provider of a session, or the session itself, is not asked about for a
    /// moment, since that failed.
    pub(super) async fn is_paused(
        &self,
        application: &Application,
        record: &SessionRecord,
    ) -> bool {
        let provider = application.providers().of_issuer(&record.identity.issuer);
        self.pauses.doubt(&record.id).await.is_some()
            || provider.is_none_or(|provider| self.pauses.is_unavailable(&provider.settings().name))
    }

    /// Returns whether a browser that is sent to `provider`, which is the session's, would find it
    /// reachable. Where it would not, the session goes on for its grace.
    ///
    /// # Errors
    ///
    /// [`RevalidationError::Provider`] when the grace is over too.
    pub async fn browser_can_ask(
        &self,
        times: &SessionTimes,
        provider: &Provider,
        record: &SessionRecord,
    ) -> Result<bool, RevalidationError> {
        let name = provider.settings().name.as_str();
        if !self.pauses.is_unavailable(name) {
            if provider.answers().await {
                self.pauses.note_available(name);
                return Ok(true);
            }
            self.pauses.note_unavailable(name, None);
        }
        self.check_grace(times, provider, record)?;
        Ok(false)
    }

    /// Checks that a session may go on although `provider`, which is the session's, has not
    /// confirmed it.
    ///
    /// # Errors
    ///
    /// [`RevalidationError::Provider`] when the grace is over.
    pub fn check_grace(
        &self,
        times: &SessionTimes,
        provider: &Provider,
        record: &SessionRecord,
    ) -> Result<(), RevalidationError> {
        let times = of_provider(times, provider);
        in_grace(record, &times, self.clock.now(), provider)
    }
}

/// Checks whether a session may go on although its provider does not answer.
fn in_grace(
    record: &SessionRecord,
    times: &SessionTimes,
    now: NumericDate,
    provider: &Provider,
) -> Result<(), RevalidationError> {
    let due_since = record.last_validated.plus_seconds(times.refresh_after);
    let until = due_since.plus_seconds(times.grace);
    let provider = provider.settings().name.as_str();
    if now < until {
        metrics::revalidated(provider, Revalidated::Unasked);
        tracing::warn!(
            provider,
            last_validated = record.last_validated.as_seconds(),
            "the provider is unavailable: a session goes on without asking it"
        );
        Ok(())
    } else {
        Err(SignInError::from(Unavailable).into())
    }
}

/// What asking about one session takes, apart from the request that caused it.
struct Asking {
    revalidator: Arc<Revalidator>,
    provider: Arc<Provider>,
    /// The claims that the application's rules and headers need beyond the usual ones.
    extra: Vec<NamedClaim>,
    due: Due,
}

/// When the provider is to be asked about a session.
struct Due {
    times: SessionTimes,
    /// What the application gets of the session's tokens, which end at a time of their own.
    tokens: Option<Arc<dyn TokenHeaders>>,
    reason: Reason,
}

/// What a request needs the provider's answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// Whether the session is still valid.
    Session,
    /// Tokens for the application, or whether the session is still valid.
    Tokens,
}

impl Due {
    /// Returns whether the provider is to be asked, about the session or for its tokens.
    fn is(&self, record: &SessionRecord, now: NumericDate) -> bool {
        let tokens = self
            .tokens
            .as_ref()
            .filter(|_| self.reason == Reason::Tokens);
        let needs_some =
            |tokens: &Arc<dyn TokenHeaders>| tokens.need(record, now) != TokenNeed::None;
        is_due(record, &self.times, now) || tokens.is_some_and(needs_some)
    }
}

impl Asking {
    /// Asks, or waits for the replica that does.
    async fn run(
        &self,
        record: Arc<SessionRecord>,
        progress: &Progress,
    ) -> Result<Revalidation, RevalidationError> {
        let store = &self.revalidator.store;
        let lock = RenewalLock {
            id: record.id.clone(),
            holder: Arc::clone(&self.revalidator.process),
        };
        let begun = Instant::now();
        loop {
            if store.lock_renewal(&lock).await? {
                let outcome = self.ask_alone(&lock).await;
                if let Err(error) = store.unlock_renewal(&lock).await {
                    // The lock expires without it.
                    tracing::warn!(%error, "cannot release the lock of a renewal");
                }
                return outcome;
            }
            progress.note_elsewhere();
            let Some(current) = store.find(&lock.id).await? else {
                return Ok(Revalidation::Ended);
            };
            if !self.due.is(&current, self.now()) {
                return Ok(Revalidation::Valid(current));
            }
            if begun.elapsed() > PATIENCE {
                in_grace(&current, &self.due.times, self.now(), &self.provider)?;
                return Ok(Revalidation::Valid(current));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn now(&self) -> NumericDate {
        self.revalidator.clock.now()
    }

    /// Asks with the lock in hand, and extends it meanwhile.
    async fn ask_alone(&self, lock: &RenewalLock) -> Result<Revalidation, RevalidationError> {
        let store = &self.revalidator.store;
        self.revalidator.unsaved.settle(&lock.id, &**store).await?;
        // Read only now: the holder of the lock before may have done all of it.
        let Some(current) = store.find(&lock.id).await? else {
            return Ok(Revalidation::Ended);
        };
        let hold = async {
            loop {
                tokio::time::sleep(HOLD_EVERY).await;
                if let Err(error) = store.lock_renewal(lock).await {
                    tracing::warn!(%error, "cannot extend the lock of a renewal");
                }
            }
        };
        tokio::select! {
            outcome = self.ask(current) => outcome,
            () = hold => Err(SignInError::from(Unavailable).into()),
        }
    }

    async fn ask(&self, record: Arc<SessionRecord>) -> Result<Revalidation, RevalidationError> {
        let now = self.now();
        let pauses = &self.revalidator.pauses;
        if !self.due.is(&record, now) {
            return Ok(Revalidation::Valid(record));
        }
        let Some(refresh_token) = &record.refresh_token else {
            return Ok(Revalidation::NeedsBrowser);
        };
        let name = self.provider.settings().name.as_str();
        let doubt = pauses.doubt(&record.id).await;
        if doubt == Some(Doubt::Refused) {
            return Ok(Revalidation::Refused);
        }
        if doubt.is_some() || pauses.is_unavailable(name) {
            in_grace(&record, &self.due.times, now, &self.provider)?;
            return Ok(Revalidation::Valid(record));
        }
        let refreshed = self
            .provider
            .refresh(refresh_token, &record.identity, &self.extra)
            .await;
        match refreshed {
            Ok(refreshed) => {
                pauses.note_available(name);
                let unconfirmed = refreshed.unconfirmed;
                let last_validated = match &unconfirmed {
                    None => now,
                    Some(_) => record.last_validated,
                };
                let renewed = SessionRecord {
                    identity: refreshed.identity,
                    refresh_token: refreshed
                        .refresh_token
                        .or_else(|| record.refresh_token.clone()),
                    access_token: self.due.tokens.as_ref().and_then(|tokens| {
                        let issued = refreshed.access_token;
                        let issued = issued.map(|issued| access_token(issued, now));
                        let kept = issued.or_else(|| record.access_token.clone());
                        // Not to be asked for again with the next request.
                        let lacks = kept.is_none() && tokens.hand_on_access_tokens();
                        kept.or_else(|| lacks.then(|| AccessToken::absent(now)))
                    }),
                    id_token: refreshed.id_token.unwrap_or(record.id_token.clone()),
                    last_validated,
                    ..(*record).clone()
                };
                let saved = self.save(renewed).await?;
                match (saved, unconfirmed) {
                    (Revalidation::Valid(record), Some(error)) => {
                        pauses.note_doubt(&record.id, Doubt::Unclear).await;
                        self.goes_on_unconfirmed(record, &error)
                    }
                    (saved, None) => {
                        metrics::revalidated(name, Revalidated::Valid);
                        Ok(saved)
                    }
                    (saved, Some(_)) => Ok(saved),
                }
            }
            Err(RefreshError::Over(reason)) => {
                pauses.note_available(name);
                metrics::revalidated(name, Revalidated::Ended);
                tracing::info!(provider = name, reason, "the provider has ended a session");
                let which = SessionSelector::Id(record.id.clone());
                let ended = self
                    .revalidator
                    .revoker
                    .revoke(&which, &self.due.times)
                    .await?;
                let identity = &record.identity;
                audit::revoked(
                    "renewal_refused",
                    audit::Scope::Session(&record.id),
                    &identity.issuer,
                    Some(&identity.subject),
                    ended,
                );
                Ok(Revalidation::Ended)
            }
            // It says nothing of other sessions, which are asked about all the same.
            Err(RefreshError::NotThisOne(error)) => {
                pauses.note_available(name);
                pauses.note_doubt(&record.id, Doubt::Unclear).await;
                self.goes_on_unconfirmed(record, &error)
            }
            Err(RefreshError::Unexplained(error)) => {
                pauses.note_available(name);
                pauses.note_doubt(&record.id, Doubt::Refused).await;
                metrics::revalidated(name, Revalidated::Unanswered);
                tracing::warn!(
                    provider = name,
                    %error,
                    "a refresh token is refused without a reason: the browser asks the provider, \
                     with the next page load"
                );
                Ok(Revalidation::Refused)
            }
            Err(RefreshError::Away { error, retry_after }) => {
                pauses.note_unavailable(name, retry_after);
                self.goes_on_unconfirmed(record, &error)
            }
        }
    }

    /// Lets a session of which the provider says nothing go on for its grace.
    fn goes_on_unconfirmed(
        &self,
        record: Arc<SessionRecord>,
        error: &SignInError,
    ) -> Result<Revalidation, RevalidationError> {
        let name = self.provider.settings().name.as_str();
        metrics::revalidated(name, Revalidated::Unanswered);
        tracing::warn!(provider = name, %error, "a session could not be renewed");
        in_grace(&record, &self.due.times, self.now(), &self.provider)?;
        Ok(Revalidation::Valid(record))
    }

    /// Saves the provider's response. If the store is unreachable for longer than a request may
    /// wait, the response is saved when the store is back.
    async fn save(&self, renewed: SessionRecord) -> Result<Revalidation, RevalidationError> {
        let mut attempts = 0;
        loop {
            match self.revalidator.store.update(renewed.clone()).await {
                Ok(true) => return Ok(Revalidation::Valid(Arc::new(renewed))),
                // It was ended while the provider was asked.
                Ok(false) => return Ok(Revalidation::Ended),
                Err(error) if attempts >= SAVE_ATTEMPTS => {
                    let Revalidator { store, clock, .. } = &*self.revalidator;
                    let unsaved = &self.revalidator.unsaved;
                    unsaved.save_later(renewed, Arc::clone(store), clock.clone());
                    return Err(error.into());
                }
                Err(_) => {
                    attempts += 1;
                    tokio::time::sleep(LOOK_EVERY * attempts).await;
                }
            }
        }
    }
}
