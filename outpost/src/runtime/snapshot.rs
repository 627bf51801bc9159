//! One configuration at work.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use gatepost_session::Purpose;
use serde_json::Value;

use crate::application::{
    Application, ApplicationSettings, Applications, MachineIssuer, Providers,
};
use crate::client_certificate::CertificateHeader;
use crate::config::Config;
use crate::dialect::Askers;
use crate::export::state::StateFiles;
use crate::export::traefik;
use crate::http_client::HttpError;
use crate::machine_clients::MachineClients;
use crate::pages::Pages;
use crate::provider_client::ProviderClient;
use crate::rate_limit::Limits;
use crate::session_times::SessionTimes;
use crate::trusted_proxies::{TrustedProxies, UntrustedPeerWarning};
use gatepost_base::{Clock, SealingKeys};
use gatepost_oidc::{Provider, TokenIssuer};
use gatepost_store::{OpenStoreError, StoreKind};

/// One configuration at work. A changed configuration replaces it as a whole, so no request sees
/// two of them.
#[derive(Debug)]
pub struct Snapshot {
    /// The applications.
    pub applications: Applications,
    /// The state of machine clients, by the name of their application.
    machine_clients: HashMap<String, MachineClients>,
    /// The providers.
    pub providers: Vec<Arc<Provider>>,
    /// Where sessions are.
    pub store: StoreKind,
    /// The proxies whose forwarded headers count.
    pub trusted_proxies: TrustedProxies,
    /// The header in which they hand on the certificates of clients, if they do.
    pub certificate_header: Option<CertificateHeader>,
    /// The dialects of the proxies that ask.
    pub askers: Askers,
    /// Remembers that an untrusted peer sent forwarded headers, so that it is logged once.
    pub untrusted_peer_warning: UntrustedPeerWarning,
    /// How long sessions last.
    pub times: SessionTimes,
    /// Seals flow cookies.
    pub flow_keys: SealingKeys,
    /// Seals the requests and responses of operators.
    pub operator_keys: SealingKeys,
    /// The public keys with which applications verify assertions, if there are any.
    pub assertion_jwks: Option<Value>,
    /// The configuration for Traefik's HTTP provider, if it is served.
    pub traefik: Option<String>,
    /// The requests of clients, counted against their limits.
    pub limits: Arc<Limits>,
    /// The pages.
    pub pages: Pages,
    /// The file in which plugins read which sessions have been revoked, if any.
    pub revoked_file: Option<PathBuf>,
    /// What plugins read of this configuration, if there is a folder for it.
    pub state: Option<Arc<StateFiles>>,
}

/// Why a valid configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A provider's client cannot be set up.
    #[error("provider `{name}`: {source}")]
    Provider {
        /// The provider.
        name: String,
        /// Why not.
        source: HttpError,
    },
    /// The client of an issuer of machine clients' tokens cannot be set up.
    #[error("machineTokens.issuers: `{issuer}`: {source}")]
    Issuer {
        /// The issuer.
        issuer: String,
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

impl Snapshot {
    /// Puts a configuration to work. Providers whose settings are as in `previous` are taken over
    /// with their state, and so are the counts of an unchanged limit. `clock` decides which tokens of
    /// providers have expired.
    ///
    /// # Errors
    ///
    /// [`SetupError`].
    pub fn new(
        config: &Config,
        clock: &Clock,
        previous: Option<&Self>,
    ) -> Result<Self, SetupError> {
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
                    Some(known) => Ok::<_, SetupError>(Arc::clone(known)),
                    None => {
                        let client = ProviderClient::new(settings).map_err(|source| {
                            SetupError::Provider {
                                name: settings.name.clone(),
                                source,
                            }
                        })?;
                        let clock = clock.clone();
                        Ok(Provider::new(settings.clone(), Arc::new(client), clock))
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
                    .ok_or_else(|| SetupError::NoProvider(settings.audience.to_string()))?;
                let names = config.applications.iter().map(|other| &other.cookie_name);
                let application = Application::new(settings, &config.keys, own)
                    .with_device_bound(config.device_bound)
                    .with_assertion_keys(&config.assertion_keys);
                Ok(Arc::new(application.without_sessions_of_others(names)))
            })
            .collect::<Result<_, SetupError>>()?;
        let machine_clients = machine_clients(&applications, previous)?;
        let limits = previous
            .map(|previous| Arc::clone(&previous.limits))
            .filter(|limits| limits.settings() == config.rate_limit)
            .unwrap_or_else(|| Arc::new(Limits::new(config.rate_limit)));
        let takes_tokens = applications
            .iter()
            .filter(|a| a.machine_clients().is_some());
        let token_age = takes_tokens.map(|application| application.lifetime(&config.session));
        let times = SessionTimes {
            token_age: token_age.max().unwrap_or(0),
            ..config.session
        };
        if let Some(advice) = times.advice() {
            tracing::warn!("{advice}");
        }
        if let Some(advice) = config.trusted_proxies.advice() {
            tracing::warn!("{advice}");
        }
        Ok(Self {
            applications: Applications::new(applications, &config.unserved)
                .with_unknown(config.unknown_applications.as_deref()),
            machine_clients,
            providers,
            store: config.store.kind(),
            trusted_proxies: config.trusted_proxies.clone(),
            certificate_header: config.certificate_header.clone(),
            askers: config.askers.clone(),
            untrusted_peer_warning: UntrustedPeerWarning::default(),
            times,
            flow_keys: SealingKeys::new(&config.keys, Purpose::Flow),
            operator_keys: SealingKeys::new(&config.keys, Purpose::Operator),
            assertion_jwks: (!config.assertion_keys.is_empty())
                .then(|| config.assertion_keys.jwks()),
            traefik: config.traefik.as_ref().map(|settings| {
                traefik::dynamic_configuration(
                    &config.applications,
                    settings,
                    &config.brand,
                    config.device_bound,
                    &config.trusted_proxies,
                )
                .to_string()
            }),
            limits,
            pages: Pages::new(&config.brand).map_err(SetupError::Pages)?,
            revoked_file: config.revoked_file.clone(),
            state: config.state_dir.clone().map(|folder| {
                Arc::new(StateFiles::new(
                    folder,
                    &config.applications,
                    &config.keys,
                    |application| issuers(application, config),
                    &config.trusted_proxies,
                    config.unknown_applications.is_none(),
                ))
            }),
        })
    }

    /// Returns the state of an application's machine clients, if it accepts any.
    pub fn machine_clients(&self, application: &Application) -> Option<&MachineClients> {
        self.machine_clients.get(application.audience().as_str())
    }
}

/// Returns the issuers of an application's providers.
fn issuers<'c>(application: &ApplicationSettings, config: &'c Config) -> Vec<&'c str> {
    let own = config.providers.iter();
    let own = own.filter(|provider| application.providers.contains(&provider.name));
    own.map(|provider| provider.issuer.as_str()).collect()
}

/// Returns the state of the machine clients of these applications. It is taken over from `previous`
/// where the responses of the providers would be the same.
fn machine_clients(
    applications: &[Arc<Application>],
    previous: Option<&Snapshot>,
) -> Result<HashMap<String, MachineClients>, SetupError> {
    let mut all = HashMap::new();
    for application in applications {
        let Some(settings) = application.machine_clients() else {
            continue;
        };
        let before = previous.and_then(|previous| {
            let before = previous
                .applications
                .named(application.audience().as_str())?;
            Some((&**before, previous.machine_clients(before)?))
        });
        let known = before.map(|(_, clients)| clients);
        let issuers = settings.issuers.iter();
        let issuers = issuers.map(|issuer| token_issuer(issuer, known));
        let issuers = issuers.collect::<Result<_, _>>()?;
        let clients = MachineClients::new(settings.clone(), application, issuers, before)
            .ok_or(SetupError::NoRandomness)?;
        all.insert(application.audience().to_string(), clients);
    }
    Ok(all)
}

/// Returns an issuer of tokens. Where `known` has it with these settings, it is taken over with its
/// keys.
fn token_issuer(
    settings: &MachineIssuer,
    known: Option<&MachineClients>,
) -> Result<Arc<TokenIssuer>, SetupError> {
    if let Some(known) = known.and_then(|known| known.issuer_of(settings)) {
        return Ok(Arc::clone(known));
    }
    let MachineIssuer {
        tokens,
        authorities,
        token_file,
    } = settings;
    let url = tokens.keys.url();
    let client = ProviderClient::for_keys(&tokens.issuer, url, authorities, token_file.as_deref());
    let client = client.map_err(|source| SetupError::Issuer {
        issuer: tokens.issuer.clone(),
        source,
    })?;
    Ok(Arc::new(TokenIssuer::new(tokens.clone(), Arc::new(client))))
}
