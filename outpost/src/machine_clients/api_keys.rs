//! Checks API keys against the store.
//!
//! The store is asked for each request, so that a key that an operator revokes is refused by every
//! replica from then on, and no key is accepted while the store is away.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatepost_base::{Identity, Secret};
use gatepost_oidc::Holder;
use gatepost_policy::Scheme;
use gatepost_store::{ApiKeyId, ApiKeyRecord, ApiKeyUsage, Store, StoreUnavailable, StoredApiKey};
use moka::future::Cache;
use serde_json::Map;
use sha2::{Digest as _, Sha256};

use super::api_key::ApiKey;
use super::check_error::{ApiKeyRefusal, CheckError};
use super::context::Context;
use super::machine_client::MachineClient;
use crate::telemetry::audit;

/// What is in the place of a provider's issuer in the identity of a key.
const ISSUER: &str = "urn:gatepost:api-key";

/// How many keys each cache remembers.
const MAX_REMEMBERED: u64 = 10_000;

/// How long a refused key is refused without asking the store.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// How long a key that was valid is not limited by what others at its address send.
const VALID_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How often the audit log has a line about a key in use.
const LOGGED_EVERY: Duration = Duration::from_secs(300);

/// How long the identity of one request counts, in seconds: for that request alone.
const REQUEST_SECONDS: u64 = 60;

/// A digest of a key. The caches have no keys.
type KeyDigest = [u8; 32];

/// The API keys of all applications.
pub struct ApiKeys {
    store: Arc<dyn Store>,
    /// Keys that were refused a moment ago, by application.
    refused: Cache<(KeyDigest, String), ApiKeyRefusal>,
    /// Keys that were valid.
    valid: Cache<KeyDigest, ()>,
    logged: Cache<(KeyDigest, String), ()>,
    /// Keys that could not be read, and of which the log has a line.
    unreadable: Cache<ApiKeyId, ()>,
    /// The usage that the store does not know of yet.
    usage: Mutex<HashMap<ApiKeyId, ApiKeyUsage>>,
    /// Held while the usage is written.
    writing: tokio::sync::Mutex<()>,
}

impl ApiKeys {
    /// Returns the keys in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            refused: cache(REFUSED_FOR),
            valid: cache(VALID_FOR),
            logged: cache(LOGGED_EVERY),
            unreadable: cache(LOGGED_EVERY),
            usage: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Checks a key that a client has sent to an application.
    ///
    /// # Errors
    ///
    /// [`CheckError`].
    pub async fn check(
        &self,
        context: Context<'_>,
        sent: &Secret,
    ) -> Result<Arc<MachineClient>, Arc<CheckError>> {
        let application = context.application.audience().as_str();
        let digest: KeyDigest = Sha256::digest(sent.expose()).into();
        let place = (digest, application.to_owned());
        if let Some(refusal) = self.refused.get(&place).await {
            return Err(Arc::new(refusal.into()));
        }
        match self.ask(context, sent, digest).await {
            Ok(record) => {
                let identity = identity(&record);
                let is_logged = self.logged.contains_key(&place);
                if !is_logged {
                    self.logged.insert(place, ()).await;
                }
                audit::api_key_accepted(application, &record.id, &identity, !is_logged);
                self.valid.insert(digest, ()).await;
                let now = context.clock.now();
                self.note(
                    &record.id,
                    ApiKeyUsage {
                        count: 1,
                        last: Some(now),
                    },
                );
                Ok(Arc::new(MachineClient {
                    holder: Holder {
                        identity,
                        issued: Some(record.created),
                        expires: record.ends,
                        claims: Map::new(),
                    },
                    token: None,
                    obtained: None,
                    until: record.ends.min(now.plus_seconds(REQUEST_SECONDS)),
                }))
            }
            Err(CheckError::ApiKey(refusal)) => {
                audit::machine_client_refused(application, None, Scheme::ApiKey, &refusal);
                self.valid.invalidate(&digest).await;
                self.refused.insert(place, refusal).await;
                Err(Arc::new(refusal.into()))
            }
            Err(error) => Err(Arc::new(error)),
        }
    }

    async fn ask(
        &self,
        context: Context<'_>,
        sent: &Secret,
        digest: KeyDigest,
    ) -> Result<ApiKeyRecord, CheckError> {
        let application = context.application;
        if !application.policy().machine_clients.api_key {
            return Err(ApiKeyRefusal::NotAccepted.into());
        }
        let key = ApiKey::parse(sent.expose()).ok_or(ApiKeyRefusal::Malformed)?;
        let attempts = context.failed_attempts;
        let attempt = attempts.attempt(context.client, None);
        if !self.valid.contains_key(&digest) {
            attempts.allow(attempt).await?;
        }
        // Asked first, since the store may have lost the removal. A revoked key is real, so that it does not
        // count as a guess.
        if context.revocations.is_api_key_revoked(key.id()) {
            return Err(ApiKeyRefusal::Revoked.into());
        }
        let record = match self.store.find_api_key(key.id()).await? {
            Some(StoredApiKey { record: None, id }) => {
                self.report_unreadable(&id).await;
                return Err(StoreUnavailable::new("the API key's record cannot be opened").into());
            }
            stored => stored.and_then(|stored| stored.record),
        };
        let Some(record) = record.filter(|record| key.is_of(record)) else {
            // No other refusal is a guess: those keys are real.
            if attempts.failed(attempt).await {
                let client = attempt.client().map(|client| client.to_string());
                tracing::warn!(
                    application = %application.audience(),
                    client,
                    "a client sends too many unknown API keys and is answered 429"
                );
            }
            return Err(ApiKeyRefusal::Unknown.into());
        };
        if record.ends <= context.clock.now() {
            return Err(ApiKeyRefusal::Ended.into());
        }
        let own = application.audience().as_str();
        if !record.applications.iter().any(|name| name == own) {
            return Err(ApiKeyRefusal::Application.into());
        }
        Ok(record)
    }

    /// Logs that no key of the ring opens a record: at times, since anyone who knows the id can ask.
    async fn report_unreadable(&self, id: &ApiKeyId) {
        if self.unreadable.contains_key(id) {
            return;
        }
        self.unreadable.insert(id.clone(), ()).await;
        tracing::error!(
            key = %id,
            "an API key is in the store, and no key of `keys` opens it: it is answered 503. Put the \
             key of the ring back that was there before, or revoke the API key"
        );
    }

    /// Writes how keys were used to the store. What it does not take is written the next time.
    ///
    /// Returns after what an earlier call has taken is written too: the last call of a process must
    /// not leave that behind.
    pub async fn write_usage(&self) {
        let _writing = self.writing.lock().await;
        let mut used = mem::take(&mut *self.usage());
        if used.is_empty() {
            return;
        }
        if let Err(error) = self.store.note_api_key_usage(&mut used).await {
            tracing::warn!(%error, "the use of API keys cannot be written");
        }
        for (id, usage) in used {
            self.note(&id, usage);
        }
    }

    fn note(&self, id: &ApiKeyId, usage: ApiKeyUsage) {
        let mut all = self.usage();
        let noted = all.entry(id.clone()).or_default();
        *noted = noted.and(usage);
    }

    fn usage(&self) -> MutexGuard<'_, HashMap<ApiKeyId, ApiKeyUsage>> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeys")
    }
}

/// Returns who sends a key.
fn identity(record: &ApiKeyRecord) -> Identity {
    Identity {
        issuer: ISSUER.to_owned(),
        subject: record.subject.clone(),
        preferred_username: Some(record.subject.clone()),
        email: record.email.clone(),
        groups: record.groups.clone(),
        // What the operator grants, and not all that its owner is in.
        groups_whole: false,
        ..Identity::default()
    }
}

fn cache<K, V>(time: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let cache = Cache::builder().max_capacity(MAX_REMEMBERED);
    cache.time_to_live(time).build()
}
