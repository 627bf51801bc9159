//! Revalidations under way: one for a session at a time, however many requests wait for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatepost_session::SessionId;
use tokio::sync::watch;

use super::revalidation::{Revalidation, RevalidationError};
use gatepost_oidc::{SignInError, Unavailable};
use gatepost_store::StoreUnavailable;

/// How long a request that can go on without the answer waits for the provider. The next request
/// gets the answer.
const SHORT_WAIT: Duration = Duration::from_secs(2);

/// How long a request waits for the answer of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as it takes: it cannot go on without.
    Long,
    /// A short while, also for another replica: it goes on, and lacks something.
    Short,
    /// A short while, and not for another replica: it lacks nothing.
    ShortHere,
}

impl Patience {
    /// Returns the patience of a request that goes on in its window while that is open.
    pub fn in_window(in_window: bool) -> Self {
        if in_window {
            Self::ShortHere
        } else {
            Self::Long
        }
    }
}

/// The revalidations under way, by session.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<SessionId, Flight>>);

/// A revalidation under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    begun: Instant,
    stage: watch::Receiver<Stage>,
}

/// The side of a flight that does the work.
#[derive(Debug)]
pub(super) struct Progress(watch::Sender<Stage>);

/// How far a revalidation is.
#[derive(Clone, Debug)]
enum Stage {
    /// This process asks.
    Here,
    /// Another replica asks, or died while it did.
    Elsewhere,
    /// It is done.
    Done(Result<Revalidation, Failed>),
}

/// Why nothing is known of a session, for all requests that wait for it.
#[derive(Clone, Debug)]
enum Failed {
    Store(StoreUnavailable),
    Provider,
}

impl From<RevalidationError> for Failed {
    fn from(error: RevalidationError) -> Self {
        match error {
            RevalidationError::Store(error) => Self::Store(error),
            RevalidationError::Provider(_) => Self::Provider,
        }
    }
}

impl From<Failed> for RevalidationError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(error) => Self::Store(error),
            Failed::Provider => Self::Provider(Unavailable.into()),
        }
    }
}

impl Flights {
    /// Returns the flight of a session, which `begin` begins if none is under way.
    pub(super) fn join(&self, id: &SessionId, begin: impl FnOnce(Progress)) -> Flight {
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
        begin(Progress(sender));
        flight
    }

    /// Ends the flight of a session with this outcome.
    pub(super) fn land(
        &self,
        id: &SessionId,
        progress: &Progress,
        outcome: Result<Revalidation, RevalidationError>,
    ) {
        self.flights().remove(id);
        // It fails where no request waits any more.
        let _ = progress.0.send(Stage::Done(outcome.map_err(Failed::from)));
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<SessionId, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Says that another replica asks.
    pub(super) fn note_elsewhere(&self) {
        self.0.send_replace(Stage::Elsewhere);
    }
}

impl Flight {
    /// Waits for the outcome.
    pub(super) async fn outcome(
        mut self,
        patience: Patience,
    ) -> Result<Revalidation, RevalidationError> {
        let is_enough = |stage: &Stage| match stage {
            Stage::Here => false,
            Stage::Elsewhere => patience == Patience::ShortHere,
            Stage::Done(_) => true,
        };
        let waited = self.stage.wait_for(is_enough);
        let stage = match patience {
            Patience::Long => waited.await,
            Patience::Short | Patience::ShortHere => {
                let until = (self.begun + SHORT_WAIT).into();
                match tokio::time::timeout_at(until, waited).await {
                    Ok(stage) => stage,
                    Err(_) => return Ok(Revalidation::Pending),
                }
            }
        };
        match stage.as_deref() {
            Ok(Stage::Done(outcome)) => Ok(outcome.clone()?),
            Ok(Stage::Here | Stage::Elsewhere) => Ok(Revalidation::Pending),
            // It has panicked.
            Err(_) => Err(SignInError::from(Unavailable).into()),
        }
    }
}
