//! The client of Redis: one connection, which all commands share, and the last known state of the
//! server.
//!
//! `redis::aio::ConnectionManager` also reconnects, but to a fixed address: it does not follow a
//! failover that Sentinels announce, and a command waits while it reconnects. Here a command fails
//! immediately while Redis is known to be unavailable, and one task asks whether it is back.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, Value, cmd};
use tokio::sync::Mutex;

use super::connection::{self, Connection, TIMEOUT};
use super::url::Topology;
use super::{RedisTls, RedisUrl};
use crate::StoreUnavailable;

/// The time after which Redis counts as slow if a caller gives up waiting.
const SLOW: Duration = Duration::from_millis(100);

/// The time between two attempts to reach an unavailable Redis.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// A client of Redis, which connects when it is first used and reconnects after a failure.
pub(super) struct RedisClient(Arc<Inner>);

struct Inner {
    topology: Topology,
    tls: RedisTls,
    connection: Mutex<Current>,
    health: AtomicU8,
}

/// The connection, if there is one, and how many there were before.
#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    generation: u64,
}

/// The last known state of Redis. Each state is worse than the one before.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Health {
    /// Redis answers.
    Available,
    /// A caller gave up waiting for an answer.
    Suspect,
    /// Redis cannot be reached.
    Unavailable,
}

/// One or several commands that are sent together.
#[derive(Clone, Copy)]
enum Request<'r> {
    Command(&'r Cmd),
    Pipeline(&'r Pipeline),
}

impl RedisClient {
    pub(super) fn new(url: &RedisUrl, tls: &RedisTls) -> Self {
        // Another part of the process may have installed a provider, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(Arc::new(Inner {
            topology: url.topology().clone(),
            tls: tls.clone(),
            connection: Mutex::default(),
            health: AtomicU8::new(Health::Available as u8),
        }))
    }

    /// Returns whether Redis answered last time.
    pub(super) fn is_available(&self) -> bool {
        self.0.health.load(Ordering::Relaxed) == Health::Available as u8
    }

    /// Runs a command.
    pub(super) async fn query<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<T, StoreUnavailable> {
        self.request(Request::Command(command)).await
    }

    /// Runs several commands about one key.
    pub(super) async fn query_pipeline<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, StoreUnavailable> {
        self.request(Request::Pipeline(pipeline)).await
    }

    /// Runs a command that Redis may refuse. A refusal is [`Value::Nil`].
    pub(super) async fn query_if_permitted(
        &self,
        command: &Cmd,
    ) -> Result<Value, StoreUnavailable> {
        match self.0.send::<Value>(Request::Command(command)).await {
            Ok(value) => Ok(value),
            Err(error) if needs_reconnect(&error) => Err(StoreUnavailable::new(error)),
            Err(_) => Ok(Value::Nil),
        }
    }

    /// Runs a command that reads a value. Returns `None` for one that is not of this type, which
    /// says nothing of other values.
    pub(super) async fn query_if_readable<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<Option<T>, StoreUnavailable> {
        match self.answer::<Value>(Request::Command(command)).await? {
            // Converted only here: the client library takes a value of another type for a broken
            // connection.
            Ok(value) => Ok(T::from_redis_value(value).ok()),
            Err(error) if error.code() == Some("WRONGTYPE") => Ok(None),
            Err(error) => Err(StoreUnavailable::new(error)),
        }
    }

    async fn request<T: FromRedisValue>(&self, what: Request<'_>) -> Result<T, StoreUnavailable> {
        self.answer(what).await?.map_err(StoreUnavailable::new)
    }

    /// Sends a request, and once more over another connection if the first one broke. Returns the
    /// answer, which may be an error of this request alone.
    async fn answer<T: FromRedisValue>(
        &self,
        what: Request<'_>,
    ) -> Result<RedisResult<T>, StoreUnavailable> {
        if self.0.health.load(Ordering::Relaxed) == Health::Unavailable as u8 {
            return Err(StoreUnavailable::new("Redis did not answer a moment ago"));
        }
        let mut patience = Patience {
            client: &self.0,
            since: Some(Instant::now()),
        };
        let mut result = self.0.send(what).await;
        if result.as_ref().is_err_and(needs_reconnect) {
            result = self.0.send(what).await;
        }
        patience.since = None;
        match result {
            Err(error) if needs_reconnect(&error) => {
                self.0.report(Health::Unavailable);
                Err(StoreUnavailable::new(error))
            }
            answer => Ok(answer),
        }
    }
}

/// Reports Redis as slow when the caller gives up waiting, which drops this value.
struct Patience<'c> {
    client: &'c Arc<Inner>,
    since: Option<Instant>,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if self.since.is_some_and(|since| since.elapsed() >= SLOW) {
            self.client.report(Health::Suspect);
        }
    }
}

impl Inner {
    async fn send<T: FromRedisValue>(&self, what: Request<'_>) -> RedisResult<T> {
        let (mut connection, generation) = self.connection().await?;
        let result = match what {
            Request::Command(command) => command.query_async(&mut connection).await,
            Request::Pipeline(pipeline) => pipeline.query_async(&mut connection).await,
        };
        if result.as_ref().is_err_and(needs_reconnect) {
            let mut current = self.connection.lock().await;
            // Another caller may have connected again already.
            if current.generation == generation {
                current.connection = None;
            }
        }
        result
    }

    /// Returns the connection, and connects first if necessary. One caller connects, and the others
    /// wait for it.
    async fn connection(&self) -> RedisResult<(Connection, u64)> {
        let mut current = self.connection.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((connection.clone(), current.generation));
        }
        let connecting = connection::connect(&self.topology, &self.tls);
        let connection = match tokio::time::timeout(TIMEOUT * 2, connecting).await {
            Ok(connected) => connected?,
            Err(_) => return Err((ErrorKind::Io, "no answer in time").into()),
        };
        current.connection = Some(connection.clone());
        current.generation = current.generation.wrapping_add(1);
        Ok((connection, current.generation))
    }

    /// Records that Redis does not answer. The first report starts a task that asks whether Redis
    /// is back.
    fn report(self: &Arc<Self>, health: Health) {
        let before = self.health.fetch_max(health as u8, Ordering::Relaxed);
        // Outside of a runtime the process is ending, and no task can run.
        if before == Health::Available as u8
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(Self::ping_until_available(Arc::downgrade(self)));
        }
    }

    async fn ping_until_available(client: Weak<Self>) {
        while let Some(client) = client.upgrade() {
            let ping = cmd("PING");
            match client.send::<Value>(Request::Command(&ping)).await {
                Err(error) if needs_reconnect(&error) => {
                    client
                        .health
                        .store(Health::Unavailable as u8, Ordering::Relaxed);
                }
                // Any other answer shows that Redis is back, also a refusal of this command.
                Ok(_) | Err(_) => {
                    client
                        .health
                        .store(Health::Available as u8, Ordering::Relaxed);
                    return;
                }
            }
            drop(client);
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }
}

/// Returns whether another connection may succeed: this one broke, or its server is not the primary
/// any more.
fn needs_reconnect(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_timeout()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "LOADING" | "MASTERDOWN"))
}
