//! Connections to Redis, whatever its topology.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, RedisConnectionInfo, RedisFuture,
    RedisResult, TlsMode, Value,
};

use super::RedisTls;
use super::url::Topology;

/// The longest time for a connection or a response. Redis answers in less than a millisecond or is
/// in trouble, and a user waits.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that several commands can share.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Connects.
pub(super) async fn connect(topology: &Topology, tls: &RedisTls) -> RedisResult<Connection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    let certificates = tls.certificates();
    match topology {
        Topology::Single(info) => {
            let client = match certificates {
                Some(certificates) => Client::build_with_tls(info.clone(), certificates)?,
                None => Client::open(info.clone())?,
            };
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            Ok(Connection::Server(connection.await?))
        }
        Topology::Sentinel {
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
        Topology::Cluster(nodes) => {
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

/// Returns a client of the server that Sentinels name, with the credentials of both.
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
    // All Sentinels have the same credentials.
    let sentinel = sentinels.first().map(ConnectionInfo::redis_settings);
    if let Some(user) = sentinel.and_then(RedisConnectionInfo::username) {
        client = client.set_client_to_sentinel_username(user);
    }
    if let Some(password) = sentinel.and_then(RedisConnectionInfo::password) {
        client = client.set_client_to_sentinel_password(password);
    }
    Ok(client)
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
