//! Asking the provider whether a session still holds: once at a time, however many ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatepost_session::{NumericDate, SessionId};
use tokio::sync::watch;

use super::Endings;
use super::unkept::Unkept;
use crate::application::Application;
use crate::outpost::{Deployment, Outpost};
use crate::session_times::SessionTimes;
use crate::telemetry::audit;
use crate::telemetry::metrics::{self, Confirmed};
use gatepost_base::Clock;
use gatepost_base::contained::{Panicked, contained};
use gatepost_oidc::{Provider, RefreshError, SignInError, Unavailable};
use gatepost_store::{RenewalLock, SessionRecord, SessionSelector, Store, StoreUnavailable};

/// How long to wait for another replica that renews the same session, of whom the window is over.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait for the provider whose window is in force: whoever has one goes on in it, and
/// gets what came of the renewal with the next request.
const PATIENCE_IN_FORCE: Duration = Duration::from_secs(2);

/// How often to look whether another replica is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often to hold on to the right to renew while the provider is asked.
const HOLD_EVERY: Duration = Duration::from_secs(2);

/// For how long a provider that did not answer is not asked again for a renewal, unless it names a
/// time: while it is away, nobody waits for it but one. So is a session left alone of which it says
/// nothing.
const AWAY_FOR: Duration = Duration::from_secs(10);

/// The longest time that a provider may name.
const MAX_AWAY_FOR: Duration = Duration::from_secs(300);

/// How many sessions are remembered of which nothing could be learnt; beyond it, those whose time
/// is over are forgotten.
const MANY: usize = 1_000;

/// How often to try to keep a rotated refresh token while requests wait: without it, the session
/// cannot be renewed again.
const KEEP_ATTEMPTS: u32 = 20;

/// What the provider says of a session.
#[derive(Clone, Debug)]
pub enum Confirmation {
    /// It holds; this is what is known of it now.
    Holds(Arc<SessionRecord>),
    /// It is over, and has been ended here.
    Over,
    /// Nobody but the browser can ask: there is no refresh token.
    OnlyByBrowser,
    /// Not known yet: who has a window in force is not to wait for it.
    Later,
}

/// Why nothing can be said of a session.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The provider has been away for longer than sessions may go on without it.
    #[error(transparent)]
    Provider(#[from] SignInError),
}

/// The renewals of this process.
#[derive(Debug)]
pub struct Renewals {
    /// What the process is called among those that renew.
    holder: Arc<str>,
    flights: Mutex<HashMap<SessionId, Flight>>,
    /// By name: until when a provider is not asked that did not answer.
    away: Mutex<HashMap<String, Instant>>,
    /// Until when sessions are not asked about of which nothing could be learnt.
    unclear: Mutex<HashMap<SessionId, Instant>>,
    /// What providers said and the store could not keep.
    unkept: Arc<Unkept>,
}

/// A renewal under way.
#[derive(Clone, Debug)]
struct Flight {
    begun: Instant,
    stage: watch::Receiver<Stage>,
}

/// How far a renewal is.
#[derive(Clone, Debug)]
enum Stage {
    /// This process is at it.
    Here,
    /// Another replica is at it, or died over it.
    Elsewhere,
    /// It is done.
    Done(Result<Confirmation, Failed>),
}

/// Why nothing can be said of a session, for all who wait for it.
#[derive(Clone, Debug)]
enum Failed {
    Store(StoreUnavailable),
    Provider,
}

impl From<ConfirmError> for Failed {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::Store(error) => Self::Store(error),
            ConfirmError::Provider(_) => Self::Provider,
        }
    }
}

impl From<Failed> for ConfirmError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(error) => Self::Store(error),
            Failed::Provider => Self::Provider(Unavailable.into()),
        }
    }
}

impl Renewals {
    /// The renewals of a process of this name, which no other has.
    pub fn new(holder: Arc<str>) -> Self {
        Self {
            holder,
            flights: Mutex::default(),
            away: Mutex::default(),
            unclear: Mutex::default(),
            unkept: Arc::default(),
        }
    }

    /// The renewal of a session that is under way, which `begin` begins where there is none.
    fn flight(
        self: &Arc<Self>,
        id: &SessionId,
        begin: impl FnOnce(watch::Sender<Stage>),
    ) -> Flight {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(id) {
            return flight.clone();
        }
        let (sender, stage) = watch::channel(Stage::Here);
        let flight = Flight {
            begun: Instant::now(),
            stage,
        };
        flights.insert(id.clone(), flight.clone());
        begin(sender);
        flight
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<SessionId, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_away(&self, provider: &str) -> bool {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.get(provider)
            .is_some_and(|until| Instant::now() < *until)
    }

    fn answers(&self, provider: &str) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.remove(provider);
    }

    /// Notes that a provider is to be left alone, by its own word for `retry_after`.
    fn does_not_answer(&self, provider: &str, retry_after: Option<Duration>) {
        let pause = retry_after.map_or(AWAY_FOR, |own| own.clamp(AWAY_FOR, MAX_AWAY_FOR));
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.insert(provider.to_owned(), Instant::now() + pause);
    }

    fn is_unclear(&self, id: &SessionId) -> bool {
        let unclear = self.unclear.lock().unwrap_or_else(PoisonError::into_inner);
        unclear.get(id).is_some_and(|until| Instant::now() < *until)
    }

    fn note_unclear(&self, id: &SessionId) {
        let now = Instant::now();
        let mut unclear = self.unclear.lock().unwrap_or_else(PoisonError::into_inner);
        if unclear.len() >= MANY {
            unclear.retain(|_, until| now < *until);
        }
        unclear.insert(id.clone(), now + AWAY_FOR);
    }
}

impl Outpost {
    /// Asks the provider whether a session still holds, if it has not been asked for a while.
    ///
    /// One at a time asks for a session, in all replicas, and the others get what came of it. Who
    /// has a window in force (`in_force`) does not wait for another replica, nor long for the
    /// provider. While the provider is away the session goes on for its grace.
    ///
    /// # Errors
    ///
    /// [`ConfirmError`], and then nothing is known.
    pub async fn confirm(
        &self,
        deployment: &Deployment,
        application: &Application,
        record: Arc<SessionRecord>,
        in_force: bool,
    ) -> Result<Confirmation, ConfirmError> {
        let times = deployment.times;
        if !is_due(&record, &times, self.clock.now()) {
            return Ok(Confirmation::Holds(record));
        }
        if record.refresh_token.is_none() {
            return Ok(Confirmation::OnlyByBrowser);
        }
        let Some(provider) = application.providers.of_issuer(&record.identity.issuer) else {
            return Ok(Confirmation::Over);
        };
        let confirming = Confirming {
            store: Arc::clone(&self.store),
            endings: Arc::clone(&self.endings),
            renewals: Arc::clone(&self.renewals),
            clock: self.clock.clone(),
            provider: Arc::clone(provider),
            extra: application.headers.claims().map(str::to_owned).collect(),
            times,
        };
        let id = record.id.clone();
        let flight = self.renewals.flight(&id, |stage| {
            let id = id.clone();
            let renewals = Arc::clone(&self.renewals);
            // On its own, so that it is finished even when the browser goes away: the provider has
            // then taken the old refresh token back, and the new one must be kept.
            tokio::spawn(async move {
                let outcome = contained(confirming.run(Arc::clone(&record), &stage)).await;
                let outcome =
                    outcome.unwrap_or_else(|Panicked| Err(SignInError::from(Unavailable).into()));
                renewals.flights().remove(&id);
                // Nobody may wait any more.
                let _ = stage.send(Stage::Done(outcome.map_err(Failed::from)));
            });
        });
        flight.outcome(in_force).await
    }

    /// Whether a browser that is sent to `provider`, which is the session's, finds somebody there.
    /// Where it does not, the session goes on for its grace.
    ///
    /// # Errors
    ///
    /// [`ConfirmError::Provider`] when the grace is over too.
    pub async fn browser_can_ask(
        &self,
        deployment: &Deployment,
        provider: &Provider,
        record: &SessionRecord,
    ) -> Result<bool, ConfirmError> {
        let name = provider.settings().name.as_str();
        if !self.renewals.is_away(name) {
            let answers = provider.answers().await;
            if answers {
                self.renewals.answers(name);
                return Ok(true);
            }
            self.renewals.does_not_answer(name, None);
        }
        in_grace(record, &deployment.times, self.clock.now(), provider)?;
        Ok(false)
    }
}

impl Flight {
    async fn outcome(mut self, in_force: bool) -> Result<Confirmation, ConfirmError> {
        let is_enough = |stage: &Stage| match stage {
            Stage::Here => false,
            Stage::Elsewhere => in_force,
            Stage::Done(_) => true,
        };
        let waited = self.stage.wait_for(is_enough);
        let stage = if in_force {
            let until = (self.begun + PATIENCE_IN_FORCE).into();
            match tokio::time::timeout_at(until, waited).await {
                Ok(stage) => stage,
                Err(_) => return Ok(Confirmation::Later),
            }
        } else {
            waited.await
        };
        match stage.as_deref() {
            Ok(Stage::Done(outcome)) => Ok(outcome.clone()?),
            Ok(Stage::Here | Stage::Elsewhere) => Ok(Confirmation::Later),
            // It has panicked.
            Err(_) => Err(SignInError::from(Unavailable).into()),
        }
    }
}

fn is_due(record: &SessionRecord, times: &SessionTimes, now: NumericDate) -> bool {
    now >= record.last_validated.plus_seconds(times.refresh_after)
}

/// Whether a session may go on although its provider does not answer.
fn in_grace(
    record: &SessionRecord,
    times: &SessionTimes,
    now: NumericDate,
    provider: &Provider,
) -> Result<(), ConfirmError> {
    let asked_in_vain_since = record.last_validated.plus_seconds(times.refresh_after);
    let until = asked_in_vain_since.plus_seconds(times.grace);
    let provider = provider.settings().name.as_str();
    if now < until {
        metrics::confirmed(provider, Confirmed::Unasked);
        tracing::warn!(
            provider,
            last_validated = record.last_validated.as_seconds(),
            "the provider is away: a session goes on unasked"
        );
        Ok(())
    } else {
        Err(SignInError::from(Unavailable).into())
    }
}

/// All that asking takes, apart from the request that caused it.
struct Confirming {
    store: Arc<dyn Store>,
    endings: Arc<Endings>,
    renewals: Arc<Renewals>,
    clock: Clock,
    provider: Arc<Provider>,
    extra: Vec<String>,
    times: SessionTimes,
}

impl Confirming {
    async fn run(
        self,
        record: Arc<SessionRecord>,
        stage: &watch::Sender<Stage>,
    ) -> Result<Confirmation, ConfirmError> {
        let lock = RenewalLock {
            id: record.id.clone(),
            holder: Arc::clone(&self.renewals.holder),
        };
        let begun = Instant::now();
        loop {
            let locked = self.store.lock_renewal(&lock).await?;
            if locked {
                let outcome = self.ask_alone(&lock).await;
                if let Err(error) = self.store.unlock_renewal(&lock).await {
                    // It runs out by itself.
                    tracing::warn!(%error, "cannot give a renewal's lock back");
                }
                return outcome;
            }
            stage.send_replace(Stage::Elsewhere);
            let Some(current) = self.store.find(&lock.id).await? else {
                return Ok(Confirmation::Over);
            };
            if !is_due(&current, &self.times, self.clock.now()) {
                return Ok(Confirmation::Holds(current));
            }
            if begun.elapsed() > PATIENCE {
                in_grace(&current, &self.times, self.clock.now(), &self.provider)?;
                return Ok(Confirmation::Holds(current));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks with the lock in hand, and holds on to it.
    async fn ask_alone(&self, lock: &RenewalLock) -> Result<Confirmation, ConfirmError> {
        let unkept = &self.renewals.unkept;
        unkept.settle(&lock.id, &*self.store).await?;
        // Read only now: whoever had the lock before may have done all of it.
        let Some(current) = self.store.find(&lock.id).await? else {
            return Ok(Confirmation::Over);
        };
        let hold = async {
            loop {
                tokio::time::sleep(HOLD_EVERY).await;
                if let Err(error) = self.store.lock_renewal(lock).await {
                    tracing::warn!(%error, "cannot hold on to a renewal's lock");
                }
            }
        };
        tokio::select! {
            outcome = self.ask(current) => outcome,
            () = hold => Err(SignInError::from(Unavailable).into()),
        }
    }

    async fn ask(&self, record: Arc<SessionRecord>) -> Result<Confirmation, ConfirmError> {
        let now = self.clock.now();
        if !is_due(&record, &self.times, now) {
            return Ok(Confirmation::Holds(record));
        }
        let Some(refresh_token) = &record.refresh_token else {
            return Ok(Confirmation::OnlyByBrowser);
        };
        let name = self.provider.settings().name.as_str();
        if self.renewals.is_away(name) || self.renewals.is_unclear(&record.id) {
            in_grace(&record, &self.times, now, &self.provider)?;
            return Ok(Confirmation::Holds(record));
        }
        let refreshed = self
            .provider
            .refresh(refresh_token, &record.identity, &self.extra)
            .await;
        match refreshed {
            Ok(refreshed) => {
                self.renewals.answers(name);
                metrics::confirmed(name, Confirmed::Holds);
                let renewed = SessionRecord {
                    identity: refreshed.identity,
                    refresh_token: refreshed
                        .refresh_token
                        .or_else(|| record.refresh_token.clone()),
                    id_token: refreshed.id_token.unwrap_or(record.id_token.clone()),
                    last_validated: now,
                    ..(*record).clone()
                };
                self.keep(renewed).await
            }
            Err(RefreshError::Over(reason)) => {
                self.renewals.answers(name);
                metrics::confirmed(name, Confirmed::Over);
                tracing::info!(provider = name, reason, "the provider has ended a session");
                let which = SessionSelector::Id(record.id.clone());
                let ended = self.endings.end(&which, &self.times).await?;
                let identity = &record.identity;
                audit::revoked(
                    "renewal_refused",
                    &identity.issuer,
                    Some(&identity.subject),
                    ended,
                );
                Ok(Confirmation::Over)
            }
            // Says nothing of anybody else's session, so that theirs are asked about all the same.
            Err(RefreshError::NotThisOne(error)) => {
                self.renewals.answers(name);
                self.renewals.note_unclear(&record.id);
                self.goes_on_unconfirmed(record, &error)
            }
            Err(RefreshError::Away { error, retry_after }) => {
                self.renewals.does_not_answer(name, retry_after);
                self.goes_on_unconfirmed(record, &error)
            }
        }
    }

    /// Lets a session of which nothing could be learnt go on for its grace.
    fn goes_on_unconfirmed(
        &self,
        record: Arc<SessionRecord>,
        error: &SignInError,
    ) -> Result<Confirmation, ConfirmError> {
        let name = self.provider.settings().name.as_str();
        metrics::confirmed(name, Confirmed::Unanswered);
        tracing::warn!(provider = name, %error, "a session could not be renewed");
        in_grace(&record, &self.times, self.clock.now(), &self.provider)?;
        Ok(Confirmation::Holds(record))
    }

    /// Keeps what the provider said. Where the store is away for longer than requests are to wait,
    /// that is done when it is back.
    async fn keep(&self, renewed: SessionRecord) -> Result<Confirmation, ConfirmError> {
        let mut attempts = 0;
        loop {
            match self.store.update(renewed.clone()).await {
                Ok(true) => return Ok(Confirmation::Holds(Arc::new(renewed))),
                // It was ended while the provider was asked.
                Ok(false) => return Ok(Confirmation::Over),
                Err(error) if attempts >= KEEP_ATTEMPTS => {
                    let (store, clock) = (Arc::clone(&self.store), self.clock.clone());
                    self.renewals.unkept.keep_later(renewed, store, clock);
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
