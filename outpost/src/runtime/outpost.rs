//! The process: its parts that outlive a change of the configuration.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::refresh::Refresh;
use super::snapshot::{SetupError, Snapshot};
use super::state_folder::{StateFolder, Wanted};
use crate::config::Config;
use crate::machine_clients::{ApiKeys, FailedAttempts};
use crate::sessions::{RevokedFile, Revoker, Sessions};
use crate::sign_in_flow::long_targets::LongTargets;
use crate::store_observer::StoreObserver;
use gatepost_base::Clock;
use gatepost_base::files::Readable;
use gatepost_oidc::Provider;
use gatepost_store::{InstrumentedStore, Recovery, Store};

/// How often expired sessions are dropped from the store.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How long a start may wait for the folder of `stateDir`: a store that is away must not keep an outpost
/// from users who are signed in.
const FIRST_STATE_LIMIT: Duration = Duration::from_secs(2);

/// How often the store learns how API keys were used.
const WRITE_USAGE_EVERY: Duration = Duration::from_secs(5);

/// The running outpost.
#[derive(Debug)]
pub struct Outpost {
    snapshot: ArcSwap<Snapshot>,
    /// The store of sessions.
    pub store: Arc<dyn Store>,
    /// Issues, finds, renews and revokes sessions.
    pub sessions: Sessions,
    /// Keeps the targets of sign-ins that no cookie has room for.
    pub(crate) long_targets: LongTargets,
    /// Has the source of the configuration asked again.
    pub(crate) refresh: Arc<Refresh>,
    /// Counts invalid credentials of machine clients.
    pub(crate) failed_attempts: FailedAttempts,
    /// Checks API keys.
    pub api_keys: ApiKeys,
    /// Writes what plugins read.
    state_folder: Arc<StateFolder>,
    /// The clock.
    pub clock: Clock,
}

impl Outpost {
    /// Returns an outpost with this configuration, of which nothing runs yet.
    ///
    /// # Errors
    ///
    /// [`SetupError`].
    pub fn new(config: &Config, clock: Clock) -> Result<Arc<Self>, SetupError> {
        let recovery = Recovery {
            clock: clock.clone(),
            lifetime: config.session.lifetime,
        };
        let store = gatepost_store::open(&config.store, &config.keys, recovery)?;
        Self::with_store(config, clock, store)
    }

    /// Returns an outpost that keeps its sessions in `store`, whatever the configuration says.
    ///
    /// # Errors
    ///
    /// [`SetupError`].
    pub fn with_store(
        config: &Config,
        clock: Clock,
        store: Arc<dyn Store>,
    ) -> Result<Arc<Self>, SetupError> {
        let snapshot = ArcSwap::from_pointee(Snapshot::new(config, &clock, None)?);
        let store: Arc<dyn Store> =
            Arc::new(InstrumentedStore::new(store, StoreObserver::default()));
        Ok(Arc::new(Self {
            snapshot,
            sessions: Sessions::new(Arc::clone(&store), unique_name()?, clock.clone()),
            long_targets: LongTargets::default(),
            refresh: Arc::default(),
            failed_attempts: FailedAttempts::default(),
            api_keys: ApiKeys::new(Arc::clone(&store)),
            state_folder: Arc::default(),
            store,
            clock,
        }))
    }

    /// Returns the configuration that is in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Replaces the configuration.
    ///
    /// # Errors
    ///
    /// [`SetupError`], and then the previous one stays in force.
    pub fn reconfigure(&self, config: &Config) -> Result<(), SetupError> {
        let previous = self.snapshot();
        let next = Snapshot::new(config, &self.clock, Some(&previous))?;
        // Nothing from here on can fail. The store is first, so that it seals nothing with a key
        // that the new configuration no longer has.
        self.store.use_keys(&config.keys);
        self.snapshot.store(Arc::new(next));
        self.keep_providers_discovered(Some(&previous));
        Ok(())
    }

    /// Starts the background tasks: discovering providers, dropping expired sessions, following
    /// revocations, and writing what plugins read.
    pub fn start(self: &Arc<Self>) {
        self.keep_providers_discovered(None);
        let outpost = Arc::downgrade(self);
        let revoker = Arc::downgrade(self.sessions.revoker());
        let state_folder = Arc::clone(&self.state_folder);
        tokio::spawn(Revoker::follow(
            revoker,
            move || {
                outpost
                    .upgrade()
                    .map_or_else(Vec::new, |outpost| outpost.revoked_files())
            },
            move |path, is_written| state_folder.note_list(path, is_written),
        ));
        let outpost = Arc::downgrade(self);
        let state_folder = Arc::clone(&self.state_folder);
        let revoker = Arc::downgrade(self.sessions.revoker());
        tokio::spawn(state_folder.follow(
            self.clock.clone(),
            move || match outpost.upgrade() {
                Some(outpost) => match outpost.snapshot().state.clone() {
                    Some(files) => Wanted::Files(files),
                    None => Wanted::NoFolder,
                },
                None => Wanted::End,
            },
            move || {
                if let Some(revoker) = revoker.upgrade() {
                    revoker.look_at_files();
                }
            },
        ));
        let outpost = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(WRITE_USAGE_EVERY);
            loop {
                ticks.tick().await;
                let Some(outpost) = outpost.upgrade() else {
                    return;
                };
                outpost.api_keys.write_usage().await;
            }
        });
        let outpost = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP_EVERY);
            let mut advised = false;
            loop {
                ticks.tick().await;
                let Some(outpost) = outpost.upgrade() else {
                    return;
                };
                if !advised && let Ok(advice) = outpost.store.advice().await {
                    advised = true;
                    advice.inspect(|advice| tracing::warn!("{advice}"));
                }
                let idle = outpost.snapshot().times.idle;
                if let Err(error) = outpost.store.sweep(outpost.clock.now(), idle).await {
                    tracing::warn!(%error, "cannot drop ended sessions");
                }
            }
        });
    }

    /// Waits until plugins have the folder of `stateDir`, if there is one, for a short time at most: it
    /// is complete once the store has said which sessions were revoked.
    pub async fn first_state(&self) {
        // Without it, plugins go on with what the process before has written, or answer 503.
        let _ = tokio::time::timeout(FIRST_STATE_LIMIT, self.state_folder.settled()).await;
    }

    /// Returns why plugins do not have the configuration in force, where the folder of `stateDir`
    /// could not be written.
    pub(crate) fn state_problem(&self) -> Option<String> {
        self.state_folder.problem()
    }

    /// Returns the files in which plugins read which sessions were revoked.
    fn revoked_files(&self) -> Vec<RevokedFile> {
        let configured = self.snapshot().revoked_file.clone();
        let configured = configured.map(|path| RevokedFile {
            path,
            readable: Readable::ByAll,
        });
        let in_folder = self.state_folder.revoked_file().map(|path| RevokedFile {
            path,
            readable: Readable::ByGroup,
        });
        configured.into_iter().chain(in_folder).collect()
    }

    fn keep_providers_discovered(&self, previous: Option<&Snapshot>) {
        let known = |provider: &Arc<Provider>| {
            previous.is_some_and(|p| p.providers.iter().any(|known| Arc::ptr_eq(known, provider)))
        };
        for provider in self
            .snapshot()
            .providers
            .iter()
            .filter(|provider| !known(provider))
        {
            provider.keep_discovered();
        }
    }
}

/// Returns a name that no other process has.
fn unique_name() -> Result<Arc<str>, SetupError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| SetupError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(random).into())
}
