//! Ending sessions in Redis, which has no transaction over several keys: revoke first, then remove.

use gatepost_session::{NumericDate, SessionId};
use redis::cmd;

use super::{BATCH, RedisStore, script, scripts};
use crate::end::revocations_at;
use crate::sealed;
use crate::{
    EndOutcome, EndRequest, EndedSession, Revocation, RevocationLog as _, SessionSelector,
    StoreUnavailable,
};

impl RedisStore {
    pub(super) async fn end_selected(
        &self,
        request: &EndRequest,
    ) -> Result<EndOutcome, StoreUnavailable> {
        let revocations = |ended: &[EndedSession]| request.revocations(ended);
        match (&request.selector, sealed::index_key_of(&request.selector)) {
            (SessionSelector::Id(id), _) => self.end_all(vec![id.to_string()], revocations).await,
            (_, Some(index_key)) => self.end_indexed(&index_key, request).await,
            (_, None) => self.end_in_batches(request).await,
        }
    }

    /// Ends the sessions with an index key.
    async fn end_indexed(
        &self,
        index_key: &str,
        request: &EndRequest,
    ) -> Result<EndOutcome, StoreUnavailable> {
        let mut read = cmd("SMEMBERS");
        read.arg(self.owner_key(index_key));
        let indexed = self.client.query(&read).await?;
        let ids = self.applicable(indexed, request).await?;
        let missing = self.missing(&ids).await?;
        // A session that is in the index and nowhere else may be gone without a revocation, so it
        // is revoked like one whose cookie was issued just now.
        let revocations = |ended: &[EndedSession]| {
            let window_ends = request.requested_at.plus_seconds(request.window);
            let missing = missing.iter().cloned();
            let missing = missing.map(|id| EndedSession { id, window_ends });
            let all: Vec<EndedSession> = ended.iter().cloned().chain(missing).collect();
            request.revocations(&all)
        };
        self.end_all(ids, revocations).await
    }

    /// Ends all sessions to which a request applies.
    async fn end_in_batches(&self, request: &EndRequest) -> Result<EndOutcome, StoreUnavailable> {
        let mut outcome = EndOutcome::default();
        let mut spared = 0;
        loop {
            let page = self.page(spared).await?;
            let count = page.len();
            let ids = self.applicable(page, request).await?;
            spared += count - ids.len();
            let revocations = |ended: &[EndedSession]| request.revocations(ended);
            let batch = self.end_all(ids, revocations).await?;
            outcome.ended.extend(batch.ended);
            outcome.revocations.extend(batch.revocations);
            if count < BATCH {
                return Ok(outcome);
            }
        }
    }

    /// Ends the sessions that were not used for `idle` seconds.
    pub(super) async fn end_idle(
        &self,
        now: NumericDate,
        idle: u64,
    ) -> Result<(), StoreUnavailable> {
        let until = NumericDate::from_seconds(now.as_seconds().saturating_sub(idle));
        loop {
            let ids = self.least_recently_used(Some(until), BATCH).await?;
            let count = ids.len();
            self.end_all(ids, |ended| revocations_at(ended, now))
                .await?;
            if count < BATCH {
                return Ok(());
            }
        }
    }

    /// Ends the sessions that were unused for longest if the store is full.
    pub(super) async fn make_room(&self, now: NumericDate) -> Result<(), StoreUnavailable> {
        if self.count().await? < self.capacity {
            return Ok(());
        }
        crate::capacity::warn_full(self.capacity);
        let tenth = (self.capacity / 10).clamp(1, BATCH);
        let ids = self.least_recently_used(None, tenth).await?;
        self.end_all(ids, |ended| revocations_at(ended, now))
            .await?;
        Ok(())
    }

    /// Ends sessions. Their revocations are added before any of them is removed, and a session that
    /// was renewed in between is revoked once more.
    async fn end_all(
        &self,
        ids: Vec<String>,
        revocations: impl Fn(&[EndedSession]) -> Vec<Revocation> + Send,
    ) -> Result<EndOutcome, StoreUnavailable> {
        let mut outcome = EndOutcome::default();
        let mut remaining = ids;
        for round in 0.. {
            let mut ended = Vec::new();
            for id in &remaining {
                let window_ends = self.window_ends(id).await?;
                ended.extend(
                    SessionId::parse(id)
                        .zip(window_ends)
                        .map(|(id, window_ends)| EndedSession { id, window_ends }),
                );
            }
            // Also without any session: the first round adds the revocations by subject.
            if round == 0 || !ended.is_empty() {
                let revocations = revocations(&ended);
                self.revoke(&revocations).await?;
                outcome.revocations.extend(revocations);
            }
            let renewed = self.remove_all(&remaining, &ended).await?;
            ended.retain(|ended| !renewed.iter().any(|id| id == ended.id.as_str()));
            outcome.ended.extend(ended);
            remaining = renewed;
            if remaining.is_empty() {
                break;
            }
        }
        Ok(outcome)
    }

    /// Removes sessions that were revoked, and returns those that were renewed since.
    async fn remove_all(
        &self,
        ids: &[String],
        revoked: &[EndedSession],
    ) -> Result<Vec<String>, StoreUnavailable> {
        let mut renewed = Vec::new();
        for id in ids {
            let known = revoked.iter().find(|ended| ended.id.as_str() == id);
            // If the index keys are unknown, the index entry is left to expire.
            let index_keys = match known {
                Some(_) => self
                    .read(id)
                    .await?
                    .map(|record| sealed::index_keys(&record)),
                None => None,
            };
            let window_ends = known.map_or(0, |ended| ended.window_ends.as_seconds());
            let mut remove = script(scripts::REMOVE, &self.session_key(id));
            remove.arg(window_ends);
            if self.client.query::<Option<u64>>(&remove).await?.is_some() {
                renewed.push(id.clone());
                continue;
            }
            let mut remove = cmd("ZREM");
            remove.arg(self.sessions_key()).arg(id);
            self.client.query::<()>(&remove).await?;
            for index_key in index_keys.into_iter().flatten() {
                let mut remove = cmd("SREM");
                remove.arg(self.owner_key(&index_key)).arg(id);
                self.client.query::<()>(&remove).await?;
            }
        }
        Ok(renewed)
    }

    /// Returns those of these sessions to which a request applies.
    async fn applicable(
        &self,
        ids: Vec<String>,
        request: &EndRequest,
    ) -> Result<Vec<String>, StoreUnavailable> {
        if request.applies_to_all() {
            return Ok(ids);
        }
        let mut applicable = Vec::with_capacity(ids.len());
        for id in ids {
            // A session that cannot be unsealed is of no use to its user, so it ends as well.
            let record = self.read(&id).await?;
            if record.is_none_or(|record| request.applies_to(&record)) {
                applicable.push(id);
            }
        }
        Ok(applicable)
    }

    /// Returns those of these sessions that do not exist.
    async fn missing(&self, ids: &[String]) -> Result<Vec<SessionId>, StoreUnavailable> {
        let mut missing = Vec::new();
        for id in ids {
            if self.window_ends(id).await?.is_none() {
                missing.extend(SessionId::parse(id));
            }
        }
        Ok(missing)
    }

    /// Returns when the window of a session's last cookie ends, if the session exists.
    async fn window_ends(&self, id: &str) -> Result<Option<NumericDate>, StoreUnavailable> {
        let mut read = cmd("HGET");
        read.arg(self.session_key(id)).arg("open");
        let seconds: Option<u64> = self.client.query(&read).await?;
        Ok(seconds.map(NumericDate::from_seconds))
    }

    /// Returns the ids of a batch of sessions, from this position among all.
    async fn page(&self, from: usize) -> Result<Vec<String>, StoreUnavailable> {
        let mut read = cmd("ZRANGE");
        read.arg(self.sessions_key())
            .arg(from)
            .arg(from + BATCH - 1);
        self.client.query(&read).await
    }
}
