//! Programs, which bring credentials in `Authorization` where people bring a session.
//!
//! What was found out about credentials is kept for a while, so that a program which calls ten
//! times a second does not ask the provider as often. Kept are digests under a key of this process,
//! never credentials. What holds and what does not are kept apart, so that wrong credentials, of
//! which anyone can make up as many as they like, push out nothing that holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gatepost_policy::Scheme;
use gatepost_session::{Authentic, NumericDate, SessionId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use moka::future::Cache;
use sha2::Sha256;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::application::{Application, Providers};
use crate::audit;
use crate::config::{Grant, MachineSettings, SessionTimes};
use crate::outpost::Outpost;
use crate::provider::{CredentialsError, Holder, Provider, Refusal, TokenRules, unchecked_issuer};
use crate::store::Secret;

mod credentials;

pub use credentials::Credentials;

/// The most credentials about which something is kept, of those that hold and of those that do not.
const MAX_KEPT: u64 = 10_000;

/// For how long credentials that were refused are refused unasked, in seconds.
const REFUSED_SECONDS: u64 = 10;

/// How often wrong credentials may come under one name within [`GUESSES_WITHIN`].
const MAX_GUESSES: u32 = 10;

/// For how long wrong credentials are held against a name.
const GUESSES_WITHIN: Duration = Duration::from_secs(60);

/// How many credentials of one application are asked about at a time.
const MAX_ASKED_AT_ONCE: usize = 8;

/// How long a check waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// By which name authentik's outposts take a token in the place of a password.
const AUTHENTIK_TOKEN_USER: &str = "goauthentik.io/token";

/// What stands for credentials.
type Digest = [u8; 32];

/// The programs of one application.
pub struct Machines {
    settings: MachineSettings,
    /// As long as a block of SHA-256, which is the length that a MAC takes as it is.
    key: Zeroizing<[u8; 64]>,
    held: Cache<Digest, Arc<Machine>>,
    refused: Cache<Digest, (Refusal, NumericDate)>,
    guesses: Cache<Digest, Arc<AtomicU32>>,
    turns: Semaphore,
}

/// A program whose credentials hold.
#[derive(Debug)]
pub struct Machine {
    /// Whom it acts for.
    pub holder: Holder,
    /// Its access token.
    pub token: Secret,
    /// Until when that is believed.
    until: NumericDate,
}

impl std::fmt::Debug for Machines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machines")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What a check needs beside the credentials.
#[derive(Clone, Copy)]
pub struct Checker<'a> {
    /// The outpost.
    pub outpost: &'a Outpost,
    /// Where the credentials were sent.
    pub application: &'a Application,
    /// How long sessions last: no token is taken that is older than one may become.
    pub times: &'a SessionTimes,
}

impl Machines {
    /// The programs that these settings allow, of which none is known yet; `None` when the
    /// operating system has no randomness.
    pub fn new(settings: MachineSettings) -> Option<Self> {
        let mut key = Zeroizing::new([0; 64]);
        getrandom::fill(&mut *key).ok()?;
        // What is out of date is noticed by the outpost's clock; this frees its memory.
        let kept = |seconds: u64| {
            Cache::builder()
                .max_capacity(MAX_KEPT)
                .time_to_live(Duration::from_secs(seconds.max(1)))
        };
        Some(Self {
            held: kept(settings.cache).build(),
            refused: Cache::builder()
                .max_capacity(MAX_KEPT)
                .time_to_live(Duration::from_secs(REFUSED_SECONDS))
                .build(),
            guesses: Cache::builder()
                .max_capacity(MAX_KEPT)
                .time_to_live(GUESSES_WITHIN)
                .build(),
            turns: Semaphore::new(MAX_ASKED_AT_ONCE),
            key,
            settings,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &MachineSettings {
        &self.settings
    }

    /// Says who brings credentials. One request at a time asks about the same ones, and the others
    /// get what it learns.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`]; to those who wait for another's answer as well.
    pub async fn check(
        &self,
        checker: Checker<'_>,
        credentials: Credentials,
    ) -> Result<Arc<Machine>, Arc<CredentialsError>> {
        let credentials = self.understood(credentials);
        let digest = self.digest(&credentials);
        let now = checker.outpost.clock.now();
        if let Some((refusal, until)) = self.refused.get(&digest).await
            && now < until
        {
            return Err(Arc::new(refusal.into()));
        }
        if let Some(machine) = self.held.get(&digest).await {
            if now < machine.until && !checker.is_revoked(&machine) {
                return Ok(machine);
            }
            self.held.invalidate(&digest).await;
        }
        let look = self.look(checker, &credentials);
        let machine = match self.held.try_get_with(digest, look).await {
            Ok(machine) => machine,
            Err(error) => {
                if let CredentialsError::Refused(refusal) = *error {
                    let until = now.plus_seconds(REFUSED_SECONDS);
                    self.refused.insert(digest, (refusal, until)).await;
                }
                return Err(error);
            }
        };
        // It may have been while another looked.
        if checker.is_revoked(&machine) {
            self.held.invalidate(&digest).await;
            return Err(Arc::new(Refusal::Revoked.into()));
        }
        Ok(machine)
    }

    /// What authentik's users write as a password and mean as a token.
    fn understood(&self, credentials: Credentials) -> Credentials {
        match credentials {
            Credentials::Basic { user, password }
                if self.settings.grant == Grant::Authentik && user == AUTHENTIK_TOKEN_USER =>
            {
                Credentials::Bearer(password)
            }
            credentials => credentials,
        }
    }

    /// Asks about credentials, and notes for the log what came of it.
    async fn look(
        &self,
        checker: Checker<'_>,
        credentials: &Credentials,
    ) -> Result<Arc<Machine>, CredentialsError> {
        let (application, scheme) = (checker.application, credentials.scheme());
        let provider = self.provider_of(credentials, &application.providers);
        let looked = match provider {
            Ok(provider) => self.ask(checker, provider, credentials).await,
            Err(refusal) => Err(refusal.into()),
        };
        match &looked {
            Ok(machine) => audit::machine_let_in(application, scheme, &machine.holder.identity),
            Err(CredentialsError::Refused(refusal)) => {
                let provider = provider.ok().map(|provider| &**provider);
                audit::machine_refused(application, provider, scheme, *refusal);
            }
            Err(
                CredentialsError::NotAnswered(_)
                | CredentialsError::Busy
                | CredentialsError::TooMany,
            ) => {}
        }
        looked.map(Arc::new)
    }

    /// The provider that checks credentials: of a token that says whose it is, that one.
    ///
    /// Anything else is always for the same. To ask one provider after the other would show each
    /// what is another's, and so let it be used there.
    fn provider_of<'a>(
        &self,
        credentials: &Credentials,
        providers: &'a Providers,
    ) -> Result<&'a Arc<Provider>, Refusal> {
        if let Some(only) = providers.only() {
            return Ok(only);
        }
        let issuer = match credentials {
            Credentials::Bearer(token) => unchecked_issuer(token),
            Credentials::Basic { .. } => None,
        };
        match (issuer, &self.settings.provider) {
            (Some(issuer), _) => providers.of_issuer(&issuer).ok_or(Refusal::Issuer),
            (None, Some(name)) => providers.named(name).ok_or(Refusal::Issuer),
            (None, None) => Ok(providers.first()),
        }
    }

    async fn ask(
        &self,
        checker: Checker<'_>,
        provider: &Provider,
        credentials: &Credentials,
    ) -> Result<Machine, CredentialsError> {
        let application = checker.application;
        let extra: Vec<String> = application.headers.claims().map(str::to_owned).collect();
        let rules = |now| TokenRules {
            settings: &self.settings,
            extra: &extra,
            max_age: application.lifetime(checker.times),
            now,
        };
        let clock = &checker.outpost.clock;
        let (holder, token) = match credentials {
            Credentials::Bearer(token) if !self.settings.introspect => {
                // Nobody is asked, so nobody waits.
                let holder = provider.holder(token, rules(clock.now())).await?;
                (holder, token.clone())
            }
            Credentials::Bearer(token) => {
                let _turn = self.turn().await?;
                let holder = provider.holder(token, rules(clock.now())).await?;
                (holder, token.clone())
            }
            Credentials::Basic { user, password } => {
                let clients = &self.settings.clients;
                let is_client = self.settings.grant == Grant::ClientCredentials;
                if is_client && !clients.is_empty() && !clients.contains(user) {
                    return Err(Refusal::Client.into());
                }
                let guesses = self.guesses_at(user).await;
                if guesses.load(Ordering::Relaxed) >= MAX_GUESSES {
                    return Err(CredentialsError::TooMany);
                }
                let _turn = self.turn().await?;
                let token = match provider.token_for(user, password, &self.settings).await {
                    Err(error @ CredentialsError::Refused(_)) => {
                        guesses.fetch_add(1, Ordering::Relaxed);
                        return Err(error);
                    }
                    token => token?,
                };
                (provider.holder(&token, rules(clock.now())).await?, token)
            }
        };
        let until = clock
            .now()
            .plus_seconds(self.settings.cache)
            .min(holder.expires);
        let machine = Machine {
            holder,
            token,
            until,
        };
        if checker.is_revoked(&machine) {
            return Err(Refusal::Revoked.into());
        }
        Ok(machine)
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, CredentialsError> {
        match tokio::time::timeout(TURN, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(CredentialsError::Busy),
        }
    }

    /// How often wrong credentials came under this name.
    async fn guesses_at(&self, user: &str) -> Arc<AtomicU32> {
        let digest = self.mac(&[b"name", user.as_bytes()]);
        self.guesses
            .get_with(digest, async { Arc::default() })
            .await
    }

    fn digest(&self, credentials: &Credentials) -> Digest {
        match credentials {
            Credentials::Bearer(token) => self.mac(&[b"bearer", token.expose().as_bytes()]),
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

impl Checker<'_> {
    /// Whether whom a program acts for was signed out altogether after its token was made.
    fn is_revoked(&self, machine: &Machine) -> bool {
        let Holder {
            identity, issued, ..
        } = &machine.holder;
        let revocations = self.outpost.endings.revocations();
        revocations
            .last_end_of(&identity.issuer, &identity.subject)
            .is_some_and(|at| *issued <= at)
    }
}

impl Machine {
    /// The session that the application's policy decides on. It is nobody's cookie.
    pub fn session(&self, application: &Application, now: NumericDate) -> Authentic {
        let claims = self.holder.identity.clone().into_claims(
            application.audience.to_string(),
            // There is none to find by it.
            SessionId::from_random([0; 24]),
            now,
            self.until,
            self.until,
        );
        application.signer.vouch_for(claims)
    }
}

/// What a scheme is called in logs and metrics.
pub fn word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Bearer => "bearer",
        Scheme::Basic => "basic",
    }
}
