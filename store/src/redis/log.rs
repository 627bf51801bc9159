//! The log of revocations in Redis.
//!
//! Redis may lose everything: a command empties it, or it restarts without its data. The ended
//! sessions are lost with the rest then, while proxies still accept their cookies. So the list of
//! revocations never expires, and has a stamp as long as it is known what it has. A list without a
//! stamp is one that begins: with the revocation of everything from before.
//!
//! Nor does Redis have a transaction over several keys, so a process that is killed leaves endings
//! half done. An entry leaves the list in a sweep that has finished what it says.

use gatepost_session::NumericDate;
use redis::cmd;

use super::end::Pages;
use super::{BATCH, RedisStore, script, scripts};
use crate::end::revocations_at;
use crate::finished::Unfinished;
use crate::revocation_log::parse_entry;
use crate::{Revocation, RevocationLog, SessionRecord, StoreUnavailable};

/// The member of `revoked` whose score changes with each addition.
const STAMP: &str = "stamp";

/// How often to begin the list again that is emptied at the same time.
const ATTEMPTS: usize = 3;

impl RedisStore {
    fn revoked_key(&self) -> String {
        format!("{}revoked", self.prefix)
    }

    /// Begins the list of a Redis that has none.
    async fn begin(&self) -> Result<(), StoreUnavailable> {
        // Earlier versions let the list expire, and counted its changes beside it.
        let revision_key = format!("{}revision", self.prefix);
        let mut exists = cmd("EXISTS");
        exists.arg(&revision_key);
        let was_kept_by_earlier_version: bool = self.client.query(&exists).await?;
        let mut begin = script(scripts::BEGIN, &self.revoked_key());
        if !was_kept_by_earlier_version {
            let lost = self.recovery.revocation();
            begin.arg(lost.expires().as_seconds()).arg(text_of(&lost)?);
        }
        let is_new: bool = self.client.query(&begin).await?;
        if is_new && !was_kept_by_earlier_version {
            tracing::warn!(
                "Redis has no list of ended sessions: it is new, or has lost its data. Every cookie \
                 from before is refused"
            );
        }
        let mut remove = cmd("DEL");
        remove.arg(&revision_key);
        self.client.query(&remove).await
    }

    /// Ends the sessions that are revoked in the list, and removes from it what has expired at `now`.
    pub(super) async fn finish(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        // An earlier version let the list expire.
        let mut persist = cmd("PERSIST");
        persist.arg(self.revoked_key());
        self.client.query::<()>(&persist).await?;
        // Read before the whole: what is removed below is finished by then.
        let expired = self.entries("0", &now.as_seconds().to_string()).await?;
        let texts = self.entries("0", "+inf").await?;
        let log: Vec<Revocation> = texts.iter().filter_map(|text| parse_entry(text)).collect();
        let Unfinished { ids, others } = self.finished.unfinished(&log, now);
        for ids in ids.chunks(BATCH) {
            let found = self.existing(ids).await?;
            self.end_all(found, |ended| revocations_at(ended, now))
                .await?;
        }
        let mut of_all = Vec::new();
        for revocation in others {
            match revocation.index_key() {
                Some(index_key) => {
                    let ids = self.owned(&index_key).await?;
                    self.end_revoked(ids, &[revocation], now).await?;
                }
                None => of_all.push(revocation),
            }
        }
        if !of_all.is_empty() {
            let mut pages = Pages::default();
            while let Some(ids) = self.next_page(&mut pages).await? {
                self.end_revoked(ids, &of_all, now).await?;
            }
        }
        for expired in expired.chunks(BATCH) {
            let mut remove = cmd("ZREM");
            remove.arg(self.revoked_key()).arg(expired);
            self.client.query::<()>(&remove).await?;
        }
        self.finished.note(log);
        Ok(())
    }

    /// Ends those of these sessions to which one of these revocations applies.
    async fn end_revoked(
        &self,
        ids: Vec<String>,
        revocations: &[&Revocation],
        now: NumericDate,
    ) -> Result<(), StoreUnavailable> {
        // One that cannot be read may be about to be inserted by a sign-in.
        let is_revoked = |record: Option<&SessionRecord>| {
            record.is_some_and(|record| revocations.iter().any(|r| r.applies_to(record)))
        };
        let ids = self.those(ids, is_revoked).await?;
        self.end_all(ids, |ended| revocations_at(ended, now))
            .await
            .map(drop)
    }

    /// Returns the entries of the list whose expiry is between these two, in the notation of Redis.
    async fn entries(&self, from: &str, to: &str) -> Result<Vec<String>, StoreUnavailable> {
        let mut read = cmd("ZRANGE");
        read.arg(self.revoked_key())
            // The stamp's score is negative.
            .arg(from)
            .arg(to)
            .arg("BYSCORE");
        self.client.query(&read).await
    }
}

/// Returns the expiries after a time, in the notation of Redis.
fn after(now: NumericDate) -> String {
    format!("({}", now.as_seconds())
}

fn text_of(revocation: &Revocation) -> Result<String, StoreUnavailable> {
    serde_json::to_string(revocation).map_err(StoreUnavailable::new)
}

#[async_trait::async_trait]
impl RevocationLog for RedisStore {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreUnavailable> {
        for batch in revocations.chunks(BATCH) {
            let mut revoke = script(scripts::REVOKE, &self.revoked_key());
            for revocation in batch {
                let text = text_of(revocation)?;
                revoke.arg(revocation.expires().as_seconds()).arg(text);
            }
            let mut is_revoked = false;
            for _ in 0..ATTEMPTS {
                is_revoked = self.client.query(&revoke).await?;
                if is_revoked {
                    break;
                }
                self.begin().await?;
            }
            if !is_revoked {
                return Err(StoreUnavailable::new("Redis is emptied again and again"));
            }
        }
        Ok(())
    }

    async fn revocation_revision(&self) -> Result<u64, StoreUnavailable> {
        let mut read = cmd("ZSCORE");
        read.arg(self.revoked_key()).arg(STAMP);
        for _ in 0..ATTEMPTS {
            // Only a difference matters, so the bits of the stamp serve as a number.
            if let Some(stamp) = self.client.query::<Option<f64>>(&read).await? {
                return Ok(stamp.to_bits());
            }
            self.begin().await?;
        }
        Err(StoreUnavailable::new("Redis is emptied again and again"))
    }

    async fn revocations(&self, now: NumericDate) -> Result<Vec<Revocation>, StoreUnavailable> {
        let texts = self.entries(&after(now), "+inf").await?;
        Ok(texts.iter().filter_map(|text| parse_entry(text)).collect())
    }
}
