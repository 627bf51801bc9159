//! An OpenID provider: what it says about itself, and signing people in there.
//!
//! The provider is looked for in the background, from the start and for as long as the outpost
//! runs. Until it has been found, everything that does not need it works.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJsonWebKeySet,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IdTokenFields, ProviderMetadata, StandardErrorResponse, StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use url::Url;

use crate::config::{ClientAuthentication, ProviderSettings};
use claims::ClaimMap;
use gatepost_base::contained::contained;
use http::{HttpClient, HttpOptions};

mod access_token;
mod claims;
mod credentials;
mod discovery;
pub(crate) mod http;
mod known;
mod logout;
mod post;
mod refresh;
mod sign_in;
mod tokens;
mod unchecked;

pub use access_token::{CredentialsError, Holder, Refusal, TokenRules, unchecked_issuer};
pub use credentials::ClientVerdict;
pub use discovery::DiscoveryError;
pub use http::HttpError;
pub use known::{KnownProvider, PublicAddress};
pub use logout::{LogoutToken, LogoutTokenError, UncheckedLogoutToken};
pub use refresh::{RefreshError, Refreshed};
pub use sign_in::{SignInError, SignedIn};

/// For how long what was discovered is used before it is looked up anew.
const REFRESH_AFTER: Duration = Duration::from_secs(3_600);
/// For how long it is used at most when it cannot be looked up.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
/// The longest pause between two attempts while the provider is not to be found.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// How often the keys are fetched again at most, whatever key ids turn up.
const KEYS_REFETCH_AFTER: Duration = Duration::from_secs(30);

/// The signing algorithms of ID tokens that are accepted, where the provider names them too:
/// signatures by the provider alone. A MAC with the client secret (`HS256`) is not among them: only
/// of a provider that authentik describes is it accepted, and then nothing else ([`known`]).
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What discovery says beyond OpenID Connect Discovery 1.0.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct FurtherMetadata {
    /// RP-Initiated Logout 1.0 §2.1.
    #[serde(default)]
    end_session_endpoint: Option<Url>,
    /// RFC 8414 §2.
    #[serde(default)]
    introspection_endpoint: Option<Url>,
    /// RFC 9207 §3.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    /// RFC 8414 §2.
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl AdditionalProviderMetadata for FurtherMetadata {}

type Metadata = ProviderMetadata<
    FurtherMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type IdToken = openidconnect::IdToken<
    ClaimMap,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type TokenResponse = StandardTokenResponse<
    IdTokenFields<
        ClaimMap,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type TokenError = StandardErrorResponse<CoreErrorResponseType>;

type Client = openidconnect::Client<
    ClaimMap,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    TokenError,
    TokenResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider of the configuration.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    http: HttpClient,
    discovered: ArcSwapOption<Discovered>,
    last_error: Mutex<Option<String>>,
    keys_fetched: tokio::sync::Mutex<Option<Instant>>,
    wanted: Arc<Notify>,
    task: Mutex<Option<AbortHandle>>,
}

/// What is known of a provider that has been found.
#[derive(Debug)]
struct Discovered {
    client: Client,
    metadata: Metadata,
    keys: CoreJsonWebKeySet,
    algorithms: Vec<CoreJwsSigningAlgorithm>,
    at: Instant,
}

/// What is worth telling an operator about a provider that has been found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// Whether it names PKCE with S256.
    pub names_pkce: bool,
    /// Whether it can be asked to sign people out.
    pub signs_out: bool,
    /// Whether claims can be asked for beyond the ID token.
    pub has_userinfo: bool,
}

/// The provider has not been found yet, or not for a long time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider has not been reached yet")]
pub struct Unavailable;

impl Provider {
    /// A provider that has not been looked for yet.
    ///
    /// # Errors
    ///
    /// [`HttpError`] when there are no certificates to trust, or those in its settings cannot be
    /// used.
    pub fn new(settings: ProviderSettings) -> Result<Arc<Self>, HttpError> {
        let known = settings.known.as_ref();
        let http = HttpClient::new(
            &settings.name,
            &HttpOptions {
                authorities: &settings.authorities,
                tls: settings.issuer.url().scheme() == "https",
                insecure: known.is_some_and(|known| known.insecure),
                asked_as: known.and_then(|known| known.asked_as.as_ref()),
            },
        )?;
        Ok(Arc::new(Self {
            settings,
            http,
            discovered: ArcSwapOption::empty(),
            last_error: Mutex::default(),
            keys_fetched: tokio::sync::Mutex::default(),
            wanted: Arc::new(Notify::new()),
            task: Mutex::default(),
        }))
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Starts looking for the provider in the background, until it is dropped.
    pub fn keep_discovered(self: &Arc<Self>) {
        let task = tokio::spawn(keep_discovered(
            Arc::downgrade(self),
            Arc::clone(&self.wanted),
        ));
        let earlier = self.lock_task().replace(task.abort_handle());
        if let Some(earlier) = earlier {
            earlier.abort();
        }
    }

    /// Looks for the provider once.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError`] says what an operator has to mend.
    pub async fn discover(&self) -> Result<Summary, DiscoveryError> {
        let metadata = discovery::discover(&self.settings, &self.http).await?;
        let summary = Summary {
            authorization_endpoint: metadata.authorization_endpoint().to_string(),
            names_pkce: metadata
                .additional_metadata()
                .code_challenge_methods_supported
                .as_ref()
                .is_some_and(|methods| methods.iter().any(|method| method == "S256")),
            signs_out: metadata
                .additional_metadata()
                .end_session_endpoint
                .is_some(),
            has_userinfo: metadata.userinfo_endpoint().is_some(),
        };
        self.discovered
            .store(Some(Arc::new(Discovered::new(&self.settings, metadata))));
        Ok(summary)
    }

    /// Whether the provider has been found.
    pub fn is_available(&self) -> bool {
        self.discovered.load().is_some()
    }

    /// Why it has not been found, in words for an operator.
    pub fn last_error(&self) -> Option<String> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn discovered(&self) -> Result<Arc<Discovered>, Unavailable> {
        self.discovered.load_full().ok_or_else(|| {
            // Somebody waits, so the next attempt need not.
            self.wanted.notify_one();
            Unavailable
        })
    }

    fn lock_task(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the outcome of an attempt, logging it where it is news.
    fn note(&self, outcome: Result<&Summary, &DiscoveryError>, known: bool) {
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
            Ok(_) if !known => tracing::info!(provider = name, issuer, "provider found"),
            Ok(_) => tracing::debug!(provider = name, issuer, "provider looked up anew"),
            Err(error) => {
                let error = error.to_string();
                if last.as_ref() != Some(&error) {
                    tracing::error!(
                        provider = name,
                        issuer,
                        error,
                        "provider cannot be used: sign-ins wait until it can"
                    );
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

async fn keep_discovered(provider: Weak<Provider>, wanted: Arc<Notify>) {
    let mut backoff = Duration::from_secs(1);
    loop {
        let Some(provider) = provider.upgrade() else {
            return;
        };
        let known = provider.is_available();
        let outcome = contained(provider.discover()).await;
        let outcome = outcome.unwrap_or_else(|panicked| Err(panicked.into()));
        provider.note(outcome.as_ref(), known);
        let found = match outcome {
            Ok(_) => true,
            Err(_) => {
                let old = provider.discovered.load();
                if old
                    .as_ref()
                    .is_some_and(|found| found.at.elapsed() > MAX_AGE)
                {
                    provider.discovered.store(None);
                }
                false
            }
        };
        let available = provider.is_available();
        drop(provider);
        if found {
            backoff = Duration::from_secs(1);
            tokio::time::sleep(REFRESH_AFTER).await;
        } else if available {
            tokio::time::sleep(MAX_BACKOFF).await;
        } else {
            // A person waiting shortens the pause, but never below a second.
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
    fn new(settings: &ProviderSettings, metadata: Metadata) -> Self {
        let mut client = Client::from_provider_metadata(
            metadata.clone(),
            settings.client_id.clone(),
            settings.client_secret.clone(),
        );
        let post = authenticates_by_post(settings, &metadata);
        client = client.set_auth_type(if post {
            AuthType::RequestBody
        } else {
            AuthType::BasicAuth
        });
        let named = metadata.id_token_signing_alg_values_supported();
        let algorithms = if settings.known.is_some() {
            known::algorithms(named)
        } else {
            ALGORITHMS
                .into_iter()
                .filter(|ours| named.contains(ours))
                .collect()
        };
        let keys = metadata.jwks().clone();
        Self {
            client,
            metadata,
            keys,
            algorithms,
            at: Instant::now(),
        }
    }
}

/// Whether the client shows its secret in the form and not in `Authorization`.
fn authenticates_by_post(settings: &ProviderSettings, metadata: &Metadata) -> bool {
    match settings.client_authentication {
        Some(method) => method == ClientAuthentication::Post,
        // Basic is the default (OpenID Connect Core 1.0 §9), unless only the other is named.
        None => metadata
            .token_endpoint_auth_methods_supported()
            .is_some_and(|methods| {
                methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                    && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
            }),
    }
}
