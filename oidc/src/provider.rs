//! A provider, and keeping its metadata current.
//!
//! A task in the background discovers the provider and repeats that for as long as the provider
//! is in use. Until it has succeeded once, the operations return [`Unavailable`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use gatepost_base::Clock;
use gatepost_base::contained::contained;
use openidconnect::ClientSecret;
use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::algorithm;
use crate::discovery::{self, DiscoveryError};
use crate::http_client::{Http, HttpClient, Watched};
use crate::key_set::KeySet;
use crate::metadata::Metadata;
use crate::settings::{ClientAuthentication, ProviderSettings, TENANT};
use crate::static_metadata;

/// After how long the metadata is fetched again.
pub(crate) const REFRESH_AFTER: Duration = Duration::from_secs(3_600);
/// How long metadata is used at most while it cannot be fetched again.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
/// The longest pause between two attempts to discover a provider that is unavailable.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// After how long a user must have seen a page of the provider.
const SHOWS_A_PAGE: Duration = Duration::from_secs(10);

/// What the log says where a provider's metadata is missing.
const UNUSABLE: &str = "provider cannot be used: sign-ins wait until it can";

/// How often the keys are fetched again at most, whatever key ids turn up.
pub(crate) const KEYS_REFETCH_AFTER: Duration = Duration::from_secs(30);

/// An OpenID provider, and the client that the relying party is there.
#[derive(Debug)]
pub struct Provider {
    pub(crate) settings: ProviderSettings,
    pub(crate) http: Http,
    pub(crate) clock: Clock,
    pub(crate) discovered: ArcSwapOption<Discovered>,
    last_error: Mutex<Option<String>>,
    /// When the keys were last fetched because of an unknown one.
    keys_fetched: tokio::sync::Mutex<Option<Instant>>,
    /// Whether it was logged that the provider ignores `prompt=none`.
    shows_pages: AtomicBool,
    wanted: Arc<Notify>,
    /// Notified when a request to the provider has failed.
    doubted: Arc<Notify>,
    task: Mutex<Option<AbortHandle>>,
}

/// The metadata and keys of a provider, and what follows from them.
#[derive(Debug)]
pub(crate) struct Discovered {
    pub(crate) metadata: Metadata,
    pub(crate) keys: KeySet,
    /// The algorithms by which the provider may sign ID and logout tokens.
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) at: Instant,
}

/// What an operator wants to know of a provider's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Where users sign in.
    pub authorization_endpoint: String,
    /// Whether the metadata names PKCE with S256.
    pub names_pkce: bool,
    /// Whether there is an end session endpoint.
    pub signs_out: bool,
    /// Whether there is a userinfo endpoint.
    pub has_userinfo: bool,
    /// The classes of authentication (`acr`) that the metadata names; `None` where it names none.
    pub classes: Option<Vec<String>>,
    /// The scopes that the metadata names; `None` where it names none.
    pub scopes: Option<Vec<String>>,
}

/// The provider has not been discovered yet, or not for a long time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider has not been reached yet")]
pub struct Unavailable;

impl Provider {
    /// Creates a provider that has not been discovered yet. `clock` decides which of its tokens have
    /// expired.
    pub fn new(settings: ProviderSettings, http: Arc<dyn HttpClient>, clock: Clock) -> Arc<Self> {
        let doubted = Arc::new(Notify::new());
        Arc::new(Self {
            settings,
            http: Http(Arc::new(Watched::new(http, Arc::clone(&doubted)))),
            clock,
            discovered: ArcSwapOption::empty(),
            last_error: Mutex::default(),
            keys_fetched: tokio::sync::Mutex::default(),
            shows_pages: AtomicBool::new(false),
            wanted: Arc::new(Notify::new()),
            doubted,
            task: Mutex::default(),
        })
    }

    /// Returns the settings.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Starts a task that discovers the provider and repeats that, until the provider is dropped.
    pub fn keep_discovered(self: &Arc<Self>) {
        let task = tokio::spawn(keep_discovered(
            Arc::downgrade(self),
            Arc::clone(&self.wanted),
            Arc::clone(&self.doubted),
        ));
        let earlier = self.lock_task().replace(task.abort_handle());
        if let Some(earlier) = earlier {
            earlier.abort();
        }
    }

    /// Discovers the provider once.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError`] describes the mistake that the operator has to correct.
    pub async fn discover(&self) -> Result<Summary, DiscoveryError> {
        let (metadata, keys) = discovery::discover(&self.settings, &self.http).await?;
        let summary = Summary {
            authorization_endpoint: metadata.authorization_endpoint.to_string(),
            names_pkce: metadata.names_pkce,
            signs_out: metadata.end_session_endpoint.is_some()
                || self.settings.sign_out_url.is_some(),
            has_userinfo: metadata.userinfo_endpoint.is_some(),
            classes: metadata.classes.clone(),
            scopes: metadata.scopes.clone(),
        };
        let found = Discovered::new(&self.settings, metadata, keys);
        self.discovered.store(Some(Arc::new(found)));
        Ok(summary)
    }

    /// Returns whether the provider has been discovered, and the last attempt to do so succeeded. There is one
    /// every hour, and one when a request to the provider fails.
    pub fn is_answering(&self) -> bool {
        self.is_available() && self.last_error().is_none()
    }

    /// Returns whether the provider has been discovered. It stays so for a day while it does not answer.
    pub fn is_available(&self) -> bool {
        self.discovered.load().is_some()
    }

    /// Returns why the last attempt to discover it failed, in words for the operator.
    pub fn last_error(&self) -> Option<String> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn discovered(&self) -> Result<Arc<Discovered>, Unavailable> {
        self.discovered.load_full().ok_or_else(|| {
            // A user waits: shorten the pause before the next attempt.
            self.wanted.notify_one();
            Unavailable
        })
    }

    /// Notes how long a silent authorization request took, and logs once where that is so long that
    /// the user must have seen a page: some providers (Dex) ignore `prompt=none`.
    pub fn note_silent_request(&self, took: Duration) {
        if took >= SHOWS_A_PAGE && !self.shows_pages.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                provider = self.settings.name,
                seconds = took.as_secs(),
                "a renewal that should show no page took so long that the provider seems to ignore \
                 `prompt=none`: users see its page whenever a session is renewed, unless the \
                 provider issues refresh tokens (for many, by the scope `offline_access`)"
            );
        }
    }

    /// Returns whether tokens of the provider may name this issuer: exactly its own, or those of
    /// the tenants in the settings.
    pub fn issues_as(&self, issuer: &str) -> bool {
        let tenants = &self.settings.tenants;
        if tenants.is_empty() {
            let described = self.settings.static_provider.as_ref();
            let others = described.map_or(&[][..], |known| &known.other_issuers);
            return issuer == self.settings.issuer.as_str()
                || others.iter().any(|own| own == issuer);
        }
        let Some(found) = self.discovered.load_full() else {
            return false;
        };
        let template = &found.metadata.issuer;
        tenants
            .iter()
            .any(|tenant| template.replace(TENANT, tenant) == issuer)
    }

    /// Returns the client secret where ID tokens have a MAC with it, and then no other signature
    /// counts.
    pub(crate) fn mac_secret(&self, found: &Discovered) -> Option<&ClientSecret> {
        let by_mac = found.algorithms == [Algorithm::HmacSha256];
        self.settings.client_secret.as_ref().filter(|_| by_mac)
    }

    /// Fetches the keys again unless that was done a short while ago, and keeps them. Where they
    /// cannot be fetched, the old ones stay.
    pub(crate) async fn refetch_keys(&self, found: Arc<Discovered>) -> Arc<Discovered> {
        let mut fetched = self.keys_fetched.lock().await;
        if fetched.is_some_and(|at| at.elapsed() < KEYS_REFETCH_AFTER) {
            // Another request may have fetched them while this one waited.
            return self.discovered.load_full().unwrap_or(found);
        }
        *fetched = Some(Instant::now());
        let provider = self.settings.name.as_str();
        match discovery::fetch_keys(&found.metadata, &self.http).await {
            Ok(keys) => {
                tracing::info!(
                    provider,
                    "fetched the provider's keys again for an unknown key id"
                );
                let fresh = Arc::new(Discovered {
                    metadata: found.metadata.clone(),
                    keys,
                    algorithms: found.algorithms.clone(),
                    at: found.at,
                });
                self.discovered.store(Some(Arc::clone(&fresh)));
                fresh
            }
            Err(error) => {
                tracing::warn!(provider, %error, "cannot fetch the provider's keys");
                found
            }
        }
    }

    fn lock_task(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the outcome of an attempt, and logs it where it differs from the last.
    fn note(&self, outcome: Result<&Summary, &DiscoveryError>, was_available: bool) {
        let name = self.settings.name.as_str();
        let issuer = self.settings.issuer.as_str();
        let mut last = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(_) if last.take().is_some() => {
                tracing::info!(provider = name, issuer, "provider is back");
            }
            Ok(_) if !was_available => tracing::info!(provider = name, issuer, "provider found"),
            Ok(_) => tracing::debug!(provider = name, issuer, "provider metadata fetched again"),
            Err(error) => {
                let error = error.to_string();
                if last.as_ref() != Some(&error) {
                    let then = if was_available {
                        "the provider does not answer: what it said of itself before stays in use"
                    } else {
                        UNUSABLE
                    };
                    tracing::error!(provider = name, issuer, error, "{then}");
                }
                *last = Some(error);
            }
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(task) = self.lock_task().take() {
            task.abort();
        }
    }
}

async fn keep_discovered(provider: Weak<Provider>, wanted: Arc<Notify>, doubted: Arc<Notify>) {
    let mut backoff = Duration::from_secs(1);
    let mut next_check = Instant::now();
    loop {
        let Some(provider) = provider.upgrade() else {
            return;
        };
        let was_available = provider.is_available();
        let outcome = contained(provider.discover()).await;
        let outcome = outcome.unwrap_or_else(|panicked| Err(panicked.into()));
        provider.note(outcome.as_ref(), was_available);
        let found = match outcome {
            Ok(_) => true,
            Err(_) => {
                let old = provider.discovered.load();
                if old
                    .as_ref()
                    .is_some_and(|found| found.at.elapsed() > MAX_AGE)
                {
                    provider.discovered.store(None);
                    let name = provider.settings.name.as_str();
                    tracing::error!(provider = name, "{UNUSABLE}: it has not answered for a day");
                }
                false
            }
        };
        let available = provider.is_available();
        drop(provider);
        if found {
            backoff = Duration::from_secs(1);
            // What failed before this success says nothing any more.
            tokio::select! {
                biased;
                () = doubted.notified() => {}
                () = std::future::ready(()) => {}
            }
            let doubt = async {
                tokio::time::sleep_until(next_check.into()).await;
                doubted.notified().await;
            };
            tokio::select! {
                () = tokio::time::sleep(REFRESH_AFTER) => {}
                // A provider that answers this and fails at that is asked no more often than one that fails
                // at both.
                () = doubt => next_check = Instant::now() + MAX_BACKOFF,
            }
        } else if available {
            tokio::time::sleep(MAX_BACKOFF).await;
        } else {
            // A waiting user shortens the pause, but never below a second.
            tokio::time::sleep(Duration::from_secs(1)).await;
            tokio::select! {
                () = tokio::time::sleep(backoff) => {}
                () = wanted.notified() => {}
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }
}

impl Discovered {
    fn new(settings: &ProviderSettings, metadata: Metadata, keys: KeySet) -> Self {
        let named = metadata.algorithms.as_deref();
        let algorithms = match (&settings.static_provider, named) {
            (Some(_), named) => static_metadata::algorithms(named.unwrap_or_default()),
            // Required (OpenID Connect Discovery 1.0 §3), and some leave it out.
            (None, None) => algorithm::signatures(),
            (None, Some(named)) => {
                let mut accepted = algorithm::signatures();
                accepted.retain(|own| named.contains(own));
                accepted
            }
        };
        Self {
            metadata,
            keys,
            algorithms,
            at: Instant::now(),
        }
    }
}

/// Returns how the client authenticates: by the method of the settings, or else by a method that
/// the metadata names and for which the client has a secret or a key.
pub(crate) fn client_authentication(
    settings: &ProviderSettings,
    metadata: &Metadata,
) -> ClientAuthentication {
    if let Some(method) = settings.client_authentication {
        return method;
    }
    if settings.client_key.is_some() {
        return ClientAuthentication::PrivateKeyJwt;
    }
    let Some(named) = &metadata.authentication_methods else {
        // The default (OpenID Connect Discovery 1.0 §3).
        return ClientAuthentication::Basic;
    };
    let names = |method: &str| named.iter().any(|own| own == method);
    if names("client_secret_basic") {
        ClientAuthentication::Basic
    } else if names("client_secret_post") {
        ClientAuthentication::Post
    } else if names("client_secret_jwt") {
        ClientAuthentication::SecretJwt
    } else {
        ClientAuthentication::Basic
    }
}
