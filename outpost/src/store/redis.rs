//! Sessions in Redis, for several replicas. Needs Redis 7 or Valkey.
//!
//! Every operation is about one key, so that a cluster takes it too. All keys begin with a prefix:
//!
//! | key | holds | expires |
//! | --- | --- | --- |
//! | `session:ID` | the session sealed, and its times | when the session ends |
//! | `owner:HASH` | the ids of a person's sessions, or of a session at the provider | with the last of them |
//! | `sessions` | all ids by last use | entries by the sweep |
//! | `revoked` | what is revoked, by the end of the last window | with the last of it |
//! | `revision` | counts changes of `revoked` | never |
//! | `used:…` | what may be used once | by itself |
//! | `renewing:ID` | who renews the session | after [`LOCK_SECONDS`] |

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::{KeyRing, NumericDate, Purpose, SessionId};
use redis::{Cmd, cmd, pipe};

use self::link::Link;
use super::record::{self, Times};
use super::{
    OpenStoreError, RenewalLock, Selection, SessionRecord, SessionStore, StoreUnavailable,
};
use crate::config::SessionTimes;
use crate::revocation::Revocation;
use crate::seal::SealingKeys;

mod link;
mod tls;

pub use link::{InvalidRedisUrl, RedisUrl};
pub use tls::{InvalidRedisTls, RedisTls};

/// For how long a replica that died while renewing keeps others from it, in seconds: longer than
/// asking the provider may take.
const LOCK_SECONDS: u64 = 60;

/// How many sessions are looked at in one step.
const STEP: usize = 500;

/// Changes a session that is there; one that has ended must not come back as half of one.
const CHANGE: &str = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end \
                      redis.call('HSET', KEYS[1], unpack(ARGV)) return 1";

/// Takes a session out.
const TAKE: &str = "local kept = redis.call('HMGET', KEYS[1], 'body', 'seen', 'open', 'ends') \
                    redis.call('DEL', KEYS[1]) return kept";

/// Gives a lock back if it has not passed to somebody else.
const UNLOCK: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                      return redis.call('DEL', KEYS[1]) end return 0";

/// What a session's hash holds.
type Fields = (Option<Vec<u8>>, Option<u64>, Option<u64>, Option<u64>);

/// Sessions in Redis.
pub struct RedisStore {
    link: Link,
    prefix: String,
    capacity: usize,
    keys: ArcSwap<SealingKeys>,
}

impl RedisStore {
    /// A store at this address, which is not reached yet.
    ///
    /// # Errors
    ///
    /// None so far: a Redis that cannot be reached may come back.
    pub fn new(
        url: &RedisUrl,
        tls: &RedisTls,
        prefix: &str,
        capacity: usize,
        ring: &KeyRing,
    ) -> Result<Self, OpenStoreError> {
        Ok(Self {
            link: Link::new(url, tls),
            prefix: prefix.to_owned(),
            capacity: capacity.max(1),
            keys: ArcSwap::from_pointee(SealingKeys::new(ring, Purpose::Store)),
        })
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{name}", self.prefix)
    }

    fn session_key(&self, id: &str) -> String {
        self.key("session", id)
    }

    fn index_key(&self) -> String {
        format!("{}sessions", self.prefix)
    }

    fn revoked_key(&self) -> String {
        format!("{}revoked", self.prefix)
    }

    fn revision_key(&self) -> String {
        format!("{}revision", self.prefix)
    }

    fn sealed(&self, record: &SessionRecord) -> Result<Vec<u8>, StoreUnavailable> {
        record::seal(record, &self.keys.load())
            .ok_or_else(|| StoreUnavailable("no randomness".into()))
    }

    fn open(&self, id: &str, fields: Fields) -> Option<Arc<SessionRecord>> {
        let (Some(body), Some(seen), Some(open), Some(ends)) = fields else {
            return None;
        };
        let times = Times {
            last_seen: NumericDate::from_seconds(seen),
            window_ends: NumericDate::from_seconds(open),
            ends: NumericDate::from_seconds(ends),
        };
        let id = SessionId::parse(id)?;
        record::open(&id, &body, times, &self.keys.load()).map(Arc::new)
    }

    async fn read(&self, id: &str) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let mut read = cmd("HMGET");
        read.arg(self.session_key(id))
            .arg(&["body", "seen", "open", "ends"]);
        Ok(self.open(id, self.link.run(&read).await?))
    }

    /// Changes fields of a session that is there.
    async fn change(
        &self,
        id: &SessionId,
        fields: impl FnOnce(&mut Cmd),
    ) -> Result<bool, StoreUnavailable> {
        let mut change = cmd("EVAL");
        change.arg(CHANGE).arg(1).arg(self.session_key(id.as_str()));
        fields(&mut change);
        self.link.run(&change).await
    }

    async fn note_use(&self, id: &SessionId, at: NumericDate) -> Result<(), StoreUnavailable> {
        let mut note = cmd("ZADD");
        note.arg(self.index_key())
            .arg("GT")
            .arg(at.as_seconds())
            .arg(id.as_str());
        self.link.run(&note).await
    }

    async fn take(&self, id: &str) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let mut take = cmd("EVAL");
        take.arg(TAKE).arg(1).arg(self.session_key(id));
        let taken = self.open(id, self.link.run(&take).await?);
        let mut forget = cmd("ZREM");
        forget.arg(self.index_key()).arg(id);
        self.link.run::<()>(&forget).await?;
        for owner in taken.iter().flat_map(|record| record::owners(record)) {
            let mut forget = cmd("SREM");
            forget.arg(self.key("owner", &owner)).arg(id);
            self.link.run::<()>(&forget).await?;
        }
        Ok(taken)
    }

    /// Lets a key expire with the latest of the things that it holds.
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
        self.link.run_all(&expire).await
    }

    /// The ids that were used last before a moment, the idlest first.
    async fn idle_since(
        &self,
        before: Option<NumericDate>,
        limit: usize,
    ) -> Result<Vec<String>, StoreUnavailable> {
        let latest = before.map_or("+inf".to_owned(), |at| at.as_seconds().to_string());
        let mut read = cmd("ZRANGE");
        read.arg(self.index_key())
            .arg("-inf")
            .arg(latest)
            .arg("BYSCORE")
            .arg("LIMIT")
            .arg(0)
            .arg(limit);
        self.link.run(&read).await
    }

    async fn count(&self) -> Result<usize, StoreUnavailable> {
        let mut count = cmd("ZCARD");
        count.arg(self.index_key());
        self.link.run(&count).await
    }

    async fn make_room(&self) -> Result<(), StoreUnavailable> {
        if self.count().await? < self.capacity {
            return Ok(());
        }
        tracing::warn!(
            capacity = self.capacity,
            "session store full: dropped the idlest"
        );
        let tenth = (self.capacity / 10).clamp(1, STEP);
        for id in self.idle_since(None, tenth).await? {
            self.take(&id).await?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl SessionStore for RedisStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        self.make_room().await?;
        let key = self.session_key(record.id.as_str());
        let sealed = self.sealed(&record)?;
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
            .ignore()
            .cmd("EXPIREAT")
            .arg(&key)
            .arg(record.ends.as_seconds())
            .ignore();
        // What finds it first: a session that nothing finds could not be ended.
        for owner in record::owners(&record) {
            let key = self.key("owner", &owner);
            let mut add = cmd("SADD");
            add.arg(&key).arg(record.id.as_str());
            self.link.run::<()>(&add).await?;
            self.expire_not_before(&key, record.ends).await?;
        }
        self.note_use(&record.id, record.last_seen).await?;
        self.link.run_all(&insert).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        self.read(id.as_str()).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        now: NumericDate,
        window_ends: NumericDate,
    ) -> Result<(), StoreUnavailable> {
        let there = self.change(id, |change| {
            change.arg("seen").arg(now.as_seconds());
            change.arg("open").arg(window_ends.as_seconds());
        });
        if there.await? {
            self.note_use(id, now).await?;
        }
        Ok(())
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        let sealed = self.sealed(&record)?;
        self.change(&record.id, |change| {
            change.arg("body").arg(sealed);
        })
        .await
    }

    async fn remove(&self, which: &Selection) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        let mut removed = Vec::new();
        match (which, record::owner_of(which)) {
            (Selection::Session(id), _) => removed.extend(self.take(id.as_str()).await?),
            (_, Some(owner)) => {
                let mut read = cmd("SMEMBERS");
                read.arg(self.key("owner", &owner));
                for id in self.link.run::<Vec<String>>(&read).await? {
                    removed.extend(self.take(&id).await?);
                }
            }
            (_, None) => loop {
                let ids = self.idle_since(None, STEP).await?;
                if ids.is_empty() {
                    break;
                }
                for id in ids {
                    removed.extend(self.take(&id).await?);
                }
            },
        }
        Ok(removed)
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        let mut listed = Vec::new();
        for id in self.idle_since(None, limit).await? {
            listed.extend(self.read(&id).await?);
        }
        Ok(listed)
    }

    async fn sweep(
        &self,
        now: NumericDate,
        times: &SessionTimes,
    ) -> Result<usize, StoreUnavailable> {
        let idle = NumericDate::from_seconds(now.as_seconds().saturating_sub(times.idle));
        loop {
            let ids = self.idle_since(Some(idle), STEP).await?;
            for id in &ids {
                self.take(id).await?;
            }
            if ids.len() < STEP {
                break;
            }
        }
        let mut forget = cmd("ZREMRANGEBYSCORE");
        forget
            .arg(self.revoked_key())
            .arg("-inf")
            .arg(now.as_seconds());
        self.link.run::<()>(&forget).await?;
        self.count().await
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        let key = self.revoked_key();
        for some in revocations.chunks(STEP) {
            let mut add = cmd("ZADD");
            add.arg(&key);
            for revocation in some {
                let text = serde_json::to_string(revocation)
                    .map_err(|error| StoreUnavailable(error.into()))?;
                add.arg(revocation.until().as_seconds()).arg(text);
            }
            self.link.run::<()>(&add).await?;
        }
        if let Some(last) = revocations.iter().map(Revocation::until).max() {
            self.expire_not_before(&key, last).await?;
        }
        self.link.run(cmd("INCR").arg(self.revision_key())).await
    }

    async fn revocations_revision(&self) -> Result<u64, StoreUnavailable> {
        let revision: Option<u64> = self.link.run(cmd("GET").arg(self.revision_key())).await?;
        Ok(revision.unwrap_or(0))
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        let mut read = cmd("ZRANGE");
        read.arg(self.revoked_key())
            .arg(format!("({}", now.as_seconds()))
            .arg("+inf")
            .arg("BYSCORE");
        let texts: Vec<String> = self.link.run(&read).await?;
        texts
            .iter()
            .map(|text| serde_json::from_str(text).map_err(|error| StoreUnavailable(error.into())))
            .collect()
    }

    async fn was_used(&self, what: &str, _now: NumericDate) -> Result<bool, StoreUnavailable> {
        let mut exists = cmd("EXISTS");
        exists.arg(self.key("used", what));
        let found: u64 = self.link.run(&exists).await?;
        Ok(found > 0)
    }

    async fn use_once(
        &self,
        what: &str,
        _now: NumericDate,
        expires: NumericDate,
    ) -> Result<bool, StoreUnavailable> {
        let mut note = cmd("SET");
        note.arg(self.key("used", what))
            .arg(1)
            .arg("NX")
            .arg("EXAT")
            .arg(expires.as_seconds());
        let noted: Option<String> = self.link.run(&note).await?;
        Ok(noted.is_some())
    }

    async fn lock(&self, id: &SessionId) -> Result<Option<RenewalLock>, StoreUnavailable> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| StoreUnavailable(error.into()))?;
        let token = URL_SAFE_NO_PAD.encode(random);
        let mut lock = cmd("SET");
        lock.arg(self.key("renewing", id.as_str()))
            .arg(&token)
            .arg("NX")
            .arg("EX")
            .arg(LOCK_SECONDS);
        let locked: Option<String> = self.link.run(&lock).await?;
        Ok(locked.map(|_| RenewalLock {
            id: id.clone(),
            token,
        }))
    }

    async fn unlock(&self, lock: RenewalLock) -> Result<(), StoreUnavailable> {
        let mut unlock = cmd("EVAL");
        unlock
            .arg(UNLOCK)
            .arg(1)
            .arg(self.key("renewing", lock.id.as_str()))
            .arg(lock.token);
        self.link.run(&unlock).await
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
