//! Ending sessions in Redis, which has no transaction over several keys: revoke first, then remove.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::try_join_all;
use gatepost_session::{NumericDate, SessionId};
use redis::cmd;

use super::{BATCH, RedisStore, script, scripts};
use crate::end::revocations_at;
use crate::sealed;
use crate::{
    EndOutcome, EndRequest, EndedSession, Recovery, Revocation, RevocationLog as _, SessionRecord,
    SessionSelector, StoreUnavailable,
};

/// How many sessions are read at a time.
pub(super) const PARALLEL: usize = 100;

/// How many sessions are removed at a time, each by several commands one after the other. Requests of
/// users are served between any two commands.
const REMOVED_AT_A_TIME: usize = 16;

impl RedisStore {
    pub(super) async fn end_selected(
        &self,
        request: &EndRequest,
    ) -> Result<EndOutcome, StoreUnavailable> {
        let revocations = |ended: &[EndedSession]| request.revocations(ended);
        match (&request.selector, sealed::index_key_of(&request.selector)) {
            (SessionSelector::Id(id), _) => {
                self.end_all(vec![id.expose().to_owned()], revocations)
                    .await
            }
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
        let indexed = self.owned(index_key).await?;
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
        let revocations = |ended: &[EndedSession]| request.revocations(ended);
        // Also without any session, the revocation of everything is added, and before any of them
        // is searched.
        let mut outcome = self.end_all(Vec::new(), revocations).await?;
        let mut pages = Pages::default();
        while let Some(page) = self.next_page(&mut pages).await? {
            let ids = self.applicable(page, request).await?;
            let batch = self.end_all(ids, revocations).await?;
            outcome.ended.extend(batch.ended);
            outcome.revocations.extend(batch.revocations);
        }
        outcome.revocations.sort_unstable();
        outcome.revocations.dedup();
        Ok(outcome)
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
    pub(super) async fn end_all(
        &self,
        ids: Vec<String>,
        revocations: impl Fn(&[EndedSession]) -> Vec<Revocation> + Send,
    ) -> Result<EndOutcome, StoreUnavailable> {
        let mut outcome = EndOutcome::default();
        let mut remaining = ids;
        for round in 0.. {
            let mut ended = Vec::new();
            for batch in remaining.chunks(PARALLEL) {
                let found = try_join_all(batch.iter().map(|id| self.window_ends(id))).await?;
                ended.extend(batch.iter().zip(found).filter_map(|(id, window_ends)| {
                    let (id, window_ends) = SessionId::parse(id).zip(window_ends)?;
                    Some(EndedSession { id, window_ends })
                }));
            }
            // Also without any session: the first round adds the revocations by subject.
            if round == 0 || !ended.is_empty() {
                let revocations = revocations(&ended);
                self.revoke(&revocations).await?;
                outcome.revocations.extend(revocations);
            }
            let renewed = self.remove_all(&remaining, &ended).await?;
            ended.retain(|ended| !renewed.iter().any(|id| id == ended.id.expose()));
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
        let revoked: HashMap<&str, &EndedSession> = revoked
            .iter()
            .map(|ended| (ended.id.expose(), ended))
            .collect();
        let mut renewed = Vec::new();
        for batch in ids.chunks(REMOVED_AT_A_TIME) {
            let removals = batch.iter().map(|id| {
                let revoked = revoked.get(id.as_str()).copied();
                self.remove(id, revoked)
            });
            let removed = try_join_all(removals).await?;
            let kept = batch.iter().zip(removed).filter(|(_, removed)| !removed);
            renewed.extend(kept.map(|(id, _)| id.clone()));
        }
        Ok(renewed)
    }

    /// Removes a session, and returns false if it was renewed since it was revoked.
    async fn remove(
        &self,
        id: &str,
        revoked: Option<&EndedSession>,
    ) -> Result<bool, StoreUnavailable> {
        // If the index keys are unknown, the index entry is left to expire.
        let index_keys = match revoked {
            Some(_) => self
                .read(id)
                .await?
                .map(|record| sealed::index_keys(&record)),
            None => None,
        };
        let window_ends = revoked.map_or(0, |ended| ended.window_ends.as_seconds());
        let mut remove = script(scripts::REMOVE, &self.session_key(id));
        remove.arg(window_ends);
        if self
            .client
            .query::<Option<Vec<u8>>>(&remove)
            .await?
            .is_some()
        {
            return Ok(false);
        }
        let mut remove = cmd("ZREM");
        remove.arg(self.sessions_key()).arg(id);
        self.client.query::<()>(&remove).await?;
        for index_key in index_keys.into_iter().flatten() {
            let mut remove = cmd("SREM");
            remove.arg(self.owner_key(&index_key)).arg(id);
            self.client.query::<()>(&remove).await?;
        }
        Ok(true)
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
        // A session that cannot be unsealed is of no use to its user, so it ends as well.
        let applies = |record: Option<&SessionRecord>| record.is_none_or(|r| request.applies_to(r));
        self.those(ids, applies).await
    }

    /// Returns those of these sessions that satisfy a condition, which gets `None` for one that is
    /// not there or cannot be unsealed.
    pub(super) async fn those(
        &self,
        ids: Vec<String>,
        condition: impl Fn(Option<&SessionRecord>) -> bool + Send,
    ) -> Result<Vec<String>, StoreUnavailable> {
        let mut those = Vec::with_capacity(ids.len());
        // Many questions at a time, so that the way to Redis does not count for each.
        for batch in ids.chunks(PARALLEL) {
            let records = try_join_all(batch.iter().map(|id| self.read(id))).await?;
            let found = batch.iter().zip(records);
            let found = found.filter(|(_, record)| condition(record.as_deref()));
            those.extend(found.map(|(id, _)| id.clone()));
        }
        Ok(those)
    }

    /// Returns the ids in the index with this key.
    pub(super) async fn owned(&self, index_key: &str) -> Result<Vec<String>, StoreUnavailable> {
        let mut read = cmd("SMEMBERS");
        read.arg(self.owner_key(index_key));
        self.client.query(&read).await
    }

    /// Returns those of these ids that are in the list of all sessions.
    pub(super) async fn existing(&self, ids: &[&str]) -> Result<Vec<String>, StoreUnavailable> {
        let mut read = cmd("ZMSCORE");
        read.arg(self.sessions_key()).arg(ids);
        let scores: Vec<Option<f64>> = self.client.query(&read).await?;
        let found = ids.iter().zip(scores).filter(|(_, score)| score.is_some());
        Ok(found.map(|(id, _)| (*id).to_owned()).collect())
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
        Ok(match self.client.query_if_readable(&read).await? {
            Some(seconds) => Option::map(seconds, NumericDate::from_seconds),
            // No window is longer than a session.
            None => {
                let Recovery { clock, lifetime } = &self.recovery;
                Some(clock.now().plus_seconds(*lifetime))
            }
        })
    }

    /// Returns the ids on the next page of all sessions, and `None` after the last. Every session
    /// that is there the whole time is on a page, however many are used, added or removed
    /// meanwhile.
    pub(super) async fn next_page(
        &self,
        pages: &mut Pages,
    ) -> Result<Option<Vec<String>>, StoreUnavailable> {
        if pages.is_over {
            return Ok(None);
        }
        let mut scan = cmd("ZSCAN");
        scan.arg(self.sessions_key())
            .arg(&pages.cursor)
            .arg("COUNT")
            .arg(BATCH);
        let (cursor, scored): (String, Vec<(String, f64)>) = self.client.query(&scan).await?;
        pages.is_over = cursor == "0";
        pages.cursor = cursor;
        let ids: BTreeSet<String> = scored.into_iter().map(|(id, _)| id).collect();
        Ok(Some(ids.into_iter().collect()))
    }
}

/// A place in a walk through all sessions.
pub(super) struct Pages {
    cursor: String,
    is_over: bool,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            cursor: "0".to_owned(),
            is_over: false,
        }
    }
}
