//! Programs, which bring credentials in `Authorization` where people bring a session.
//!
//! What was found out about credentials is kept for a while, so that a program which calls ten
//! times a second does not ask the provider as often. Kept are digests under a key of this process,
//! never credentials. What holds and what does not are kept apart, so that wrong credentials, of
//! which anyone can make up as many as they like, push out nothing that holds.

use std::sync::Arc;
use std::time::Duration;

use gatepost_session::{Authentic, NumericDate, SessionId};
use gatepost_signing::SignError;
use hmac::{Hmac, KeyInit as _, Mac as _};
use moka::future::Cache;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::application::MachineClientSettings;
use crate::application::{Application, Providers};
use crate::rate_limit::{Client, TooMany};
use crate::session_times::SessionTimes;
use crate::telemetry::audit;
use gatepost_base::{Clock, Secret};
use gatepost_oidc::{
    CredentialsError, Grant, Holder, Provider, Refusal, SignInError, TokenRules, unverified_issuer,
};
use gatepost_store::RevocationList;

mod attempts;
mod credentials;
mod turns;

use attempts::Attempt;
pub use attempts::FailedAttempts;
pub use credentials::Credentials;
use turns::{NoTurn, Turn, Turns};

/// The most credentials about which something is kept, of those that hold and of those that do not.
const MAX_KEPT: u64 = 10_000;

/// For how long credentials that were refused are refused unasked, in seconds.
const REFUSED_SECONDS: u64 = 10;

/// For how long it is remembered that credentials held, in seconds: far longer than they are
/// believed unasked.
const REMEMBERED_SECONDS: u64 = 7 * 24 * 3_600;

/// How many credentials of one application are asked about at a time, and how many of one client or
/// under one name.
const MAX_ASKED_AT_ONCE: usize = 8;
const MAX_ASKED_OF_ONE: usize = 2;

/// As many again, for those that held before: what others make up does not stand in their way.
const MAX_ASKED_AGAIN_AT_ONCE: usize = 4;

/// After how many seconds it is worth coming again when there were too many at once.
const RETRY_AFTER: u64 = 5;

/// By which name authentik's outposts take a token in the place of a password.
const AUTHENTIK_TOKEN_USER: &str = "goauthentik.io/token";

/// What stands for credentials.
type Digest = [u8; 32];

/// The programs of one application.
pub struct MachineClients {
    settings: MachineClientSettings,
    /// As long as a block of SHA-256, which is the length that a MAC takes as it is.
    key: Zeroizing<[u8; 64]>,
    held: Cache<Digest, Arc<MachineClient>>,
    refused: Cache<Digest, (Refusal, NumericDate)>,
    /// Those that held the last time that they were asked about.
    remembered: Cache<Digest, ()>,
    turns: Turns,
    turns_again: Turns,
}

/// Why a machine client's credentials do not let it in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The credentials are invalid.
    #[error("credentials refused: {0}")]
    Refused(#[from] Refusal),
    /// The provider could not be asked, so the credentials may be valid.
    #[error(transparent)]
    NotAnswered(#[from] SignInError),
    /// Too many other credentials are being checked.
    #[error("too many credentials are being checked at the provider")]
    Busy,
    /// The client has sent too many invalid credentials.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl From<CredentialsError> for CheckError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Refused(refusal) => Self::Refused(refusal),
            CredentialsError::NotAnswered(error) => Self::NotAnswered(error),
        }
    }
}

/// A program whose credentials hold.
#[derive(Debug)]
pub struct MachineClient {
    /// Whom it acts for.
    pub holder: Holder,
    /// Its access token.
    pub token: Secret,
    /// Until when that is believed.
    until: NumericDate,
}

impl std::fmt::Debug for MachineClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineClients")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What a check needs beside the credentials.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The invalid credentials of the last minute, at all applications.
    pub failed_attempts: &'a FailedAttempts,
    /// What has been ended: no token counts that is older than the last sign-out of its subject.
    pub revocations: &'a RevocationList,
    /// Tells the time.
    pub clock: &'a Clock,
    /// Where the credentials were sent.
    pub application: &'a Application,
    /// How long sessions last: no token is taken that is older than one may become.
    pub times: &'a SessionTimes,
    /// Who sent them, where the proxy says so.
    pub client: Option<Client>,
}

/// How a provider is asked about credentials.
#[derive(Clone, Copy, Debug)]
enum Asking {
    /// Not at all.
    Unasked,
    /// About some that held before.
    Again(Attempt),
    /// About others.
    Attempt(Attempt),
}

impl Asking {
    fn attempt(self) -> Option<Attempt> {
        match self {
            Self::Unasked => None,
            Self::Again(attempt) | Self::Attempt(attempt) => Some(attempt),
        }
    }
}

impl MachineClients {
    /// Returns the machine clients of an application, of which nothing is known yet but by
    /// `previous`: the same application and its machine clients before the settings changed. `None`
    /// when the operating system has no randomness.
    ///
    /// What was found out counts further where it would come out the same: with the same settings,
    /// providers and claims.
    pub fn new(
        settings: MachineClientSettings,
        application: &Application,
        previous: Option<(&Application, &Self)>,
    ) -> Option<Self> {
        let alike = previous.filter(|(before, clients)| {
            clients.settings == settings && asks_alike(before, application)
        });
        let held = alike.map_or_else(
            || kept(settings.cache),
            |(_, previous)| previous.held.clone(),
        );
        let previous = previous.map(|(_, clients)| clients);
        let (key, remembered) = match previous {
            Some(previous) => (previous.key.clone(), previous.remembered.clone()),
            None => {
                let mut key = Zeroizing::new([0; 64]);
                getrandom::fill(&mut *key).ok()?;
                (key, kept(REMEMBERED_SECONDS))
            }
        };
        Some(Self {
            held,
            refused: kept(REFUSED_SECONDS),
            remembered,
            turns: Turns::new(MAX_ASKED_AT_ONCE, MAX_ASKED_OF_ONE),
            turns_again: Turns::new(MAX_ASKED_AGAIN_AT_ONCE, MAX_ASKED_OF_ONE),
            key,
            settings,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &MachineClientSettings {
        &self.settings
    }

    /// Says who brings credentials. One request at a time asks about the same ones, and the others
    /// get what it learns.
    ///
    /// # Errors
    ///
    /// [`CheckError`]; to those who wait for another's answer as well.
    pub async fn check(
        &self,
        context: Context<'_>,
        credentials: Credentials,
    ) -> Result<Arc<MachineClient>, Arc<CheckError>> {
        let credentials = self.understood(credentials);
        let digest = self.digest(&credentials);
        let now = context.clock.now();
        if let Some((refusal, until)) = self.refused.get(&digest).await
            && now < until
        {
            return Err(Arc::new(refusal.into()));
        }
        if let Some(machine) = self.held.get(&digest).await {
            if now < machine.until && !context.is_revoked(&machine) {
                return Ok(machine);
            }
            self.held.invalidate(&digest).await;
        }
        let asking = self.asking(context, &credentials, &digest).await?;
        let look = self.look(context, &credentials, asking);
        let machine = match self.held.try_get_with(digest, look).await {
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
            self.held.invalidate(&digest).await;
            return Err(Arc::new(Refusal::Revoked.into()));
        }
        Ok(machine)
    }

    /// What authentik's users write as a password and mean as a token.
    fn understood(&self, credentials: Credentials) -> Credentials {
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

    /// How the provider is to be asked about credentials.
    ///
    /// # Errors
    ///
    /// [`CheckError::TooMany`] of a client that has brought too many that do not hold. It is
    /// said of the client's own request, before that joins others which bring the same.
    async fn asking(
        &self,
        context: Context<'_>,
        credentials: &Credentials,
        digest: &Digest,
    ) -> Result<Asking, CheckError> {
        let name = match credentials {
            // Verified here: the provider is not asked, and there is nothing to guess.
            Credentials::Bearer(_) if !self.settings.tokens.introspect => {
                return Ok(Asking::Unasked);
            }
            Credentials::Bearer(_) => None,
            Credentials::Basic { user, .. } => Some(user.as_str()),
        };
        let attempts = context.failed_attempts;
        let attempt = attempts.attempt(context.client, name);
        if self.remembered.contains_key(digest) {
            return Ok(Asking::Again(attempt));
        }
        attempts.allow(attempt).await?;
        Ok(Asking::Attempt(attempt))
    }

    /// Asks about credentials, and notes for the log what came of it.
    async fn look(
        &self,
        context: Context<'_>,
        credentials: &Credentials,
        asking: Asking,
    ) -> Result<Arc<MachineClient>, CheckError> {
        let (application, scheme) = (context.application, credentials.scheme());
        let provider = self.provider_of(credentials, &application.providers);
        let looked = match provider {
            Ok(provider) => self.ask(context, provider, credentials, asking).await,
            Err(refusal) => Err(refusal.into()),
        };
        match &looked {
            Ok(machine) => audit::machine_let_in(
                application.audience.as_str(),
                scheme,
                &machine.holder.identity,
            ),
            Err(CheckError::Refused(refusal)) => {
                let issuer = provider.ok().map(|provider| &provider.settings().issuer);
                audit::machine_refused(
                    application.audience.as_str(),
                    issuer.map(|issuer| issuer.as_str()),
                    scheme,
                    refusal,
                );
            }
            Err(CheckError::NotAnswered(_) | CheckError::Busy | CheckError::TooMany(_)) => {}
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
            Credentials::Bearer(token) => unverified_issuer(token),
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
        context: Context<'_>,
        provider: &Provider,
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
        let answer = self.answer(context, provider, credentials).await;
        if let (Err(CheckError::Refused(_)), Some(attempt)) = (&answer, asking.attempt())
            && attempts.failed(attempt).await
        {
            let client = attempt.client().map(|client| client.to_string());
            tracing::warn!(
                application = %context.application.audience,
                client,
                "a client brings too many credentials that do not hold and is answered 429"
            );
        }
        answer
    }

    /// What comes of credentials, which a provider may have to be asked about.
    async fn answer(
        &self,
        context: Context<'_>,
        provider: &Provider,
        credentials: &Credentials,
    ) -> Result<MachineClient, CheckError> {
        let application = context.application;
        let clock = context.clock;
        let token = match credentials {
            Credentials::Bearer(token) => token.clone(),
            Credentials::Basic { user, password } => {
                provider
                    .token_for(user, password, &self.settings.exchange)
                    .await?
            }
        };
        let extra: Vec<String> = application.headers.claims().map(str::to_owned).collect();
        let rules = TokenRules {
            settings: &self.settings.tokens,
            extra: &extra,
            max_age: application.lifetime(context.times),
            now: clock.now(),
        };
        let holder = provider.holder(&token, rules).await?;
        let until = clock
            .now()
            .plus_seconds(self.settings.cache)
            .min(holder.expires);
        let machine = MachineClient {
            holder,
            token,
            until,
        };
        if context.is_revoked(&machine) {
            return Err(Refusal::Revoked.into());
        }
        Ok(machine)
    }

    async fn turn(&self, asking: Asking) -> Result<Option<Turn<'_>>, CheckError> {
        let turn = match asking {
            Asking::Unasked => return Ok(None),
            Asking::Again(attempt) => self.turns_again.take(attempt.lines()).await,
            Asking::Attempt(attempt) => self.turns.take(attempt.lines()).await,
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

impl Context<'_> {
    /// Whether whom a program acts for was signed out altogether after its token was made.
    fn is_revoked(&self, machine: &MachineClient) -> bool {
        let Holder {
            identity, issued, ..
        } = &machine.holder;
        self.revocations
            .tokens_revoked_at(&identity.issuer, &identity.subject)
            .is_some_and(|at| *issued <= at)
    }
}

impl MachineClient {
    /// The session that the application's policy decides on. It is nobody's cookie.
    ///
    /// # Errors
    ///
    /// [`SignError`] when no session can be of this identity.
    pub fn session(
        &self,
        application: &Application,
        now: NumericDate,
    ) -> Result<Authentic, SignError> {
        let claims = self.holder.identity.clone().into_claims(
            application.audience.to_string(),
            // There is none to find by it.
            SessionId::from_random([0; 24]),
            now,
            self.until,
            self.until,
        );
        application.signer.vouch_for(&claims)
    }
}

/// Returns whether providers would say the same of credentials to both.
fn asks_alike(one: &Application, other: &Application) -> bool {
    let providers = |application: &Application| {
        let all = application.providers.iter();
        all.map(Arc::as_ptr).collect::<Vec<_>>()
    };
    one.headers == other.headers && providers(one) == providers(other)
}

/// A cache of what is found out about credentials. What is out of date is noticed by the outpost's
/// clock; this frees its memory.
fn kept<T: Clone + Send + Sync + 'static>(seconds: u64) -> Cache<Digest, T> {
    Cache::builder()
        .max_capacity(MAX_KEPT)
        .time_to_live(Duration::from_secs(seconds.max(1)))
        .build()
}
