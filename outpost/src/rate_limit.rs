//! Limits how often one client may send requests.
//!
//! A sign-in costs a client nothing and the outpost a request to the provider, so a client that
//! floods `start` and `callback` is asked to slow down (429). Requests of proxies (`auth/*`) are
//! never limited: a proxy asks for every request of every user.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

/// How many clients have a limit of their own: half a MiB, however many send requests. Two clients
/// that share a place share a limit, and no client can find out which do.
const PLACES: usize = 1 << 16;

/// How many providers are remembered for having sent a valid logout token.
const MAX_PROVIDERS: usize = 64;

/// How often it is logged at most that clients are refused.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// How often one client may send requests. Clients are distinguished by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests per second it may send on average.
    pub per_second: NonZeroU32,
    /// How many requests it may send in a burst.
    pub burst: NonZeroU32,
}

/// A client, identified by its address. An IPv6 client is its whole /64 network, since it can use
/// any address of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Self(Ipv6Addr::from_bits(network).into())
            }
            address => Self(address),
        }
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The client has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client sends too many requests")]
pub struct TooMany {
    /// How many seconds it has to wait.
    pub retry_after: u64,
}

/// The requests of clients, counted against their limits.
#[derive(Debug)]
pub struct Limits {
    settings: Option<RateLimit>,
    limiter: Option<RateLimiter<Client, Places, DefaultClock>>,
    providers: Mutex<VecDeque<Client>>,
    refusals: Mutex<Refusals>,
    /// Whether the log has said that a proxy does not name its clients.
    unnamed: AtomicBool,
}

#[derive(Debug, Default)]
struct Refusals {
    logged: Option<Instant>,
    since: u64,
}

impl Limits {
    /// Creates limits of which no client has used anything. Without settings there is no limit.
    pub fn new(settings: Option<RateLimit>) -> Self {
        let limiter = settings.map(|limit| {
            let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
            RateLimiter::new(quota, Places::new(), DefaultClock::default())
        });
        Self {
            settings,
            limiter,
            providers: Mutex::default(),
            refusals: Mutex::default(),
            unnamed: AtomicBool::new(false),
        }
    }

    /// Returns the settings that it was made with.
    pub fn settings(&self) -> Option<RateLimit> {
        self.settings
    }

    /// Counts a request of this client. `None` is not counted: it means that a proxy does not name
    /// its clients, which would then share one limit. The log reports such a proxy instead.
    ///
    /// # Errors
    ///
    /// [`TooMany`], and then the request is not to be served.
    pub fn count(&self, client: Option<Client>) -> Result<(), TooMany> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let Some(client) = client else {
            self.note_unnamed();
            return Ok(());
        };
        limiter.check_key(&client).map_err(|until| {
            self.note(client);
            let wait = until.wait_time_from(limiter.clock().now());
            TooMany {
                retry_after: wait.as_secs().saturating_add(1),
            }
        })
    }

    /// Counts a request as [`Limits::count`] does, for back-channel logout: a provider may end the
    /// sessions of all its users at the same time, and does not send a refused request again.
    ///
    /// # Errors
    ///
    /// [`TooMany`].
    pub fn count_logout(&self, client: Option<Client>) -> Result<(), TooMany> {
        let providers = self
            .providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = client.is_some_and(|client| providers.contains(&client));
        drop(providers);
        if known { Ok(()) } else { self.count(client) }
    }

    /// Notes that this client sent a valid logout token: only a provider has one.
    pub fn note_provider(&self, client: Option<Client>) {
        let mut providers = self
            .providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client.filter(|client| !providers.contains(client)) {
            providers.truncate(MAX_PROVIDERS - 1);
            providers.push_front(client);
        }
    }

    /// Logs once that a proxy does not name its clients.
    fn note_unnamed(&self) {
        if !self.unnamed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a trusted proxy does not name the client of a request in `X-Forwarded-For`, so \
                 `rateLimit` does not count it: have the proxy set that header to its client's \
                 address"
            );
        }
    }

    /// Logs that a client is refused, but not for each request: a flood of requests must not flood
    /// the log.
    fn note(&self, client: Client) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.since = refusals.since.saturating_add(1);
        if refusals.logged.is_some_and(|at| at.elapsed() < LOG_EVERY) {
            return;
        }
        tracing::warn!(
            %client,
            refused = refusals.since,
            "a client sends too many requests and has to wait (`rateLimit`)"
        );
        *refusals = Refusals {
            logged: Some(Instant::now()),
            since: 0,
        };
    }
}

/// One state for each place. A hash that only this process can compute gives each client its place.
struct Places {
    states: Box<[InMemoryState]>,
    hasher: RandomState,
}

impl Places {
    fn new() -> Self {
        Self {
            states: std::iter::repeat_with(InMemoryState::default)
                .take(PLACES)
                .collect(),
            hasher: RandomState::new(),
        }
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Places")
    }
}

impl StateStore for Places {
    type Key = Client;

    fn measure_and_replace<T, F, E>(&self, client: &Client, f: F) -> Result<T, E>
    where
        F: Fn(Option<governor::nanos::Nanos>) -> Result<(T, governor::nanos::Nanos), E>,
    {
        let hash = self.hasher.hash_one(client);
        let place = usize::try_from(hash % (PLACES as u64)).unwrap_or_default();
        match self.states.get(place) {
            Some(state) => state.measure_and_replace(&NotKeyed::NonKey, f),
            // There is one for every remainder.
            None => f(None).map(|(outcome, _)| outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Option<Client> {
        let address: IpAddr = address.parse().expect("an address");
        Some(Client::from(address))
    }

    fn limits(per_second: u32, burst: u32) -> Limits {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        Limits::new(Some(RateLimit {
            per_second: number(per_second),
            burst: number(burst),
        }))
    }

    #[test]
    fn clients_are_distinguished_by_ipv4_address_and_ipv6_network() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ] {
            assert_eq!(client(one) == client(other), same, "{one} {other}");
        }
    }

    #[test]
    fn a_client_with_too_many_requests_is_refused_and_no_other() {
        let limits = limits(1, 3);
        for _ in 0..3 {
            assert_eq!(limits.count(client("192.0.2.1")), Ok(()));
        }
        let refused = limits.count(client("192.0.2.1")).expect_err("the fourth");
        assert!((1..=2).contains(&refused.retry_after), "{refused:?}");
        assert_eq!(limits.count(client("192.0.2.2")), Ok(()));
        for _ in 0..10 {
            assert_eq!(limits.count(None), Ok(()), "no client is known");
        }
    }

    #[test]
    fn without_settings_there_is_no_limit() {
        let limits = Limits::new(None);
        for _ in 0..100_000 {
            assert_eq!(limits.count(client("192.0.2.1")), Ok(()));
        }
    }

    #[test]
    fn a_provider_is_not_limited_once_it_has_shown_that_it_is_one() {
        let limits = limits(1, 1);
        let provider = client("192.0.2.1");
        assert_eq!(limits.count_logout(provider), Ok(()));
        assert!(limits.count_logout(provider).is_err());
        limits.note_provider(provider);
        for number in 0..100 {
            assert_eq!(limits.count_logout(provider), Ok(()), "{number}");
        }
        for number in 0..u8::MAX {
            limits.note_provider(client(&format!("198.51.100.{number}")));
        }
        let kept = limits.providers.lock().expect("no panic").len();
        assert_eq!(kept, MAX_PROVIDERS);
    }

    #[test]
    fn a_flood_from_everywhere_takes_no_more_memory() {
        let limits = limits(1, 1);
        let refused = (0..1_000_000_u32)
            .filter(|number| {
                limits
                    .count(Some(Client(IpAddr::from(number.to_be_bytes()))))
                    .is_err()
            })
            .count();
        assert!(refused > 0, "they share places");
    }
}
