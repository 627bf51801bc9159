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
//! | `revision` | counts changes of `revoked`, for versions that know no stamp in it | never |
//! | `used:…` | what may be used once | by itself |
//! | `renewing:ID` | who renews the session | after [`RenewalLock::LEASE`] |

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gatepost_session::{KeyRing, NumericDate, Purpose, SessionId};
use redis::{Value, cmd, pipe};

use self::link::Link;
use super::sealed::{self, Times};
use super::{
    Ended, Ending, OpenStoreError, Outcome, RenewalLock, Selection, SessionRecord, SessionStore,
    StoreUnavailable,
};
use crate::revocation::Revocation;
use gatepost_base::SealingKeys;

mod link;
mod scripts;
mod tls;

pub use link::{InvalidRedisUrl, RedisUrl};
pub use tls::{InvalidRedisTls, RedisTls};

/// How many sessions are looked at in one step.
const STEP: usize = 500;

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
        sealed::seal(record, &self.keys.load())
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
        sealed::open(&id, &body, times, &self.keys.load()).map(Arc::new)
    }

    async fn read(&self, id: &str) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let mut read = cmd("HMGET");
        read.arg(self.session_key(id))
            .arg(&["body", "seen", "open", "ends"]);
        Ok(self.open(id, self.link.run(&read).await?))
    }

    async fn note_use(&self, id: &SessionId, at: NumericDate) -> Result<(), StoreUnavailable> {
        let mut note = cmd("ZADD");
        note.arg(self.index_key())
            .arg("GT")
            .arg(at.as_seconds())
            .arg(id.as_str());
        self.link.run(&note).await
    }

    /// Those of these sessions that are not there.
    async fn gone(&self, ids: &[String]) -> Result<Vec<SessionId>, StoreUnavailable> {
        let mut gone = Vec::new();
        for id in ids {
            if self.window_of(id).await?.is_none() {
                gone.extend(SessionId::parse(id));
            }
        }
        Ok(gone)
    }

    /// When the last window of a session ends, if it is there.
    async fn window_of(&self, id: &str) -> Result<Option<NumericDate>, StoreUnavailable> {
        let mut read = cmd("HGET");
        read.arg(self.session_key(id)).arg("open");
        let seconds: Option<u64> = self.link.run(&read).await?;
        Ok(seconds.map(NumericDate::from_seconds))
    }

    /// Ends sessions: what `revocations` says of them first, so that none is gone of which that is
    /// not known.
    async fn end_all(
        &self,
        ids: Vec<String>,
        revocations: impl Fn(&[Ended]) -> Vec<Revocation> + Send,
    ) -> Result<Outcome, StoreUnavailable> {
        let mut outcome = Outcome::default();
        let mut left = ids;
        for round in 0.. {
            let mut ended = Vec::new();
            for id in &left {
                let window_ends = self.window_of(id).await?;
                ended.extend(
                    SessionId::parse(id)
                        .zip(window_ends)
                        .map(|(id, window_ends)| Ended { id, window_ends }),
                );
            }
            // Also where there is none: the first time says what holds for all.
            if round == 0 || !ended.is_empty() {
                let revoked = revocations(&ended);
                self.revoke(&revoked).await?;
                outcome.revocations.extend(revoked);
            }
            let renewed = self.take_all(&left, &ended).await?;
            ended.retain(|ended| !renewed.iter().any(|id| id == ended.id.as_str()));
            outcome.ended.extend(ended);
            left = renewed;
            if left.is_empty() {
                break;
            }
        }
        Ok(outcome)
    }

    /// Takes out sessions that were revoked, and says which were renewed since.
    async fn take_all(
        &self,
        ids: &[String],
        revoked: &[Ended],
    ) -> Result<Vec<String>, StoreUnavailable> {
        let mut renewed = Vec::new();
        for id in ids {
            let known = revoked.iter().find(|ended| ended.id.as_str() == id);
            // Only to be found by others. Where they are not known, the key of it expires.
            let owners = match known {
                Some(_) => self.read(id).await?.map(|record| sealed::owners(&record)),
                None => None,
            };
            let window_ends = known.map_or(0, |ended| ended.window_ends.as_seconds());
            let mut take = cmd("EVAL");
            take.arg(scripts::TAKE)
                .arg(1)
                .arg(self.session_key(id))
                .arg(window_ends);
            if self.link.run::<Option<u64>>(&take).await?.is_some() {
                renewed.push(id.clone());
                continue;
            }
            let mut forget = cmd("ZREM");
            forget.arg(self.index_key()).arg(id);
            self.link.run::<()>(&forget).await?;
            for owner in owners.into_iter().flatten() {
                let mut forget = cmd("SREM");
                forget.arg(self.key("owner", &owner)).arg(id);
                self.link.run::<()>(&forget).await?;
            }
        }
        Ok(renewed)
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

    /// Some ids, from this place among all on.
    async fn page(&self, from: usize) -> Result<Vec<String>, StoreUnavailable> {
        let mut read = cmd("ZRANGE");
        read.arg(self.index_key()).arg(from).arg(from + STEP - 1);
        self.link.run(&read).await
    }

    /// Those of these sessions that an ending means.
    async fn meant(
        &self,
        ids: Vec<String>,
        ending: &Ending,
    ) -> Result<Vec<String>, StoreUnavailable> {
        let mut meant = Vec::with_capacity(ids.len());
        for id in ids {
            // What cannot be unsealed is nobody's session any more.
            let record = self.read(&id).await?;
            if record.is_none_or(|record| ending.means(&record)) {
                meant.push(id);
            }
        }
        Ok(meant)
    }

    async fn count(&self) -> Result<usize, StoreUnavailable> {
        let mut count = cmd("ZCARD");
        count.arg(self.index_key());
        self.link.run(&count).await
    }

    async fn make_room(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        if self.count().await? < self.capacity {
            return Ok(());
        }
        tracing::warn!(
            capacity = self.capacity,
            "session store full: ended the idlest"
        );
        let tenth = (self.capacity / 10).clamp(1, STEP);
        let ids = self.idle_since(None, tenth).await?;
        self.end_all(ids, |ended| still_believed(ended, now))
            .await?;
        Ok(())
    }
}

/// What has to be revoked of sessions that nobody asked to end.
fn still_believed(ended: &[Ended], now: NumericDate) -> Vec<Revocation> {
    let revocation = |ended: &Ended| ended.revocation(now);
    ended.iter().filter_map(revocation).collect()
}

#[async_trait::async_trait]
impl SessionStore for RedisStore {
    async fn insert(&self, record: SessionRecord) -> Result<(), StoreUnavailable> {
        self.make_room(record.last_seen).await?;
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
        for owner in sealed::owners(&record) {
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
    ) -> Result<bool, StoreUnavailable> {
        let mut touch = cmd("EVAL");
        touch
            .arg(scripts::TOUCH)
            .arg(1)
            .arg(self.session_key(id.as_str()))
            .arg(now.as_seconds())
            .arg(window_ends.as_seconds());
        let there = self.link.run(&touch).await?;
        if there {
            self.note_use(id, now).await?;
        }
        Ok(there)
    }

    async fn update(&self, record: SessionRecord) -> Result<bool, StoreUnavailable> {
        let mut update = cmd("EVAL");
        update
            .arg(scripts::UPDATE)
            .arg(1)
            .arg(self.session_key(record.id.as_str()))
            .arg(self.sealed(&record)?);
        self.link.run(&update).await
    }

    async fn end(&self, ending: &Ending) -> Result<Outcome, StoreUnavailable> {
        let revocations = |ended: &[Ended]| ending.revocations(ended);
        match (&ending.which, sealed::owner_of(&ending.which)) {
            (Selection::Session(id), _) => self.end_all(vec![id.to_string()], revocations).await,
            (_, Some(owner)) => {
                let mut read = cmd("SMEMBERS");
                read.arg(self.key("owner", &owner));
                let ids = self.link.run(&read).await?;
                let meant = self.meant(ids, ending).await?;
                let gone = self.gone(&meant).await?;
                // A session that is still listed and not there may have gone without its end having
                // been noted: it is revoked as one whose cookie was made just now.
                let revocations = |ended: &[Ended]| {
                    let window_ends = ending.asked.plus_seconds(ending.window);
                    let unknown = gone.iter().cloned().map(|id| Ended { id, window_ends });
                    let all: Vec<Ended> = ended.iter().cloned().chain(unknown).collect();
                    ending.revocations(&all)
                };
                self.end_all(meant, revocations).await
            }
            (_, None) => {
                let mut outcome = Outcome::default();
                let mut spared = 0;
                loop {
                    let ids = self.page(spared).await?;
                    let count = ids.len();
                    let meant = self.meant(ids, ending).await?;
                    spared += count - meant.len();
                    let some = self.end_all(meant, revocations).await?;
                    outcome.ended.extend(some.ended);
                    outcome.revocations.extend(some.revocations);
                    if count < STEP {
                        break;
                    }
                }
                Ok(outcome)
            }
        }
    }

    async fn list(&self, limit: usize) -> Result<Vec<Arc<SessionRecord>>, StoreUnavailable> {
        let mut listed = Vec::new();
        for id in self.idle_since(None, limit).await? {
            listed.extend(self.read(&id).await?);
        }
        Ok(listed)
    }

    async fn sweep(&self, now: NumericDate, idle: u64) -> Result<usize, StoreUnavailable> {
        let idle = NumericDate::from_seconds(now.as_seconds().saturating_sub(idle));
        loop {
            let ids = self.idle_since(Some(idle), STEP).await?;
            let count = ids.len();
            self.end_all(ids, |ended| still_believed(ended, now))
                .await?;
            if count < STEP {
                break;
            }
        }
        let mut forget = cmd("ZREMRANGEBYSCORE");
        forget
            .arg(self.revoked_key())
            // Below are no times but the stamp.
            .arg(0)
            .arg(now.as_seconds());
        self.link.run::<()>(&forget).await?;
        self.count().await
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        if revocations.is_empty() {
            return Ok(());
        }
        let key = self.revoked_key();
        for some in revocations.chunks(STEP) {
            let last = some.iter().map(Revocation::until).max();
            let mut revoke = cmd("EVAL");
            revoke
                .arg(scripts::REVOKE)
                .arg(1)
                .arg(&key)
                .arg(last.map_or(0, NumericDate::as_seconds));
            for revocation in some {
                let text = serde_json::to_string(revocation)
                    .map_err(|error| StoreUnavailable(error.into()))?;
                revoke.arg(revocation.until().as_seconds()).arg(text);
            }
            self.link.run::<()>(&revoke).await?;
        }
        self.link.run(cmd("INCR").arg(self.revision_key())).await
    }

    async fn revocations_revision(&self) -> Result<u64, StoreUnavailable> {
        let mut read = cmd("ZSCORE");
        read.arg(self.revoked_key()).arg("stamp");
        let stamp: Option<f64> = self.link.run(&read).await?;
        let revision: Option<u64> = self.link.run(cmd("GET").arg(self.revision_key())).await?;
        // Either is another number after a change: the bits of one are as good as its value.
        let stamp = stamp.map_or(0, f64::to_bits);
        Ok(stamp.wrapping_add(revision.unwrap_or(0)))
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

    async fn check(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        let mut write = cmd("SET");
        write
            .arg(format!("{}writable", self.prefix))
            .arg(now.as_seconds())
            .arg("EX")
            .arg(60);
        self.link.run(&write).await
    }

    async fn lock(&self, lock: &RenewalLock) -> Result<bool, StoreUnavailable> {
        let mut take = cmd("EVAL");
        take.arg(scripts::LOCK)
            .arg(1)
            .arg(self.key("renewing", lock.id.as_str()))
            .arg(&*lock.holder)
            .arg(u64::try_from(RenewalLock::LEASE.as_millis()).unwrap_or(u64::MAX));
        self.link.run(&take).await
    }

    async fn unlock(&self, lock: &RenewalLock) -> Result<(), StoreUnavailable> {
        let mut unlock = cmd("EVAL");
        unlock
            .arg(scripts::UNLOCK)
            .arg(1)
            .arg(self.key("renewing", lock.id.as_str()))
            .arg(&*lock.holder);
        self.link.run(&unlock).await
    }

    async fn advice(&self) -> Result<Option<String>, StoreUnavailable> {
        let mut info = cmd("INFO");
        info.arg("memory");
        // A user who may not ask, and a cluster, whose nodes answer each for itself: not known.
        let Value::BulkString(text) = self.link.run_any(&info).await? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let policy = lines.find_map(|line| line.strip_prefix("maxmemory_policy:"));
        let policy = policy.map_or("noeviction", str::trim);
        Ok((policy != "noeviction").then(|| {
            format!(
                "Redis has `maxmemory-policy {policy}`: when its memory is full it drops sessions, \
                 and what was revoked. Set `noeviction`"
            )
        }))
    }

    fn answers(&self) -> bool {
        self.link.answers()
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
