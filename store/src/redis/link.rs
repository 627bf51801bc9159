//! Reaching Redis: one server, the one that Sentinels name, or a cluster.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, Pipeline, RedisConnectionInfo, RedisError, RedisFuture, RedisResult,
    TlsMode, Value, cmd,
};
use tokio::sync::Mutex;

use super::RedisTls;
use crate::StoreUnavailable;

/// How long Redis may take to answer. It answers in less than a millisecond or is not well, and a
/// person waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// After how long somebody who goes away without an answer has found Redis slow.
const SLOW: Duration = Duration::from_millis(100);

/// How long after one question whether Redis is back the next is asked.
const PAUSE: Duration = Duration::from_millis(250);

/// Where Redis is.
#[derive(Clone)]
pub struct RedisUrl {
    topology: Box<Topology>,
    text: String,
}

#[derive(Clone)]
enum Topology {
    Single(ConnectionInfo),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
        node: ConnectionInfo,
        tls: bool,
    },
    Cluster(Vec<ConnectionInfo>),
}

/// A text that is not a [`RedisUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `redis://user:password@host:6379/0`, `redis-sentinel://…@host1,host2/0?service=NAME` \
     or `redis-cluster://…@host1,host2`, and `rediss` for `redis` with TLS"
)]
pub struct InvalidRedisUrl;

impl RedisUrl {
    /// Parses an address of one server, several Sentinels or several nodes of a cluster.
    ///
    /// User and password are those of the servers. Sentinels that want some have them in the query
    /// parameters `sentinelUser` and `sentinelPassword`.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisUrl`], which does not repeat the text: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, InvalidRedisUrl> {
        let topology = Topology::parse(text.trim()).ok_or(InvalidRedisUrl)?;
        Ok(Self {
            topology: Box::new(topology),
            text: text.to_owned(),
        })
    }

    /// Whether it is reached over TLS.
    pub fn is_over_tls(&self) -> bool {
        self.text.trim_start().starts_with("rediss")
    }
}

impl PartialEq for RedisUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RedisUrl {}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl(redacted)")
    }
}

impl Topology {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (scheme, kind) = match scheme.split_once('-') {
            Some((scheme, kind @ ("sentinel" | "cluster"))) => (scheme, kind),
            Some(_) => return None,
            None => return Some(Self::Single(text.into_connection_info().ok()?)),
        };
        let tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return None,
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let info = |user: &str, host: &str, database: &str| {
            format!("{scheme}://{user}{host}/{database}")
                .as_str()
                .into_connection_info()
                .ok()
        };
        let hosts: Vec<&str> = hosts.split(',').filter(|host| !host.is_empty()).collect();
        let first = hosts.first()?;
        if kind == "cluster" {
            let nodes = hosts.iter().map(|host| info(&user, host, ""));
            return Some(Self::Cluster(nodes.collect::<Option<_>>()?));
        }
        let parameter = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find_map(|(own, value)| (own == name).then(|| value.into_owned()))
        };
        let mut sentinels = Vec::new();
        for host in &hosts {
            // Sentinels listen on a port of their own.
            let sentinel = info("", &with_port(host, 26_379), "")?;
            let mut settings = sentinel.redis_settings().clone();
            if let Some(user) = parameter("sentinelUser") {
                settings = settings.set_username(user);
            }
            if let Some(password) = parameter("sentinelPassword") {
                settings = settings.set_password(password);
            }
            sentinels.push(sentinel.set_redis_settings(settings));
        }
        Some(Self::Sentinel {
            sentinels,
            service: parameter("service")?,
            node: info(&user, first, database)?,
            tls,
        })
    }
}

fn with_port(host: &str, port: u16) -> String {
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(name, port)| !name.ends_with(':') && port.parse::<u16>().is_ok());
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

/// A connection that is made when it is needed and anew after it broke.
///
/// While Redis does not answer, one task asks it whether it is back, and nobody else waits.
pub(super) struct Link(Arc<Inner>);

/// What Redis is asked at once.
#[derive(Clone, Copy)]
enum Request<'r> {
    One(&'r Cmd),
    Several(&'r Pipeline),
}

struct Inner {
    topology: Topology,
    tls: RedisTls,
    connection: Mutex<Option<Connection>>,
    health: AtomicU8,
}

/// Redis answers.
const WELL: u8 = 0;
/// Somebody did not want to wait for it any longer.
const SUSPECT: u8 = 1;
/// It could not be reached.
const DOWN: u8 = 2;

impl Link {
    pub(super) fn new(url: &RedisUrl, tls: &RedisTls) -> Self {
        // Another part of the process may have chosen one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(Arc::new(Inner {
            topology: (*url.topology).clone(),
            tls: tls.clone(),
            connection: Mutex::default(),
            health: AtomicU8::new(WELL),
        }))
    }

    /// Whether Redis has answered lately, as far as it was asked.
    pub(super) fn answers(&self) -> bool {
        self.0.health.load(Ordering::Relaxed) == WELL
    }

    /// Runs a command, on a new connection if the one before has broken.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<T, StoreUnavailable> {
        self.attempt(Request::One(command)).await
    }

    /// As [`Link::run`], where a refusal is an answer too.
    pub(super) async fn run_any(&self, command: &Cmd) -> Result<Value, StoreUnavailable> {
        match self.0.once::<Value>(Request::One(command)).await {
            Ok(value) => Ok(value),
            Err(error) if is_broken(&error) => Err(StoreUnavailable(Box::new(error))),
            Err(_) => Ok(Value::Nil),
        }
    }

    /// As [`Link::run`], for several commands about one key.
    pub(super) async fn run_all<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
    ) -> Result<T, StoreUnavailable> {
        self.attempt(Request::Several(commands)).await
    }

    async fn attempt<T: FromRedisValue>(&self, what: Request<'_>) -> Result<T, StoreUnavailable> {
        if self.0.health.load(Ordering::Relaxed) == DOWN {
            return Err(StoreUnavailable("did not answer a moment ago".into()));
        }
        let mut waiting = Waiting {
            link: &self.0,
            since: Some(Instant::now()),
        };
        let mut outcome = self.0.once(what).await;
        if outcome.as_ref().is_err_and(is_broken) {
            outcome = self.0.once(what).await;
        }
        waiting.since = None;
        outcome.map_err(|error| {
            if is_broken(&error) {
                self.0.is_ill(DOWN);
            }
            StoreUnavailable(Box::new(error))
        })
    }
}

/// Somebody who waits for an answer. Who goes away before there is one finds Redis slow.
struct Waiting<'l> {
    link: &'l Arc<Inner>,
    since: Option<Instant>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.since.is_some_and(|since| since.elapsed() >= SLOW) {
            self.link.is_ill(SUSPECT);
        }
    }
}

impl Inner {
    async fn once<T: FromRedisValue>(&self, what: Request<'_>) -> RedisResult<T> {
        let mut connection = self.connection().await?;
        let outcome = match what {
            Request::One(command) => command.query_async(&mut connection).await,
            Request::Several(commands) => commands.query_async(&mut connection).await,
        };
        if outcome.as_ref().is_err_and(is_broken) {
            *self.connection.lock().await = None;
        }
        outcome
    }

    async fn connection(&self) -> RedisResult<Connection> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        let connecting = self.topology.connect(&self.tls);
        let connection = match tokio::time::timeout(TIMEOUT * 2, connecting).await {
            Ok(connected) => connected?,
            Err(_) => return Err((ErrorKind::Io, "no answer in time").into()),
        };
        *held = Some(connection.clone());
        Ok(connection)
    }

    /// Notes that Redis does not answer. The first to notice begins to ask whether it is back.
    fn is_ill(self: &Arc<Self>, health: u8) {
        let before = self.health.fetch_max(health, Ordering::Relaxed);
        // Dropped outside of the runtime, nobody is there to ask: the process ends.
        if before == WELL
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(Self::ask_until_well(Arc::downgrade(self)));
        }
    }

    async fn ask_until_well(link: Weak<Self>) {
        while let Some(link) = link.upgrade() {
            let ping = cmd("PING");
            match link.once::<Value>(Request::One(&ping)).await {
                Err(error) if is_broken(&error) => {
                    link.health.store(DOWN, Ordering::Relaxed);
                }
                // Any answer is one, also that the user may not ask this.
                Ok(_) | Err(_) => {
                    link.health.store(WELL, Ordering::Relaxed);
                    return;
                }
            }
            drop(link);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether another connection may do better: this one is gone, or its server is no master any
/// more.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_timeout()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "LOADING" | "MASTERDOWN"))
}

impl Topology {
    async fn connect(&self, tls: &RedisTls) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let certificates = tls.certificates();
        match self {
            Self::Single(info) => {
                let client = match certificates {
                    Some(certificates) => Client::build_with_tls(info.clone(), certificates)?,
                    None => Client::open(info.clone())?,
                };
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                Ok(Connection::Server(connection.await?))
            }
            Self::Sentinel {
                sentinels,
                service,
                node,
                tls,
            } => {
                let mut client = sentinel_client(sentinels, service, node)?;
                if *tls {
                    client = client.set_client_to_redis_tls_mode(TlsMode::Secure);
                }
                if let Some(certificates) = certificates {
                    client = client
                        .set_client_to_sentinel_certificates(certificates.clone())
                        .set_client_to_redis_certificates(certificates);
                }
                let mut client = client.build()?;
                let connection = client.get_async_connection_with_config(&config);
                Ok(Connection::Server(connection.await?))
            }
            Self::Cluster(nodes) => {
                let mut client = ClusterClientBuilder::new(nodes.clone())
                    .connection_timeout(TIMEOUT)
                    .response_timeout(TIMEOUT);
                if let Some(certificates) = certificates {
                    client = client.certs(certificates);
                }
                let connection = client.build()?.get_async_connection().await?;
                Ok(Connection::Cluster(connection))
            }
        }
    }
}

/// A client of the server that Sentinels name, with the credentials of both.
fn sentinel_client(
    sentinels: &[ConnectionInfo],
    service: &str,
    node: &ConnectionInfo,
) -> RedisResult<SentinelClientBuilder> {
    let addresses = sentinels.iter().map(|sentinel| sentinel.addr().clone());
    let mut client = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
        .set_client_to_redis_db(node.redis_settings().db());
    if let Some(user) = node.redis_settings().username() {
        client = client.set_client_to_redis_username(user);
    }
    if let Some(password) = node.redis_settings().password() {
        client = client.set_client_to_redis_password(password);
    }
    // All have the same.
    let sentinel = sentinels.first().map(ConnectionInfo::redis_settings);
    if let Some(user) = sentinel.and_then(RedisConnectionInfo::username) {
        client = client.set_client_to_sentinel_username(user);
    }
    if let Some(password) = sentinel.and_then(RedisConnectionInfo::password) {
        client = client.set_client_to_sentinel_password(password);
    }
    Ok(client)
}

/// A connection, which several commands may use at once.
#[derive(Clone)]
enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_one_server_sentinels_or_a_cluster() {
        for (text, expected) in [
            ("redis://127.0.0.1", "single"),
            ("rediss://user:p%40ss@redis.example.com:6380/2", "single"),
            ("redis+unix:///run/redis.sock", "single"),
            ("redis-sentinel://a,b:26380,c/1?service=main", "sentinel 3"),
            (
                "rediss-sentinel://u:p@a?service=main&sentinelPassword=x",
                "sentinel 1",
            ),
            ("redis-sentinel://a,b", "wrong"),
            ("redis-cluster://:p@a:7000,b:7001", "cluster 2"),
            ("rediss-cluster://[::1]:7000", "cluster 1"),
            ("redis-cluster://", "wrong"),
            ("redis-other://a", "wrong"),
            ("http://a", "wrong"),
            ("localhost:6379", "wrong"),
            ("", "wrong"),
        ] {
            let parsed = match RedisUrl::parse(text).map(|url| *url.topology) {
                Ok(Topology::Single(_)) => "single".to_owned(),
                Ok(Topology::Sentinel { sentinels, .. }) => format!("sentinel {}", sentinels.len()),
                Ok(Topology::Cluster(nodes)) => format!("cluster {}", nodes.len()),
                Err(InvalidRedisUrl) => "wrong".to_owned(),
            };
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn a_sentinel_has_its_own_port_and_credentials() {
        let url = "redis-sentinel://u:secret@a,b:7/1?service=main&sentinelPassword=other";
        let parsed = RedisUrl::parse(url).expect("an address");
        assert!(!format!("{parsed:?}").contains("secret"));
        let Topology::Sentinel {
            sentinels, node, ..
        } = *parsed.topology
        else {
            panic!("not sentinels");
        };
        let shown: Vec<String> = sentinels.iter().map(|s| s.addr().to_string()).collect();
        assert_eq!(shown, ["a:26379", "b:7"]);
        assert_eq!(sentinels[0].redis_settings().password(), Some("other"));
        assert_eq!(node.redis_settings().password(), Some("secret"));
        assert_eq!(node.redis_settings().db(), 1);
    }
}
