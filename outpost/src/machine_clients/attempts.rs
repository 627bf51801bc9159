//! Counts invalid credentials, by client and by name.
//!
//! A client is limited by its own attempts only: the count of a name reduces how often each client
//! may still try there, and never closes the name to a client that has not failed.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use moka::future::Cache;

use super::turns::QueueKey;
use crate::rate_limit::{Client, TooMany};

/// How many clients and names are counted.
const MAX_COUNTED: u64 = 50_000;

/// How long an attempt counts against a client or a name.
const WITHIN: Duration = Duration::from_secs(60);

/// How often one client may fail.
const MAX_OF_CLIENT: u32 = 30;

/// How often one client may fail under one name.
const MAX_UNDER_NAME: u32 = 10;

/// How often clients may fail under one name before each of them has a single attempt there.
const MAX_OF_NAME: u32 = 30;

/// How often the signature of a proof is verified for one client, and turns out to be of no use, since
/// it or its token is invalid. Clients whose tokens expire cause a few.
const MAX_PROOFS_OF_CLIENT: u32 = 300;

/// A key of the counts: a hash that no client can compute.
type Key = u64;

/// The count of one key.
#[derive(Debug)]
struct Count {
    since: Instant,
    failed: AtomicU32,
}

/// The failed attempts of the last minute, at all applications.
#[derive(Debug)]
pub struct FailedAttempts {
    counts: Cache<Key, Arc<Count>>,
    hasher: RandomState,
}

/// Credentials of a client that are not known to have held, before they are checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    client: Option<Client>,
    name: Option<Key>,
}

/// A proof of a client, before its signature is verified.
#[derive(Clone, Copy, Debug)]
pub struct ProofAttempt {
    client: Option<Client>,
    counted_by: Key,
}

impl Default for FailedAttempts {
    fn default() -> Self {
        let counts = Cache::builder()
            .max_capacity(MAX_COUNTED)
            .time_to_live(WITHIN)
            .build();
        Self {
            counts,
            hasher: RandomState::new(),
        }
    }
}

impl Attempt {
    /// Returns the queues that it waits in.
    pub(super) fn queues(self) -> impl Iterator<Item = QueueKey> {
        let client = self.client.map(QueueKey::Client);
        client.into_iter().chain(self.name.map(QueueKey::Name))
    }

    /// Returns the client, for the log.
    pub(super) fn client(self) -> Option<Client> {
        self.client
    }
}

impl FailedAttempts {
    /// Returns an attempt of `client`, which is `None` where the proxy does not name it, under a
    /// name where the credentials have one.
    pub(super) fn attempt(&self, client: Option<Client>, name: Option<&str>) -> Attempt {
        Attempt {
            client,
            name: name.map(|name| self.hasher.hash_one(name)),
        }
    }

    /// Checks whether an attempt may be made.
    ///
    /// # Errors
    ///
    /// [`TooMany`] where this client has failed too often. Where clients are unknown, all attempts
    /// under one name count as one client's, and attempts under different names do not count
    /// together: any client could exhaust a limit for all of them.
    pub(super) async fn allow(&self, attempt: Attempt) -> Result<(), TooMany> {
        if attempt.client.is_some() {
            let of_client = self.count(self.of_client(attempt)).await;
            too_many(of_client, MAX_OF_CLIENT)?;
        }
        if attempt.name.is_some() {
            let of_name = self.count(self.of_name(attempt)).await;
            let most = match of_name {
                Some((failed, _)) if failed >= MAX_OF_NAME => 1,
                _ => MAX_UNDER_NAME,
            };
            let under_name = self.count(self.under_name(attempt)).await;
            too_many(under_name, most)?;
        }
        Ok(())
    }

    /// Counts a failed attempt, and returns whether it was the last one of this client.
    pub(super) async fn failed(&self, attempt: Attempt) -> bool {
        let mut last = false;
        if attempt.client.is_some() {
            last = self.note(self.of_client(attempt)).await == MAX_OF_CLIENT;
        }
        if attempt.name.is_some() {
            self.note(self.of_name(attempt)).await;
            last |= self.note(self.under_name(attempt)).await == MAX_UNDER_NAME;
        }
        last
    }

    /// Returns the attempt of a client with a proof. One with a token that was valid before, of which
    /// `known` is a digest, is not limited by what others at its address send.
    pub(super) fn proof(&self, client: Option<Client>, known: Option<&[u8]>) -> ProofAttempt {
        ProofAttempt {
            client,
            counted_by: self.hasher.hash_one(("proofs", client, known)),
        }
    }

    /// Checks whether the signature of a proof may be verified.
    ///
    /// # Errors
    ///
    /// [`TooMany`] where that was in vain too often. Where clients are unknown, none is limited.
    pub async fn allow_proof(&self, attempt: ProofAttempt) -> Result<(), TooMany> {
        if attempt.client.is_none() {
            return Ok(());
        }
        too_many(self.count(attempt.counted_by).await, MAX_PROOFS_OF_CLIENT)
    }

    /// Counts a proof whose signature was verified in vain.
    pub async fn proof_failed(&self, attempt: ProofAttempt) {
        let Some(client) = attempt.client else {
            return;
        };
        if self.note(attempt.counted_by).await == MAX_PROOFS_OF_CLIENT {
            tracing::warn!(%client, "a client sends too many invalid proofs and is answered 429");
        }
    }

    fn of_client(&self, attempt: Attempt) -> Key {
        self.hasher.hash_one(("client", attempt.client))
    }

    fn of_name(&self, attempt: Attempt) -> Key {
        self.hasher.hash_one(("name", attempt.name))
    }

    fn under_name(&self, attempt: Attempt) -> Key {
        let Attempt { client, name } = attempt;
        self.hasher.hash_one(("client under name", client, name))
    }

    /// Returns how often it failed, and since when.
    async fn count(&self, key: Key) -> Option<(u32, Instant)> {
        let count = self.counts.get(&key).await?;
        Some((count.failed.load(Ordering::Relaxed), count.since))
    }

    /// Counts one more, and returns how many there are.
    async fn note(&self, key: Key) -> u32 {
        let first = async {
            Arc::new(Count {
                since: Instant::now(),
                failed: AtomicU32::new(0),
            })
        };
        let count = self.counts.get_with(key, first).await;
        count
            .failed
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }
}

fn too_many(count: Option<(u32, Instant)>, most: u32) -> Result<(), TooMany> {
    match count {
        Some((failed, since)) if failed >= most => {
            let left = WITHIN.saturating_sub(since.elapsed());
            Err(TooMany {
                retry_after: left.as_secs().saturating_add(1),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn client(address: &str) -> Option<Client> {
        let address: IpAddr = address.parse().expect("an address");
        Some(Client::from(address))
    }

    /// Fails until it is refused, and returns how often that took.
    async fn exhaust(attempts: &FailedAttempts, client: Option<Client>, name: &str) -> u32 {
        let attempt = attempts.attempt(client, Some(name));
        let mut failed = 0;
        while attempts.allow(attempt).await.is_ok() {
            attempts.failed(attempt).await;
            failed += 1;
            assert!(failed < 1_000, "no limit");
        }
        failed
    }

    #[tokio::test]
    async fn a_client_is_limited_by_its_own_attempts_alone() {
        let attempts = FailedAttempts::default();
        let one = client("192.0.2.1");
        assert_eq!(exhaust(&attempts, one, "robot").await, MAX_UNDER_NAME);
        let refused = attempts.allow(attempts.attempt(one, Some("robot"))).await;
        let TooMany { retry_after } = refused.expect_err("too many");
        assert!((1..=61).contains(&retry_after), "{retry_after}");
        for (other, name) in [
            (one, Some("another")),
            (one, None),
            (client("192.0.2.2"), Some("robot")),
        ] {
            let attempt = attempts.attempt(other, name);
            assert_eq!(attempts.allow(attempt).await, Ok(()), "{other:?} {name:?}");
        }
        // Under ever other names it may not go on either.
        let mut failed = 0;
        for number in 0..10 {
            failed += exhaust(&attempts, one, &format!("name {number}")).await;
        }
        assert_eq!(failed, MAX_OF_CLIENT - MAX_UNDER_NAME);
        assert!(attempts.allow(attempts.attempt(one, None)).await.is_err());
    }

    #[tokio::test]
    async fn a_name_that_many_clients_try_stays_open_to_a_client_that_has_not_failed() {
        let attempts = FailedAttempts::default();
        let mut failed = 0;
        for number in 0..100 {
            failed += exhaust(&attempts, client(&format!("198.51.100.{number}")), "robot").await;
        }
        assert_eq!(failed, MAX_OF_NAME + 97, "each has one attempt left");
        let owner = attempts.attempt(client("192.0.2.1"), Some("robot"));
        assert_eq!(attempts.allow(owner).await, Ok(()));
    }

    #[tokio::test]
    async fn where_clients_are_unknown_one_name_is_limited_and_the_others_are_not() {
        let attempts = FailedAttempts::default();
        assert_eq!(exhaust(&attempts, None, "robot").await, MAX_UNDER_NAME);
        for name in [Some("another"), None] {
            assert_eq!(attempts.allow(attempts.attempt(None, name)).await, Ok(()));
        }
    }
}
