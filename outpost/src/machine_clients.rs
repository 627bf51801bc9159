//! Machine clients, which send credentials where users have a session.
//!
//! The result of a check is cached for a while, so that a client which calls ten times a second
//! does not make the outpost ask the provider as often. The cache has digests under a key of this
//! process, never credentials. Valid and invalid credentials are cached apart: anyone can make up
//! any number of invalid ones, which must not evict a valid one.

use std::sync::Arc;
use std::time::Duration;

use gatepost_session::NumericDate;
use hmac::{Hmac, KeyInit as _, Mac as _};
use moka::future::Cache;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::application::{Application, MachineClientSettings, MachineIssuer, Providers};
use crate::client_certificate::Thumbprint;
use crate::rate_limit::TooMany;
use crate::telemetry::audit;
use gatepost_oidc::{
    Grant, IssuedTokenRules, Proved, Provider, Refusal, TokenIssuer, TokenRules, unverified_issuer,
};

mod api_key;
mod api_keys;
mod attempts;
mod check_error;
mod context;
mod credentials;
mod dpop;
mod machine_client;
mod turns;

pub use api_key::{ApiKey, NewApiKey};
pub use api_keys::ApiKeys;
use attempts::Attempt;
pub use attempts::{FailedAttempts, ProofAttempt};
pub use check_error::{ApiKeyRefusal, CheckError};
pub use context::Context;
pub use credentials::Credentials;
pub use dpop::{DpopProof, ExpectedProof, InvalidDpopProof, UnverifiedDpopProof};
pub use machine_client::MachineClient;
use turns::{NoTurn, Turn, Turns};

/// The most cached results, of valid and of invalid credentials.
const MAX_CACHED: u64 = 10_000;

/// How long refused credentials are refused without asking the provider, in seconds.
const REFUSED_SECONDS: u64 = 10;

/// How long the outpost remembers that credentials were valid, in seconds: far longer than it
/// accepts them without asking.
const REMEMBERED_SECONDS: u64 = 7 * 24 * 3_600;

/// How many credentials of one application are checked at a time, and how many of one client or
/// under one name.
const MAX_ASKED_AT_ONCE: usize = 8;
const MAX_ASKED_OF_ONE: usize = 2;

/// The same for credentials that were valid before: invalid ones do not delay them.
const MAX_ASKED_AGAIN_AT_ONCE: usize = 4;

/// Seconds after which to try again when there were too many at the same time.
const RETRY_AFTER: u64 = 5;

/// The user name with which authentik's outposts accept a token as the password.
const AUTHENTIK_TOKEN_USER: &str = "goauthentik.io/token";

/// A digest of credentials.
type Digest = [u8; 32];

/// The machine clients of one application.
pub struct MachineClients {
    settings: MachineClientSettings,
    /// Further issuers, in the order of the settings.
    issuers: Vec<Arc<TokenIssuer>>,
    /// As long as a block of SHA-256, which is the length that a MAC takes as it is.
    key: Zeroizing<[u8; 64]>,
    accepted: Cache<Digest, Arc<MachineClient>>,
    refused: Cache<Digest, (Refusal, NumericDate)>,
    /// Credentials that were valid when they were last checked.
    remembered: Cache<Digest, ()>,
    turns: Turns,
    turns_again: Turns,
}

impl std::fmt::Debug for MachineClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineClients")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The part that knows whether credentials are valid.
#[derive(Clone, Copy)]
enum Authority<'a> {
    /// A provider of the application.
    Provider(&'a Provider),
    /// A further issuer.
    Issuer(&'a TokenIssuer),
}

impl<'a> Authority<'a> {
    /// Returns its name in tokens.
    fn name(self) -> &'a str {
        match self {
            Self::Provider(provider) => provider.settings().issuer.as_str(),
            Self::Issuer(issuer) => &issuer.settings().issuer,
        }
    }
}

/// Whether and how a provider is asked about credentials.
#[derive(Clone, Copy, Debug)]
enum Asking {
    /// It is not asked: their signature is verified here.
    Unasked(Attempt),
    /// It is asked about credentials that were valid before.
    Again(Attempt),
    /// It is asked about others.
    Attempt(Attempt),
}

impl Asking {
    /// Returns the attempt that failed with this refusal, where it counts.
    fn failed(self, refusal: Refusal) -> Option<Attempt> {
        match self {
            // Every other refusal costs no signature, and honest clients get some of them: at an
            // address that many share, an expired token must not close it to the others.
            Self::Unasked(attempt) => (refusal == Refusal::Signature).then_some(attempt),
            Self::Again(attempt) | Self::Attempt(attempt) => Some(attempt),
        }
    }
}

impl MachineClients {
    /// Returns the machine clients of an application, of which nothing is known yet but by
    /// `previous`: the same application and its machine clients before the settings changed. `None`
    /// when the operating system has no randomness.
    ///
    /// Cached results stay where the providers would give the same: with the same settings,
    /// providers and claims.
    pub fn new(
        settings: MachineClientSettings,
        application: &Application,
        issuers: Vec<Arc<TokenIssuer>>,
        previous: Option<(&Application, &Self)>,
    ) -> Option<Self> {
        let alike = previous.filter(|(before, clients)| {
            clients.settings == settings && asks_alike(before, application)
        });
        let accepted = alike.map_or_else(
            || cache(settings.cache),
            |(_, previous)| previous.accepted.clone(),
        );
        let previous = previous.map(|(_, clients)| clients);
        let (key, remembered) = match previous {
            Some(previous) => (previous.key.clone(), previous.remembered.clone()),
            None => {
                let mut key = Zeroizing::new([0; 64]);
                getrandom::fill(&mut *key).ok()?;
                (key, cache(REMEMBERED_SECONDS))
            }
        };
        Some(Self {
            accepted,
            refused: cache(REFUSED_SECONDS),
            remembered,
            turns: Turns::new(MAX_ASKED_AT_ONCE, MAX_ASKED_OF_ONE),
            turns_again: Turns::new(MAX_ASKED_AGAIN_AT_ONCE, MAX_ASKED_OF_ONE),
            key,
            settings,
            issuers,
        })
    }

    /// Returns the settings.
    pub fn settings(&self) -> &MachineClientSettings {
        &self.settings
    }

    /// Returns the further issuer of these settings, with what is known of it.
    pub fn issuer_of(&self, settings: &MachineIssuer) -> Option<&Arc<TokenIssuer>> {
        let mut all = self.settings.issuers.iter().zip(&self.issuers);
        let (_, issuer) = all.find(|(own, _)| *own == settings)?;
        Some(issuer)
    }

    /// Checks credentials. One request at a time asks about the same ones, and the others get its
    /// result.
    ///
    /// # Errors
    ///
    /// [`CheckError`]; also for requests that wait for another's result.
    pub async fn check(
        &self,
        context: Context<'_>,
        credentials: Credentials,
    ) -> Result<Arc<MachineClient>, Arc<CheckError>> {
        let credentials = self.normalised(credentials);
        let digest = self.digest(context, &credentials);
        let now = context.clock.now();
        if let Some((refusal, until)) = self.refused.get(&digest).await
            && now < until
        {
            return Err(Arc::new(refusal.into()));
        }
        if let Some(machine) = self.accepted.get(&digest).await {
            if now < machine.until && !context.is_revoked(&machine) {
                return Ok(machine);
            }
            self.accepted.invalidate(&digest).await;
        }
        let authority = self.authority(&credentials, context.application.providers());
        let is_issued = matches!(authority, Ok(Authority::Issuer(_)));
        let asking = self.asking(context, &credentials, &digest, is_issued);
        let resolve = self.resolve(context, authority, &credentials, asking.await?);
        let machine = match self.accepted.try_get_with(digest, resolve).await {
            Ok(machine) => {
                self.remembered.insert(digest, ()).await;
                machine
            }
            Err(error) => {
                if let CheckError::Refused(refusal) = *error {
                    let until = now.plus_seconds(REFUSED_SECONDS);
                    self.refused.insert(digest, (refusal, until)).await;
                    self.remembered.invalidate(&digest).await;
                }
                return Err(error);
            }
        };
        // It may have been while another looked.
        if context.is_revoked(&machine) {
            self.accepted.invalidate(&digest).await;
            return Err(Arc::new(Refusal::Revoked.into()));
        }
        Ok(machine)
    }

    /// Returns the attempt to have a proof of these credentials verified.
    pub fn proof_attempt(&self, context: Context<'_>, credentials: &Credentials) -> ProofAttempt {
        let digest = self.digest(context, credentials);
        let is_known = self.remembered.contains_key(&digest);
        let known = is_known.then_some(&digest[..]);
        context.failed_attempts.proof(context.client, known)
    }

    /// Returns the token of credentials in which authentik's users write it as the password.
    fn normalised(&self, credentials: Credentials) -> Credentials {
        match credentials {
            Credentials::Basic { user, password }
                if self.settings.exchange.grant == Grant::Authentik
                    && user == AUTHENTIK_TOKEN_USER =>
            {
                Credentials::Bearer(password)
            }
            credentials => credentials,
        }
    }

    /// Returns whether and how the provider is to be asked about credentials.
    ///
    /// # Errors
    ///
    /// [`CheckError::TooMany`] for a client that has sent too many invalid credentials. It concerns
    /// the client's own request, before that joins others with the same credentials.
    async fn asking(
        &self,
        context: Context<'_>,
        credentials: &Credentials,
        digest: &Digest,
        is_issued: bool,
    ) -> Result<Asking, CheckError> {
        let (name, is_verified_here) = match credentials {
            Credentials::Bearer(_) | Credentials::Bound { .. } => {
                (None, !self.settings.tokens.introspect || is_issued)
            }
            Credentials::Basic { user, .. } => (Some(user.as_str()), false),
        };
        let attempts = context.failed_attempts;
        let attempt = attempts.attempt(context.client, name);
        let is_remembered = self.remembered.contains_key(digest);
        if !is_remembered {
            attempts.allow(attempt).await?;
        }
        Ok(match (is_verified_here, is_remembered) {
            (true, _) => Asking::Unasked(attempt),
            (false, true) => Asking::Again(attempt),
            (false, false) => Asking::Attempt(attempt),
        })
    }

    /// Asks about credentials, and logs the result.
    async fn resolve(
        &self,
        context: Context<'_>,
        authority: Result<Authority<'_>, Refusal>,
        credentials: &Credentials,
        asking: Asking,
    ) -> Result<Arc<MachineClient>, CheckError> {
        let (application, scheme) = (context.application, credentials.scheme());
        let resolved = match authority {
            Ok(authority) => self.ask(context, authority, credentials, asking).await,
            Err(refusal) => Err(refusal.into()),
        };
        match &resolved {
            Ok(machine) => audit::machine_client_accepted(
                application.audience().as_str(),
                scheme,
                &machine.holder.identity,
            ),
            Err(CheckError::Refused(refusal)) => {
                audit::machine_client_refused(
                    application.audience().as_str(),
                    authority.ok().map(Authority::name),
                    scheme,
                    refusal,
                );
            }
            Err(_) => {}
        }
        resolved.map(Arc::new)
    }

    /// Returns who checks credentials: for a token that names its issuer, the further issuer or the
    /// provider of that name.
    ///
    /// All other credentials go to the same provider. To ask one provider after the other would
    /// show each the credentials of another, which it could use there.
    fn authority<'a>(
        &'a self,
        credentials: &Credentials,
        providers: &'a Providers,
    ) -> Result<Authority<'a>, Refusal> {
        let only = providers.only();
        let named = match credentials {
            // Where there is no choice, nothing is to be read.
            Credentials::Bearer(token) | Credentials::Bound { token, .. }
                if only.is_none() || !self.issuers.is_empty() =>
            {
                unverified_issuer(token)
            }
            _ => None,
        };
        let mut issuers = self.issuers.iter();
        let is_named = |own: &&Arc<TokenIssuer>| Some(&own.settings().issuer) == named.as_ref();
        if let Some(issuer) = issuers.find(is_named) {
            return Ok(Authority::Issuer(issuer));
        }
        let provider = match (only, &named, &self.settings.provider) {
            (Some(only), ..) => Some(only),
            (None, Some(issuer), _) => providers.of_issuer(issuer),
            (None, None, Some(name)) => providers.named(name),
            (None, None, None) => Some(providers.first()),
        };
        let provider = provider.ok_or(Refusal::Issuer)?;
        Ok(Authority::Provider(provider))
    }

    async fn ask(
        &self,
        context: Context<'_>,
        authority: Authority<'_>,
        credentials: &Credentials,
        asking: Asking,
    ) -> Result<MachineClient, CheckError> {
        if let Credentials::Basic { user, .. } = credentials {
            let clients = &self.settings.tokens.clients;
            let is_client = self.settings.exchange.grant == Grant::ClientCredentials;
            if is_client && !clients.is_empty() && !clients.contains(user) {
                return Err(Refusal::Client.into());
            }
        }
        let attempts = context.failed_attempts;
        let _turn = self.turn(asking).await?;
        if let Asking::Attempt(attempt) = asking {
            // Others of this client may have failed while it waited.
            attempts.allow(attempt).await?;
        }
        let answer = self.answer(context, authority, credentials).await;
        if let Err(CheckError::Refused(refusal)) = &answer
            && let Some(attempt) = asking.failed(*refusal)
            && attempts.failed(attempt).await
        {
            let client = attempt.client().map(|client| client.to_string());
            tracing::warn!(
                application = %context.application.audience(),
                client,
                "a client sends too many invalid credentials and is answered 429"
            );
        }
        answer
    }

    /// Verifies credentials, and asks the provider where it has to.
    async fn answer(
        &self,
        context: Context<'_>,
        authority: Authority<'_>,
        credentials: &Credentials,
    ) -> Result<MachineClient, CheckError> {
        let application = context.application;
        let clock = context.clock;
        let extra = application.claims_of_sessions();
        let max_age = application.lifetime(context.times);
        let certificate = context.certificate.map(Thumbprint::as_str);
        let proved = match credentials {
            Credentials::Bound { key, .. } => Proved {
                key: Some(key),
                certificate,
            },
            Credentials::Bearer(_) => Proved {
                key: None,
                certificate,
            },
            // The token is the outpost's.
            Credentials::Basic { .. } => Proved::default(),
        };
        // Before it is asked for: a revocation that comes meanwhile counts.
        let obtained = matches!(credentials, Credentials::Basic { .. }).then(|| clock.now());
        let (token, holder) = match (authority, credentials) {
            (
                Authority::Issuer(issuer),
                Credentials::Bearer(token) | Credentials::Bound { token, .. },
            ) => {
                let rules = IssuedTokenRules {
                    extra: &extra,
                    proved,
                    max_age,
                    now: clock.now(),
                };
                (token.clone(), issuer.holder(token, rules).await?)
            }
            (Authority::Issuer(_), Credentials::Basic { .. }) => {
                return Err(Refusal::Issuer.into());
            }
            (Authority::Provider(provider), credentials) => {
                let token = match credentials {
                    Credentials::Bearer(token) | Credentials::Bound { token, .. } => token.clone(),
                    Credentials::Basic { user, password } => {
                        let exchange = &self.settings.exchange;
                        provider.token_for(user, password, exchange).await?
                    }
                };
                let rules = TokenRules {
                    settings: &self.settings.tokens,
                    extra: &extra,
                    proved,
                    is_fresh: matches!(credentials, Credentials::Basic { .. }),
                    max_age,
                    now: clock.now(),
                };
                let holder = provider.holder(&token, rules).await?;
                (token, holder)
            }
        };
        // With `cache: 0s` too, it holds for the request that it came with.
        let lasts = self.settings.cache.max(1);
        let until = clock.now().plus_seconds(lasts).min(holder.expires);
        let machine = MachineClient {
            holder,
            token: Some(token),
            obtained,
            until,
        };
        if context.is_revoked(&machine) {
            return Err(Refusal::Revoked.into());
        }
        Ok(machine)
    }

    async fn turn(&self, asking: Asking) -> Result<Option<Turn<'_>>, CheckError> {
        let turn = match asking {
            Asking::Unasked(_) => return Ok(None),
            Asking::Again(attempt) => self.turns_again.take(attempt.queues()).await,
            Asking::Attempt(attempt) => self.turns.take(attempt.queues()).await,
        };
        match turn {
            Ok(turn) => Ok(Some(turn)),
            Err(NoTurn::Full) => Err(TooMany {
                retry_after: RETRY_AFTER,
            }
            .into()),
            Err(NoTurn::Late) => Err(CheckError::Busy),
        }
    }

    /// Returns the digest of credentials, with everything that the client has proved: what holds of a
    /// token with one certificate does not hold with another.
    fn digest(&self, context: Context<'_>, credentials: &Credentials) -> Digest {
        let certificate = context
            .certificate
            .map_or("", Thumbprint::as_str)
            .as_bytes();
        match credentials {
            Credentials::Bearer(token) => {
                self.mac(&[b"bearer", certificate, token.expose().as_bytes()])
            }
            Credentials::Bound { token, key } => self.mac(&[
                b"bound",
                certificate,
                key.as_bytes(),
                token.expose().as_bytes(),
            ]),
            Credentials::Basic { user, password } => {
                self.mac(&[b"basic", user.as_bytes(), password.expose().as_bytes()])
            }
        }
    }

    fn mac(&self, parts: &[&[u8]]) -> Digest {
        let mac = Hmac::<Sha256>::new((&*self.key).into());
        let mac = parts.iter().fold(mac, |mac, part| {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            mac.chain_update(length.to_be_bytes()).chain_update(part)
        });
        mac.finalize().into_bytes().into()
    }
}

/// Returns whether providers would say the same of credentials to both.
fn asks_alike(one: &Application, other: &Application) -> bool {
    let providers = |application: &Application| {
        let all = application.providers().iter();
        all.map(Arc::as_ptr).collect::<Vec<_>>()
    };
    let claims = Application::claims_of_sessions;
    one.headers() == other.headers()
        && claims(one) == claims(other)
        && providers(one) == providers(other)
}

/// Returns a cache of results. The outpost's clock decides what has expired; this frees the memory.
fn cache<T: Clone + Send + Sync + 'static>(seconds: u64) -> Cache<Digest, T> {
    Cache::builder()
        .max_capacity(MAX_CACHED)
        .time_to_live(Duration::from_secs(seconds.max(1)))
        .build()
}
