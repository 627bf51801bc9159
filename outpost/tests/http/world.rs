//! An outpost and its provider.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use gatepost::config::Config;
use gatepost::runtime::Outpost;
use gatepost::web;
use gatepost_base::{Clock, Device};
use gatepost_session::{KeyRing, NumericDate, SessionId};
use gatepost_store::{
    ApiKeyId, ApiKeyRecord, ApiKeyStore, ApiKeyUsage, EndOutcome, EndRequest, MemoryStore,
    RenewalLock, Revocation, RevocationLog, SessionRecord, SessionStore, Store, StoreUnavailable,
    StoredApiKey, UsedOnce,
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::browser::{Browser, Reply};
use crate::provider::{CLIENT_ID, CLIENT_SECRET, Provider};

pub(crate) const KEY_A: &str = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";

/// `app` and `app2` on hosts of their own, `intranet` for a domain, and `admin`, which takes
/// admins only.
const APPLICATIONS: &str = "
applications:
  - {name: app, externalUrl: 'https://app.example.com', public: ['/public/*', 'GET=/hook']}
  - {name: app2, externalUrl: 'https://app2.example.com'}
  - {name: admin, externalUrl: 'https://admin.example.com', require: {groups: [admins]}}
  - {name: root, externalUrl: 'https://root.example.com', require: {groups: [root]}}
  - {name: plain, externalUrl: 'http://plain.localhost:8080', headers: {preset: authentik}}
  - {name: intranet, mode: domain, externalUrl: 'https://auth.example.org',
     cookieDomain: example.org}
";

/// Returns the time by every clock of this test, in seconds since the Unix epoch.
///
/// It stands still until the test [waits](World::wait): a test, and not how busy the machine is, decides what
/// has expired.
pub(crate) fn now() -> u64 {
    NOW.with(|now| now.load(Ordering::Relaxed))
}

thread_local! {
    /// The tests' runtimes have one thread each, which the provider shares.
    static NOW: Arc<AtomicU64> = {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Arc::new(AtomicU64::new(since.expect("a date").as_secs()))
    };
}

/// Returns the clock of this test.
pub(crate) fn clock() -> Clock {
    let now = NOW.with(Arc::clone);
    Clock::new(move || NumericDate::from_seconds(now.load(Ordering::Relaxed)))
}

/// Lets time pass by every clock of this test.
pub(crate) fn wait(seconds: u64) {
    NOW.with(|now| now.fetch_add(seconds, Ordering::Relaxed));
}

/// The longest that an answer takes that waits for nothing, on a machine that is busy: half of what a
/// request waits at most, for another replica or for a provider.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(10);

/// Waits until a condition holds, and fails where it does not within a minute.
///
/// `what` completes the sentence "timed out waiting for …".
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        let elapsed = begun.elapsed();
        assert!(
            elapsed < Duration::from_secs(60),
            "timed out waiting for {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) struct World {
    pub(crate) outpost: Arc<Outpost>,
    pub(crate) provider: Provider,
    pub(crate) store: Arc<FallibleStore>,
    router: Router,
}

impl World {
    /// Starts an outpost that has discovered its provider.
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// The same with further settings.
    pub(crate) async fn with(more: &str) -> Self {
        let world = Self::without_provider(more).await;
        world.find_provider().await;
        world
    }

    /// Starts an outpost with further settings, which has not discovered its provider.
    pub(crate) async fn without_provider(more: &str) -> Self {
        let provider = Provider::start().await;
        let yaml = configuration(&provider, KEY_A, more);
        Self::configured(provider, &yaml)
    }

    /// Starts an outpost with this configuration, which names the provider.
    pub(crate) fn configured(provider: Provider, yaml: &str) -> Self {
        let config = Config::parse(yaml, []).expect("a configuration");
        Self::of(provider, &config)
    }

    /// Starts an outpost with this configuration, which names the provider.
    pub(crate) fn of(provider: Provider, config: &Config) -> Self {
        let store = Arc::new(FallibleStore::default());
        let outpost = Outpost::with_store(config, clock(), Arc::clone(&store) as _);
        let outpost = outpost.expect("an outpost");
        let router = web::router(Arc::clone(&outpost));
        Self {
            outpost,
            provider,
            store,
            router,
        }
    }

    /// Another replica of this outpost, on the same store, which has found the provider. Its
    /// configuration is that of [`World::new`].
    pub(crate) async fn replica(&self) -> Self {
        self.replica_with("").await
    }

    /// The same with further settings.
    pub(crate) async fn replica_with(&self, more: &str) -> Self {
        let config = Config::parse(&configuration(&self.provider, KEY_A, more), []);
        let store = Arc::clone(&self.store);
        let clock = self.outpost.clock.clone();
        let outpost = Outpost::with_store(&config.expect("a configuration"), clock, store as _);
        let outpost = outpost.expect("an outpost");
        let router = web::router(Arc::clone(&outpost));
        let replica = Self {
            outpost,
            provider: self.provider.clone(),
            store: Arc::clone(&self.store),
            router,
        };
        replica.find_provider().await;
        replica
    }

    pub(crate) async fn find_provider(&self) {
        for provider in &self.outpost.snapshot().providers {
            provider.discover().await.expect("the provider answers");
        }
    }

    /// Lets time pass by every clock of this test: the outpost's, and the provider's.
    pub(crate) fn wait(&self, seconds: u64) {
        wait(seconds);
    }

    /// Waits until the store has no session any more.
    pub(crate) async fn until_no_session_is_left(&self, case: &str) {
        let store = &self.outpost.store;
        let what = format!("the last session to end: {case}");
        until(&what, async || {
            store.list(10).await.expect("listed").is_empty()
        })
        .await;
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser::new(self)
    }

    /// Sends a request from this address.
    pub(crate) async fn send_from(&self, peer: &str, mut request: Request<Body>) -> Reply {
        let peer: SocketAddr = peer.parse().expect("an address");
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("text");
        Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Asks `auth/DIALECT` with these headers, as a trusted proxy does.
    pub(crate) async fn ask(&self, endpoint: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask_from("127.0.0.1:4000", endpoint, headers).await
    }

    pub(crate) async fn ask_from(
        &self,
        peer: &str,
        endpoint: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        self.ask_at(peer, &format!("/akprox/{endpoint}"), headers)
            .await
    }

    /// Asks at a path of any prefix.
    pub(crate) async fn ask_at(&self, peer: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::get(path);
        if headers
            .iter()
            .all(|(name, _)| !name.eq_ignore_ascii_case("host"))
        {
            request = request.header("Host", "outpost:9000");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send_from(peer, request.body(Body::empty()).expect("a request"))
            .await
    }
}

pub(crate) fn configuration(provider: &Provider, keys: &str, more: &str) -> String {
    let issuer = &provider.issuer;
    let applications = if more.contains("applications:") {
        ""
    } else {
        APPLICATIONS
    };
    format!(
        "
keys: ['{keys}']
trustedProxies: [127.0.0.1]
providers:
  - {{name: main, issuer: '{issuer}', clientId: {CLIENT_ID}, clientSecret: '{CLIENT_SECRET}'}}
{applications}
{more}
"
    )
}

impl Reply {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        let expected = StatusCode::from_u16(status).expect("a status");
        assert_eq!(self.status, expected, "{:#?}\n{}", self.headers, self.body);
        self
    }
}

/// A store that can be away.
#[derive(Debug)]
pub(crate) struct FallibleStore {
    inner: Mutex<Arc<MemoryStore>>,
    pub(crate) away: AtomicBool,
    /// How many more requests it answers before it goes away, if that is to happen.
    pub(crate) answers: Mutex<Option<u32>>,
    /// Whether it goes away whenever something is to be ended.
    pub(crate) keeps_all: AtomicBool,
    /// Whether it goes away whenever something was ended.
    pub(crate) loses_answers: AtomicBool,
    /// Whether another replica, which may be dead, has the right to every renewal.
    pub(crate) locked_elsewhere: AtomicBool,
    /// Whether it has API keys that it cannot open.
    pub(crate) unreadable: AtomicBool,
    /// How often it was asked for an API key.
    pub(crate) searches: AtomicU64,
    pub(crate) usage_writes: AtomicU64,
}

impl Default for FallibleStore {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Arc::new(MemoryStore::new(1_000))),
            away: AtomicBool::new(false),
            answers: Mutex::new(None),
            keeps_all: AtomicBool::new(false),
            loses_answers: AtomicBool::new(false),
            locked_elsewhere: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
            searches: AtomicU64::new(0),
            usage_writes: AtomicU64::new(0),
        }
    }
}

impl FallibleStore {
    fn reached(&self) -> Result<Arc<MemoryStore>, StoreUnavailable> {
        let mut answers = self.answers.lock().expect("a number");
        let answered = answers.as_mut().is_none_or(|left| {
            let is_there = *left > 0;
            *left = left.saturating_sub(1);
            is_there
        });
        if self.away.load(Ordering::Relaxed) || !answered {
            Err(StoreUnavailable::new("away"))
        } else {
            Ok(Arc::clone(&self.inner.lock().expect("a store")))
        }
    }

    fn opened(&self, key: StoredApiKey) -> StoredApiKey {
        let is_readable = !self.unreadable.load(Ordering::Relaxed);
        StoredApiKey {
            record: key.record.filter(|_| is_readable),
            ..key
        }
    }

    /// Loses everything.
    pub(crate) fn forget(&self) {
        *self.inner.lock().expect("a store") = Arc::new(MemoryStore::new(1_000));
    }
}

#[async_trait::async_trait]
impl SessionStore for FallibleStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        self.reached()?.insert(record).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        self.reached()?.find(id).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        self.reached()?.touch(id, now, window_ends).await
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        self.reached()?.update(record).await
    }

    async fn write_device(
        &self,
        id: &SessionId,
        device: &Device,
    ) -> Result<bool, StoreUnavailable> {
        self.reached()?.write_device(id, device).await
    }

    async fn end(&self, request: &EndRequest) -> Result<EndOutcome, StoreUnavailable> {
        if self.keeps_all.load(Ordering::Relaxed) {
            return Err(StoreUnavailable::new("it went away"));
        }
        let outcome = self.reached()?.end(request).await?;
        if self.loses_answers.load(Ordering::Relaxed) {
            return Err(StoreUnavailable::new("the answer was lost"));
        }
        Ok(outcome)
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        self.reached()?.list(limit).await
    }

    async fn lock_renewal(&self, lock: &RenewalLock) -> Result<bool, StoreUnavailable> {
        let reached = self.reached()?;
        if self.locked_elsewhere.load(Ordering::Relaxed) {
            return Ok(false);
        }
        reached.lock_renewal(lock).await
    }

    async fn unlock_renewal(&self, lock: &RenewalLock) -> Result<(), StoreUnavailable> {
        self.reached()?.unlock_renewal(lock).await
    }
}

#[async_trait::async_trait]
impl RevocationLog for FallibleStore {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        self.reached()?.revoke(revocations).await
    }

    async fn revocation_revision(&self) -> Result<u64, StoreUnavailable> {
        self.reached()?.revocation_revision().await
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        self.reached()?.revocations(now).await
    }
}

#[async_trait::async_trait]
impl UsedOnce for FallibleStore {
    async fn was_used(&self, value: &str, now: NumericDate) -> Result<bool, StoreUnavailable> {
        self.reached()?.was_used(value, now).await
    }

    async fn use_once(
        &self,
        value: &str,
        now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        self.reached()?.use_once(value, now, expires).await
    }
}

#[async_trait::async_trait]
impl ApiKeyStore for FallibleStore {
    async fn insert_api_key(&self, record: ApiKeyRecord) -> Result<(), StoreUnavailable> {
        self.reached()?.insert_api_key(record).await
    }

    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<StoredApiKey>, StoreUnavailable> {
        self.searches.fetch_add(1, Ordering::Relaxed);
        let found = self.reached()?.find_api_key(id).await?;
        Ok(found.map(|key| self.opened(key)))
    }

    async fn note_api_key_usage(
        &self,
        used: &mut HashMap<ApiKeyId, ApiKeyUsage>,
    ) -> Result<(), StoreUnavailable> {
        // Others go on while a store writes.
        tokio::task::yield_now().await;
        self.usage_writes.fetch_add(1, Ordering::Relaxed);
        self.reached()?.note_api_key_usage(used).await
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreUnavailable> {
        let removed = self.reached()?.remove_api_key(id).await;
        if self.loses_answers.load(Ordering::Relaxed) {
            return Err(StoreUnavailable::new("away since then"));
        }
        removed
    }

    async fn api_keys(&self, limit: usize) -> Result<Vec<StoredApiKey>, StoreUnavailable> {
        let listed = self.reached()?.api_keys(limit).await?.into_iter();
        Ok(listed.map(|key| self.opened(key)).collect())
    }
}

#[async_trait::async_trait]
impl Store for FallibleStore {
    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable> {
        self.reached()?.sweep(now, idle).await
    }

    async fn check_writable(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        self.reached()?.check_writable(now).await
    }

    fn use_keys(&self, _ring: &KeyRing) {}
}
