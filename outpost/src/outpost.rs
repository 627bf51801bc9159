//! The running outpost: what its configuration became, and what outlives a change of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::Purpose;

use crate::application::Applications;
use crate::application::{Application, Providers};
use crate::config::Config;
use crate::export::traefik;
use crate::http_client::HttpError;
use crate::machine_clients::{FailedAttempts, MachineClients};
use crate::pages::Pages;
use crate::provider_client::ProviderClient;
use crate::rate_limit::Limits;
use crate::session_times::SessionTimes;
use crate::sessions::{Revoker, Sessions};
use crate::store_observer::StoreObserver;
use crate::trusted_proxies::{TrustedProxies, UntrustedPeerWarning};
use gatepost_base::{Clock, SealingKeys};
use gatepost_oidc::Provider;
use gatepost_store::{InstrumentedStore, OpenStoreError, Recovery, Store};

/// How often ended sessions are dropped from the store.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Everything that follows from a configuration. Replaced as a whole when that changes, so one
/// request never sees two of them.
#[derive(Debug)]
pub struct Deployment {
    /// The applications.
    pub applications: Applications,
    /// By the name of their application: what is known of machine clients.
    machine_clients: HashMap<String, MachineClients>,
    /// The providers.
    pub providers: Vec<Arc<Provider>>,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether somebody else's came.
    pub untrusted_peer_warning: UntrustedPeerWarning,
    /// How long sessions last.
    pub times: SessionTimes,
    /// Seals flow cookies.
    pub flow_keys: SealingKeys,
    /// Seals what operators ask and are answered.
    pub operator_keys: SealingKeys,
    /// What Traefik's HTTP provider is served, if anything.
    pub traefik: Option<String>,
    /// What clients have used of their limits.
    pub limits: Arc<Limits>,
    /// What people see.
    pub pages: Pages,
    /// Where plugins read what was ended, if anywhere.
    pub revoked_file: Option<PathBuf>,
}

/// Why a checked configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A provider's client cannot be set up.
    #[error("provider `{name}`: {source}")]
    Provider {
        /// The provider.
        name: String,
        /// Why not.
        source: HttpError,
    },
    /// An application has no provider, which reading the configuration rules out.
    #[error("application `{0}` has no provider")]
    NoProvider(String),
    /// The store cannot be opened.
    #[error("store.path: {0}")]
    Store(#[from] OpenStoreError),
    /// The operating system has no randomness.
    #[error("the operating system has no randomness")]
    NoRandomness,
    /// A template of the pages is wrong, which reading the configuration rules out.
    #[error("the pages cannot be rendered: {0}")]
    Pages(#[source] minijinja::Error),
}

impl Deployment {
    /// Puts a configuration to work. Providers whose settings are as in `previous` are taken over
    /// with what is known of them, and so is what clients have used of an unchanged limit.
    ///
    /// # Errors
    ///
    /// [`DeployError`].
    pub fn new(config: &Config, previous: Option<&Self>) -> Result<Self, DeployError> {
        let providers = config
            .providers
            .iter()
            .map(|settings| {
                let known = previous.and_then(|previous| {
                    previous
                        .providers
                        .iter()
                        .find(|known| known.settings() == settings)
                });
                match known {
                    Some(known) => Ok::<_, DeployError>(Arc::clone(known)),
                    None => {
                        let client = ProviderClient::new(settings).map_err(|source| {
                            DeployError::Provider {
                                name: settings.name.clone(),
                                source,
                            }
                        })?;
                        Ok(Provider::new(settings.clone(), Arc::new(client)))
                    }
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        let applications: Vec<Arc<Application>> = config
            .applications
            .iter()
            .map(|settings| {
                let named = |name: &String| {
                    let mut all = providers.iter();
                    all.find(|known| known.settings().name == *name).cloned()
                };
                let own = Providers::new(settings.providers.iter().filter_map(named))
                    .ok_or_else(|| DeployError::NoProvider(settings.audience.to_string()))?;
                let names = config.applications.iter().map(|other| &other.cookie_name);
                let application = Application::new(settings, &config.keys, own);
                Ok(Arc::new(application.beside(names)))
            })
            .collect::<Result<_, DeployError>>()?;
        let machine_clients = machine_clients(&applications, previous)?;
        let limits = previous
            .map(|previous| Arc::clone(&previous.limits))
            .filter(|limits| limits.settings() == config.rate_limit)
            .unwrap_or_else(|| Arc::new(Limits::new(config.rate_limit)));
        let takes_tokens = applications.iter().filter(|a| a.machine_clients.is_some());
        let token_age = takes_tokens.map(|application| application.lifetime(&config.session));
        let times = SessionTimes {
            token_age: token_age.max().unwrap_or(0),
            ..config.session
        };
        Ok(Self {
            applications: Applications::new(applications, &config.unserved),
            machine_clients,
            providers,
            trusted_proxies: config.trusted_proxies.clone(),
            untrusted_peer_warning: UntrustedPeerWarning::default(),
            times,
            flow_keys: SealingKeys::new(&config.keys, Purpose::Flow),
            operator_keys: SealingKeys::new(&config.keys, Purpose::Store),
            traefik: config.traefik.as_ref().map(|settings| {
                traefik::dynamic_configuration(&config.applications, settings).to_string()
            }),
            limits,
            pages: Pages::new(&config.brand).map_err(DeployError::Pages)?,
            revoked_file: config.revoked_file.clone(),
        })
    }

    /// Returns what is known of an application's machine clients, where it lets them in.
    pub fn machine_clients(&self, application: &Application) -> Option<&MachineClients> {
        self.machine_clients.get(application.audience.as_str())
    }
}

/// Returns what is known of the machine clients of these applications. It is taken over from
/// `previous` where the answers of the providers would be the same.
fn machine_clients(
    applications: &[Arc<Application>],
    previous: Option<&Deployment>,
) -> Result<HashMap<String, MachineClients>, DeployError> {
    let mut all = HashMap::new();
    for application in applications {
        let Some(settings) = &application.machine_clients else {
            continue;
        };
        let before = previous.and_then(|previous| {
            let before = previous.applications.named(application.audience.as_str())?;
            Some((&**before, previous.machine_clients(before)?))
        });
        let clients = MachineClients::new(settings.clone(), application, before)
            .ok_or(DeployError::NoRandomness)?;
        all.insert(application.audience.to_string(), clients);
    }
    Ok(all)
}

/// A name that no other process has.
fn unique_name() -> Result<Arc<str>, DeployError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| DeployError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(random).into())
}

/// The running outpost.
#[derive(Debug)]
pub struct Outpost {
    deployment: ArcSwap<Deployment>,
    /// Where sessions are kept.
    pub store: Arc<dyn Store>,
    /// Issues, finds, renews and revokes sessions.
    pub sessions: Sessions,
    /// Counts invalid credentials of machine clients.
    pub(crate) failed_attempts: FailedAttempts,
    /// Tells the time.
    pub clock: Clock,
}

impl Outpost {
    /// An outpost of this configuration, with nothing running yet.
    ///
    /// # Errors
    ///
    /// [`DeployError`].
    pub fn new(config: &Config, clock: Clock) -> Result<Arc<Self>, DeployError> {
        let recovery = Recovery {
            clock: clock.clone(),
            lifetime: config.session.lifetime,
        };
        let store = gatepost_store::open(&config.store, &config.keys, recovery)?;
        Self::with_store(config, clock, store)
    }

    /// An outpost that keeps its sessions in `store`, whatever the configuration says of that.
    ///
    /// # Errors
    ///
    /// [`DeployError`].
    pub fn with_store(
        config: &Config,
        clock: Clock,
        store: Arc<dyn Store>,
    ) -> Result<Arc<Self>, DeployError> {
        let deployment = ArcSwap::from_pointee(Deployment::new(config, None)?);
        let store: Arc<dyn Store> =
            Arc::new(InstrumentedStore::new(store, StoreObserver::default()));
        Ok(Arc::new(Self {
            deployment,
            sessions: Sessions::new(Arc::clone(&store), unique_name()?, clock.clone()),
            failed_attempts: FailedAttempts::default(),
            store,
            clock,
        }))
    }

    /// What the configuration became, as it is now.
    pub fn deployment(&self) -> Arc<Deployment> {
        self.deployment.load_full()
    }

    /// Puts another configuration in place of the one before.
    ///
    /// # Errors
    ///
    /// [`DeployError`], and then the one before stays.
    pub fn redeploy(&self, config: &Config) -> Result<(), DeployError> {
        let previous = self.deployment();
        let next = Deployment::new(config, Some(&previous))?;
        // Nothing from here on can fail. The store is first, so that it seals nothing by a key that
        // what comes next no longer has.
        self.store.use_keys(&config.keys);
        self.deployment.store(Arc::new(next));
        self.keep_providers_discovered(Some(&previous));
        Ok(())
    }

    /// Starts what runs in the background: finding providers, dropping ended sessions.
    pub fn start(self: &Arc<Self>) {
        self.keep_providers_discovered(None);
        let outpost = Arc::downgrade(self);
        let revoker = Arc::downgrade(self.sessions.revoker());
        tokio::spawn(Revoker::follow(revoker, move || {
            outpost.upgrade()?.deployment().revoked_file.clone()
        }));
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
                let idle = outpost.deployment().times.idle;
                if let Err(error) = outpost.store.sweep(outpost.clock.now(), idle).await {
                    tracing::warn!(%error, "cannot drop ended sessions");
                }
            }
        });
    }

    fn keep_providers_discovered(&self, previous: Option<&Deployment>) {
        let known = |provider: &Arc<Provider>| {
            previous.is_some_and(|p| p.providers.iter().any(|known| Arc::ptr_eq(known, provider)))
        };
        for provider in self
            .deployment()
            .providers
            .iter()
            .filter(|provider| !known(provider))
        {
            provider.keep_discovered();
        }
    }
}
