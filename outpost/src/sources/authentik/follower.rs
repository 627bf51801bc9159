//! Following authentik: its configuration is put in force when it changes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use gatepost_base::contained::{contained, contained_blocking};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::api::{Api, Snapshot};
use super::cache::Cache;
use super::configured::{StartError, configured};
use super::ending;
use super::log_limit::LogLimit;
use super::reasons::{AskingSignals, Reasons};
use super::settings::Settings;
use super::socket::{self, Listeners, Update};
use crate::config::Config;
use crate::runtime::{Outpost, Refresh};
use crate::service_manager;
use gatepost_store::StoreKind;

/// The pause between two attempts to reach authentik.
const RETRY: Duration = Duration::from_secs(3);

/// How long an outpost waits at most before it asks for changes after authentik's notice: authentik
/// notifies all replicas at the same time.
const SPREAD_MILLIS: u64 = 2_000;

/// Keeps an outpost's configuration equal to authentik's.
#[derive(Debug)]
pub struct Follower {
    settings: Settings,
    api: Arc<Api>,
    cache: Option<Cache>,
    in_force: Option<Snapshot>,
    last_problems: Vec<String>,
    last_failure: Option<String>,
}

impl Follower {
    /// Creates a follower that has not asked authentik yet.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn new(settings: Settings) -> Result<Self, StartError> {
        let api = Arc::new(Api::new(&settings)?);
        let base = settings.base_config()?;
        Ok(Self {
            cache: Cache::next_to_store(&base),
            settings,
            api,
            in_force: None,
            last_problems: Vec::new(),
            last_failure: None,
        })
    }

    /// Returns the configuration to start with: authentik's last answer, or no application while the
    /// applications are not known.
    ///
    /// # Errors
    ///
    /// [`StartError::Config`].
    pub fn first_config(&mut self) -> Result<Config, StartError> {
        match self.cache.as_ref().and_then(Cache::read) {
            Some(snapshot) => {
                let (config, _) = configured(&self.settings, &snapshot)?;
                self.in_force = Some(snapshot);
                Ok(config)
            }
            None => Ok(Config {
                unknown_applications: Some("authentik has not answered yet".to_owned()),
                ..self.settings.base_config()?
            }),
        }
    }

    /// Follows authentik in the background for as long as there is an outpost.
    pub fn start(self, outpost: &Arc<Outpost>, signals: AskingSignals) {
        for variable in self.settings.unknown() {
            tracing::warn!("{variable}");
        }
        if self.in_force.is_some() {
            tracing::info!("started with what authentik said last");
        }
        if outpost.snapshot().store == StoreKind::Memory {
            tracing::info!(
                "sessions are in the memory of this process: several replicas need one store, by \
                 `GATEPOST_STORE_KIND=redis` and `GATEPOST_STORE_URL`, or by `AUTHENTIK_REDIS__HOST`"
            );
        }
        let refresh = Arc::clone(&outpost.refresh);
        tokio::spawn(self.follow(Arc::downgrade(outpost), refresh, signals));
    }

    /// Logs each problem once, and again only after it was gone.
    fn report(&mut self, problems: Vec<String>) {
        for problem in &problems {
            if !self.last_problems.contains(problem) {
                tracing::warn!(problem, "authentik's configuration");
            }
        }
        self.last_problems = problems;
    }

    async fn follow(
        mut self,
        outpost: Weak<Outpost>,
        refresh: Arc<Refresh>,
        signals: AskingSignals,
    ) {
        let (ended, sessions) = mpsc::unbounded_channel();
        let (updates, update_receiver) = mpsc::channel(1);
        let listeners = Listeners { updates, ended };
        let known = self.in_force.as_ref().and_then(Snapshot::outpost_id);
        let (outpost_id, followed) = watch::channel(known);
        // Dropped with this, and so ended.
        let mut tasks = JoinSet::new();
        tasks.spawn(ending::end_sessions(outpost.clone(), sessions));
        tasks.spawn(keep_socket(Arc::clone(&self.api), followed, listeners));
        let mut failures = LogLimit::default();
        let mut reasons = Reasons::new(update_receiver, signals, Arc::clone(&refresh));
        while let Some(alive) = outpost.upgrade() {
            let asked = contained(self.api.snapshot()).await;
            let pause = match asked.unwrap_or_else(|panicked| Err(panicked.into())) {
                Ok(snapshot) => {
                    if failures.recovered() {
                        tracing::info!("authentik is back");
                    }
                    let pause = snapshot.refresh_interval();
                    outpost_id.send_if_modified(|id| {
                        let new = snapshot.outpost_id();
                        std::mem::replace(id, new.clone()) != new
                    });
                    // What cannot be put in force now may be when a file of ours is whole again.
                    if self.put_in_force(snapshot, &alive) {
                        pause
                    } else {
                        RETRY
                    }
                }
                Err(error) => {
                    if let Some(left_out) = failures.failed(Instant::now()) {
                        tracing::warn!(
                            %error,
                            left_out,
                            "{}",
                            match self.in_force {
                                Some(_) => "cannot ask authentik: its last answer stays in force",
                                None => "cannot ask authentik, which has never answered: \
                                         every request is refused until it does",
                            },
                        );
                    }
                    RETRY
                }
            };
            drop(alive);
            refresh.answered();
            reasons.reload_ended();
            if reasons.next(Instant::now() + pause).await == Update::Soon {
                tokio::time::sleep(spread()).await;
            }
        }
    }

    /// Puts authentik's response in force unless it is the same as before, and returns whether it
    /// is in force.
    fn put_in_force(&mut self, snapshot: Snapshot, outpost: &Outpost) -> bool {
        contained_blocking(|| self.put(snapshot, outpost)).unwrap_or_else(|panicked| {
            self.stays(&panicked);
            false
        })
    }

    fn put(&mut self, snapshot: Snapshot, outpost: &Outpost) -> bool {
        let snapshot = match &self.in_force {
            Some(before) => snapshot.after(before),
            None => snapshot,
        };
        if self.in_force.as_ref() == Some(&snapshot) {
            return true;
        }
        let (config, problems) = match configured(&self.settings, &snapshot) {
            Ok(configured) => configured,
            Err(error) => {
                self.stays(&error);
                return false;
            }
        };
        let deployed = outpost.reconfigure(&config);
        // Who reads of a problem may rely on its consequences: what is left out is refused by now.
        self.report(problems);
        match deployed {
            Ok(()) => {
                let names: Vec<&str> = config
                    .applications
                    .iter()
                    .map(|application| application.audience.as_str())
                    .collect();
                tracing::info!(applications = names.join(" "), "as authentik says");
                if let Some(cache) = &self.cache {
                    cache.write(&snapshot);
                }
                self.in_force = Some(snapshot);
                if self.last_failure.take().is_some() {
                    service_manager::status("");
                }
                true
            }
            Err(error) => {
                self.stays(&error);
                false
            }
        }
    }

    /// Says why what authentik says is not in force, once for as long as it is so.
    fn stays(&mut self, error: &dyn std::error::Error) {
        let failure = Some(error.to_string());
        if self.last_failure != failure {
            tracing::error!(%error, "the configuration before stays");
            service_manager::status(&format!("the configuration before stays: {error}"));
        }
        self.last_failure = failure;
    }
}

/// Keeps the WebSocket, and begins again should what authentik says cause a panic.
async fn keep_socket(
    api: Arc<Api>,
    outpost_id: watch::Receiver<Option<String>>,
    listeners: Listeners,
) {
    while !listeners.ended.is_closed() {
        let (api, listeners) = (Arc::clone(&api), listeners.clone());
        if contained(socket::keep(api, outpost_id.clone(), listeners))
            .await
            .is_ok()
        {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn spread() -> Duration {
    let random = getrandom::u64().unwrap_or_default();
    Duration::from_millis(random.checked_rem(SPREAD_MILLIS).unwrap_or_default())
}
