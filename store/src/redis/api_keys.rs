//! API keys in Redis.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use gatepost_session::NumericDate;
use redis::{cmd, pipe};

use super::end::PARALLEL;
use super::{RedisStore, script, scripts};
use crate::api_key;
use crate::{ApiKeyId, ApiKeyRecord, ApiKeyStore, ApiKeyUsage, StoreUnavailable, StoredApiKey};

/// The fields of a key's hash: `body`, `count` and `last`.
type Fields = (Option<Vec<u8>>, Option<u64>, Option<u64>);

impl RedisStore {
    fn api_key_key(&self, id: &str) -> String {
        self.key("apikey", id)
    }

    fn api_keys_key(&self) -> String {
        format!("{}apikeys", self.prefix)
    }

    async fn read_api_key(
        &self,
        id: &ApiKeyId,
    ) -> Result<Option<(Vec<u8>, ApiKeyUsage)>, StoreUnavailable> {
        let mut read = cmd("HMGET");
        read.arg(self.api_key_key(id.as_str()))
            .arg(&["body", "count", "last"]);
        let fields: Option<Fields> = self.client.query_if_readable(&read).await?;
        let Some((Some(body), count, last)) = fields else {
            return Ok(None);
        };
        let usage = ApiKeyUsage {
            count: count.unwrap_or(0),
            last: last.filter(|at| *at > 0).map(NumericDate::from_seconds),
        };
        Ok(Some((body, usage)))
    }

    /// Adds to the usage of one key, and returns when it ends, or 0 where it is not there.
    async fn note_use(&self, id: &ApiKeyId, usage: ApiKeyUsage) -> Result<i64, StoreUnavailable> {
        let mut note = script(scripts::USE_API_KEY, &self.api_key_key(id.as_str()));
        note.arg(usage.count)
            .arg(usage.last.map_or(0, NumericDate::as_seconds));
        self.client.query(&note).await
    }

    /// Returns the ids of at most `limit` keys, those that end first at the beginning.
    async fn api_key_ids(&self, limit: usize) -> Result<Vec<ApiKeyId>, StoreUnavailable> {
        let ids = self.listed(&self.api_keys_key(), None, limit).await?;
        Ok(ids.iter().filter_map(|id| ApiKeyId::parse(id)).collect())
    }

    /// Takes the keys that have ended out of the list, and seals the others again that other keys have
    /// sealed than those of the ring.
    ///
    /// The clock here may be ahead, and Redis itself ends a key: out of the list goes what is not there
    /// any more.
    pub(super) async fn sweep_api_keys(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        let list = self.api_keys_key();
        let ended = self.listed(&list, Some(now), usize::MAX).await?;
        let mut ended: HashSet<String> = ended.into_iter().collect();
        for id in self.api_key_ids(usize::MAX).await? {
            let Some((body, _)) = self.read_api_key(&id).await? else {
                continue;
            };
            ended.remove(id.as_str());
            let again = api_key::sealed_again(&id, &body, &self.keys.load());
            if let Some(again) = again {
                let mut replace = script(scripts::REPLACE, &self.api_key_key(id.as_str()));
                replace.arg(body).arg(again);
                self.client.query::<()>(&replace).await?;
            }
        }
        if !ended.is_empty() {
            let mut remove = cmd("ZREM");
            remove.arg(list);
            for id in &ended {
                remove.arg(id);
            }
            self.client.query::<()>(&remove).await?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl ApiKeyStore for RedisStore {
    async fn insert_api_key(&self, record: ApiKeyRecord) -> Result<(), StoreUnavailable> {
        let key = self.api_key_key(record.id.as_str());
        let sealed = api_key::seal(&record, &self.keys.load())
            .ok_or_else(|| StoreUnavailable::new("no randomness"))?;
        // The list first: a key that is not in it could not be found by an operator.
        let mut add = cmd("ZADD");
        add.arg(self.api_keys_key())
            .arg(record.ends.as_seconds())
            .arg(record.id.as_str());
        self.client.query::<()>(&add).await?;
        let mut insert = pipe();
        insert
            .atomic()
            .cmd("HSET")
            .arg(&key)
            .arg("body")
            .arg(sealed)
            .arg("count")
            .arg(record.usage.count)
            .arg("last")
            .arg(record.usage.last.map_or(0, NumericDate::as_seconds))
            .ignore()
            .cmd("EXPIREAT")
            .arg(&key)
            .arg(record.ends.as_seconds())
            .ignore();
        self.client.query_pipeline::<()>(&insert).await?;
        // A sweep of a replica whose clock is ahead may have come in between, and found no key.
        self.client.query::<()>(&add).await
    }

    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<StoredApiKey>, StoreUnavailable> {
        let found = self.read_api_key(id).await?;
        Ok(found.map(|(body, usage)| StoredApiKey::open(id, &body, usage, &self.keys.load())))
    }

    async fn note_api_key_usage(
        &self,
        used: &mut HashMap<ApiKeyId, ApiKeyUsage>,
    ) -> Result<(), StoreUnavailable> {
        let all: Vec<(ApiKeyId, ApiKeyUsage)> = used.clone().into_iter().collect();
        // A cluster has each key elsewhere, so each has a command; they are sent together.
        for batch in all.chunks(PARALLEL) {
            let noted = join_all(batch.iter().map(|(id, usage)| self.note_use(id, *usage))).await;
            let mut add = cmd("ZADD");
            add.arg(self.api_keys_key());
            let mut failed = None;
            let mut is_any = false;
            for ((id, _), noted) in batch.iter().zip(noted) {
                match noted {
                    Ok(ends) => {
                        used.remove(id);
                        if ends > 0 {
                            is_any = true;
                            add.arg(ends).arg(id.as_str());
                        }
                    }
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            if is_any {
                // Redis may have lost entries and not the keys: no key is in use that an operator
                // cannot see.
                self.client.query::<()>(&add).await?;
            }
        }
        Ok(())
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreUnavailable> {
        let mut remove = cmd("DEL");
        remove.arg(self.api_key_key(id.as_str()));
        let removed: bool = self.client.query(&remove).await?;
        let mut forget = cmd("ZREM");
        forget.arg(self.api_keys_key()).arg(id.as_str());
        self.client.query::<()>(&forget).await?;
        Ok(removed)
    }

    async fn api_keys(&self, limit: usize) -> Result<Vec<StoredApiKey>, StoreUnavailable> {
        let mut all = Vec::new();
        for id in self.api_key_ids(limit).await? {
            all.extend(self.find_api_key(&id).await?);
        }
        Ok(all)
    }
}
