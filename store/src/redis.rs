//! A store in Redis, for several replicas. It needs Redis 7 or Valkey.
//!
//! Every operation is about one key, so that a cluster accepts it. All keys begin with a prefix:
//!
//! | key | content | expires |
//! | --- | --- | --- |
//! | `session:ID` | the session sealed, and its times | when the session ends |
//! | `owner:HASH` | the ids of the sessions with this index key | with the last of them |
//! | `sessions` | all ids by last use | entries by the sweep |
//! | `revoked` | revocations by expiry, and a stamp of the last change | entries by the sweep |
//! | `used:VALUE` | a single-use value | with its own expiry |
//! | `renewing:ID` | the process that renews the session | after [`RenewalLock::LEASE`] |
//! | `apikey:ID` | an API key sealed, and its usage | when the key ends |
//! | `apikeys` | the ids of all API keys by their ends | entries by the sweep |
//! | `writable` | the last check that writes are accepted | after a minute |

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gatepost_base::{Device, SealingKeys};
use gatepost_session::{KeyRing, NumericDate, Purpose, SessionId};
use redis::{Cmd, Value, cmd, pipe};

use self::client::RedisClient;
use crate::finished::Finished;
use crate::sealed;
use crate::{
    EndOutcome, EndRequest, Recovery, RenewalLock, SessionRecord, SessionStore, Store,
    StoreUnavailable, UsedOnce,
};

mod api_keys;
mod client;
mod connection;
mod end;
mod log;
mod scripts;
mod tls;
mod url;

pub use tls::{InvalidRedisTls, RedisTls};
pub use url::{InvalidRedisUrl, RedisUrl};

/// How many sessions or revocations one step handles.
const BATCH: usize = 500;

/// Attempts to change a session that others change at the same time.
const WRITE_ATTEMPTS: u32 = 10;

/// What [`scripts::UPDATE`] returns where it changes nothing, since the session has got a device, or
/// has been bound to it.
const BOUND_MEANWHILE: u8 = 2;

/// The fields of a session's hash: `body`, `seen`, `open` and `ends`.
type Fields = (Option<Vec<u8>>, Option<u64>, Option<u64>, Option<u64>);

/// A store in Redis.
pub struct RedisStore {
    client: RedisClient,
    prefix: String,
    capacity: usize,
    keys: ArcSwap<SealingKeys>,
    recovery: Recovery,
    finished: Finished,
}

impl RedisStore {
    /// Makes a store at this address, and connects when it is first used. `recovery` applies when
    /// Redis has lost what was there.
    pub fn new(
        url: &RedisUrl,
        tls: &RedisTls,
        prefix: &str,
        capacity: usize,
        ring: &KeyRing,
        recovery: Recovery,
    ) -> Self {
        Self {
            client: RedisClient::new(url, tls),
            prefix: prefix.to_owned(),
            capacity: capacity.max(1),
            keys: ArcSwap::from_pointee(SealingKeys::new(ring, Purpose::Store)),
            recovery,
            finished: Finished::default(),
        }
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{name}", self.prefix)
    }

    fn session_key(&self, id: &str) -> String {
        self.key("session", id)
    }

    fn owner_key(&self, index_key: &str) -> String {
        self.key("owner", index_key)
    }

    fn sessions_key(&self) -> String {
        format!("{}sessions", self.prefix)
    }

    fn seal(&self, record: &SessionRecord) -> Result<Vec<u8>, StoreUnavailable> {
        sealed::seal(record, &self.keys.load())
            .ok_or_else(|| StoreUnavailable::new("no randomness"))
    }

    fn open(&self, id: &str, fields: Fields) -> Option<Arc<SessionRecord>> {
        let (Some(body), Some(seen), Some(open), Some(ends)) = fields else {
            return None;
        };
        let times = sealed::Times {
            last_seen: NumericDate::from_seconds(seen),
            window_ends: NumericDate::from_seconds(open),
            ends: NumericDate::from_seconds(ends),
        };
        let id = SessionId::parse(id)?;
        sealed::open(&id, &body, times, &self.keys.load()).map(Arc::new)
    }

    async fn read(&self, id: &str) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let fields = self.read_fields(id).await?;
        Ok(fields.and_then(|fields| self.open(id, fields)))
    }

    async fn read_fields(&self, id: &str) -> Result<Option<Fields>, StoreUnavailable> {
        let mut read = cmd("HMGET");
        read.arg(self.session_key(id))
            .arg(&["body", "seen", "open", "ends"]);
        self.client.query_if_readable(&read).await
    }

    /// Records in the list of all sessions when this one was last used.
    async fn record_use(&self, id: &SessionId, at: NumericDate) -> Result<(), StoreUnavailable> {
        let mut add = cmd("ZADD");
        add.arg(self.sessions_key())
            .arg("GT")
            .arg(at.as_seconds())
            .arg(id.expose());
        self.client.query(&add).await
    }

    /// Extends the expiry of a key to a time, and never shortens it.
    async fn expire_not_before(&self, key: &str, at: NumericDate) -> Result<(), StoreUnavailable> {
        let mut expire = pipe();
        for condition in ["NX", "GT"] {
            expire
                .cmd("EXPIREAT")
                .arg(key)
                .arg(at.as_seconds())
                .arg(condition)
                .ignore();
        }
        self.client.query_pipeline(&expire).await
    }

    /// Returns at most `limit` ids, those unused for longest first; if `until` is set, only those
    /// that were last used by then.
    async fn least_recently_used(
        &self,
        until: Option<NumericDate>,
        limit: usize,
    ) -> Result<Vec<String>, StoreUnavailable> {
        self.listed(&self.sessions_key(), until, limit).await
    }

    /// Returns at most `limit` members of a list whose scores are times, the earliest first; if `until`
    /// is set, only those up to then.
    async fn listed(
        &self,
        list: &str,
        until: Option<NumericDate>,
        limit: usize,
    ) -> Result<Vec<String>, StoreUnavailable> {
        let latest = until.map_or("+inf".to_owned(), |at| at.as_seconds().to_string());
        let mut read = cmd("ZRANGE");
        read.arg(list)
            .arg("-inf")
            .arg(latest)
            .arg("BYSCORE")
            .arg("LIMIT")
            .arg(0)
            // A negative number means all.
            .arg(i64::try_from(limit).unwrap_or(-1));
        self.client.query(&read).await
    }

    async fn count(&self) -> Result<usize, StoreUnavailable> {
        let mut count = cmd("ZCARD");
        count.arg(self.sessions_key());
        self.client.query(&count).await
    }
}

/// Returns a command that runs a script about one key.
fn script(text: &str, key: &str) -> Cmd {
    let mut script = cmd("EVAL");
    script.arg(text).arg(1).arg(key);
    script
}

#[async_trait::async_trait]
impl SessionStore for RedisStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        self.make_room(record.last_seen).await?;
        let key = self.session_key(record.id.expose());
        let sealed = self.seal(&record)?;
        let mut insert = pipe();
        insert
            .atomic()
            .cmd("HSET")
            .arg(&key)
            .arg("body")
            .arg(sealed)
            .arg("seen")
            .arg(record.last_seen.as_seconds())
            .arg("open")
            .arg(record.window_ends.as_seconds())
            .arg("ends")
            .arg(record.ends.as_seconds())
            .arg("validated")
            .arg(record.last_validated.as_seconds())
            .ignore()
            .cmd("EXPIREAT")
            .arg(&key)
            .arg(record.ends.as_seconds())
            .ignore();
        // The lists first: a session that is in none of them could not be ended.
        for index_key in sealed::index_keys(&record) {
            let key = self.owner_key(&index_key);
            let mut add = cmd("SADD");
            add.arg(&key).arg(record.id.expose());
            self.client.query::<()>(&add).await?;
            self.expire_not_before(&key, record.ends).await?;
        }
        self.record_use(&record.id, record.last_seen).await?;
        self.client.query_pipeline::<()>(&insert).await?;
        // An ending in between has found no session, and removed the id from the list.
        self.record_use(&record.id, record.last_seen).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        self.read(id.expose()).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let mut touch = script(scripts::TOUCH, &self.session_key(id.expose()));
        touch.arg(now.as_seconds()).arg(window_ends.as_seconds());
        let fields: Option<Option<Fields>> = self.client.query_if_readable(&touch).await?;
        let Some(fields) = fields.flatten() else {
            return Ok(None);
        };
        self.record_use(id, now).await?;
        Ok(self.open(id.expose(), fields))
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        let update = async |record: &SessionRecord| {
            let mut update = script(scripts::UPDATE, &self.session_key(record.id.expose()));
            update
                .arg(self.seal(record)?)
                .arg(record.last_validated.as_seconds());
            self.client.query::<u8>(&update).await
        };
        let mut outcome = update(&record).await?;
        if outcome == BOUND_MEANWHILE {
            let Some(stored) = self.read(record.id.expose()).await? else {
                return Ok(false);
            };
            outcome = update(&record.with_device_of(&stored)).await?;
        }
        if outcome == BOUND_MEANWHILE {
            return Err(StoreUnavailable::new("a session of a later version"));
        }
        Ok(outcome == 1)
    }

    async fn write_device(
        &self,
        id: &SessionId,
        device: &Device,
    ) -> Result<bool, StoreUnavailable> {
        for _ in 0..WRITE_ATTEMPTS {
            let Some(fields) = self.read_fields(id.expose()).await? else {
                return Ok(false);
            };
            let read = fields.0.clone().unwrap_or_default();
            let Some(record) = self.open(id.expose(), fields) else {
                return Ok(false);
            };
            let Some(device) = device.clone().written_over(record.device.as_ref()) else {
                return Ok(false);
            };
            let changed = SessionRecord {
                device: Some(device),
                ..(*record).clone()
            };
            let mut replace = script(scripts::REPLACE, &self.session_key(id.expose()));
            replace.arg(read).arg(self.seal(&changed)?);
            if self.client.query(&replace).await? {
                return Ok(true);
            }
        }
        Err(StoreUnavailable::new("a session changes all the time"))
    }

    async fn end(&self, request: &EndRequest) -> Result<EndOutcome, StoreUnavailable> {
        self.end_selected(request).await
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        let mut listed = Vec::new();
        for id in self.least_recently_used(None, limit).await? {
            listed.extend(self.read(&id).await?);
        }
        Ok(listed)
    }

    async fn lock_renewal(&self, lock: &RenewalLock) -> Result<bool, StoreUnavailable> {
        let lease = u64::try_from(RenewalLock::LEASE.as_millis()).unwrap_or(u64::MAX);
        let mut acquire = script(scripts::LOCK, &self.key("renewing", lock.id.expose()));
        acquire.arg(&*lock.holder).arg(lease);
        self.client.query(&acquire).await
    }

    async fn unlock_renewal(&self, lock: &RenewalLock) -> Result<(), StoreUnavailable> {
        let mut release = script(scripts::UNLOCK, &self.key("renewing", lock.id.expose()));
        release.arg(&*lock.holder);
        self.client.query(&release).await
    }
}

#[async_trait::async_trait]
impl UsedOnce for RedisStore {
    async fn was_used(&self, value: &str, _now: NumericDate) -> Result<bool, StoreUnavailable> {
        let mut exists = cmd("EXISTS");
        exists.arg(self.key("used", value));
        let found: u64 = self.client.query(&exists).await?;
        Ok(found > 0)
    }

    async fn use_once(
        &self,
        value: &str,
        _now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let mut set = cmd("SET");
        set.arg(self.key("used", value))
            .arg(1)
            .arg("NX")
            .arg("EXAT")
            .arg(expires.as_seconds());
        let is_set: Option<String> = self.client.query(&set).await?;
        Ok(is_set.is_some())
    }

    async fn use_once_to_end(
        &self,
        value: &str,
        _now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let mut set = script(scripts::USE_ONCE_TO_END, &self.key("used", value));
        set.arg(expires.as_seconds());
        self.client.query(&set).await
    }
}

#[async_trait::async_trait]
impl Store for RedisStore {
    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable> {
        // A failure of one part does not keep the other from its work.
        let finished = self.finish(now).await;
        let idle = self.end_idle(now, idle).await;
        self.sweep_api_keys(now).await?;
        idle?;
        finished?;
        self.count().await
    }

    async fn check_writable(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        let mut write = cmd("SET");
        write
            .arg(format!("{}writable", self.prefix))
            .arg(now.as_seconds())
            .arg("EX")
            .arg(60);
        self.client.query(&write).await
    }

    async fn advice(&self) -> Result<Option<String>, StoreUnavailable> {
        let mut info = cmd("INFO");
        info.arg("memory");
        // A user without the permission gets no answer, and a cluster gives one for each node:
        // then the policy is unknown.
        let Value::BulkString(text) = self.client.query_if_permitted(&info).await? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let policy = lines.find_map(|line| line.strip_prefix("maxmemory_policy:"));
        let policy = policy.map_or("noeviction", str::trim);
        Ok((policy != "noeviction").then(|| {
            format!(
                "Redis has `maxmemory-policy {policy}`: when its memory is full, it removes \
                 sessions and revocations. Set `noeviction`"
            )
        }))
    }

    fn is_available(&self) -> bool {
        self.client.is_available()
    }

    fn use_keys(&self, ring: &KeyRing) {
        self.keys
            .store(Arc::new(SealingKeys::new(ring, Purpose::Store)));
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
