//! The address of Redis: one server, Sentinels, or the nodes of a cluster.

use std::fmt;

use redis::{ConnectionInfo, IntoConnectionInfo as _};

/// The default port of a Sentinel.
const SENTINEL_PORT: u16 = 26_379;

/// The address of Redis.
#[derive(Clone)]
pub struct RedisUrl {
    topology: Box<Topology>,
    text: String,
}

/// What an address refers to.
#[derive(Clone)]
pub(super) enum Topology {
    /// One server.
    Single(ConnectionInfo),
    /// The server that Sentinels name.
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
        /// Database and credentials of the server.
        node: ConnectionInfo,
        tls: bool,
    },
    /// Some nodes of a cluster.
    Cluster(Vec<ConnectionInfo>),
}

/// A text is not a valid [`RedisUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `redis://user:password@host:6379/0`, `redis-sentinel://…@host1,host2/0?service=NAME` \
     or `redis-cluster://…@host1,host2`, and `rediss` for `redis` with TLS"
)]
pub struct InvalidRedisUrl;

impl RedisUrl {
    /// Parses the address of one server, of Sentinels, or of nodes of a cluster.
    ///
    /// User and password are those of the servers. The query parameters `sentinelUser` and
    /// `sentinelPassword` are the credentials for Sentinels.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisUrl`], which does not contain the text: it may contain a password.
    pub fn parse(text: &str) -> Result<Self, InvalidRedisUrl> {
        let topology = Topology::parse(text.trim()).ok_or(InvalidRedisUrl)?;
        Ok(Self {
            topology: Box::new(topology),
            text: text.to_owned(),
        })
    }

    /// Returns whether connections use TLS.
    pub fn is_over_tls(&self) -> bool {
        self.text.trim_start().starts_with("rediss")
    }

    /// Returns the addresses to which the outpost connects first, with commas between, and without
    /// credentials.
    pub fn addresses(&self) -> String {
        let all = match &*self.topology {
            Topology::Single(server) => std::slice::from_ref(server),
            Topology::Sentinel { sentinels, .. } => sentinels,
            Topology::Cluster(nodes) => nodes,
        };
        let all: Vec<String> = all.iter().map(|own| own.addr().to_string()).collect();
        all.join(", ")
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.topology
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

/// The parts of an address of several hosts, which the client library does not parse.
struct Parts<'t> {
    scheme: &'t str,
    /// User and password with the `@`, or nothing.
    user: String,
    hosts: Vec<&'t str>,
    database: &'t str,
    query: &'t str,
}

impl<'t> Parts<'t> {
    fn parse(scheme: &'t str, rest: &'t str) -> Self {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        Self {
            scheme,
            user,
            hosts: hosts.split(',').filter(|host| !host.is_empty()).collect(),
            database,
            query,
        }
    }

    fn server(&self, user: &str, host: &str, database: &str) -> Option<ConnectionInfo> {
        format!("{}://{user}{host}/{database}", self.scheme)
            .as_str()
            .into_connection_info()
            .ok()
    }

    fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find_map(|(own, value)| (own == name).then(|| value.into_owned()))
    }

    fn sentinel(&self, host: &str) -> Option<ConnectionInfo> {
        let sentinel = self.server("", &with_port(host, SENTINEL_PORT), "")?;
        let mut settings = sentinel.redis_settings().clone();
        if let Some(user) = self.parameter("sentinelUser") {
            settings = settings.set_username(user);
        }
        if let Some(password) = self.parameter("sentinelPassword") {
            settings = settings.set_password(password);
        }
        Some(sentinel.set_redis_settings(settings))
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
        let parts = Parts::parse(scheme, rest);
        let first = parts.hosts.first()?;
        if kind == "cluster" {
            let nodes = parts.hosts.iter();
            let nodes = nodes.map(|host| parts.server(&parts.user, host, ""));
            return Some(Self::Cluster(nodes.collect::<Option<_>>()?));
        }
        let sentinels = parts.hosts.iter().map(|host| parts.sentinel(host));
        Some(Self::Sentinel {
            sentinels: sentinels.collect::<Option<_>>()?,
            service: parts.parameter("service")?,
            node: parts.server(&parts.user, first, parts.database)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_server_or_sentinels_or_a_cluster() {
        for (text, expected) in [
            ("redis://127.0.0.1", "single"),
            ("rediss://user:p%40ss@redis.example.com:6380/2", "single"),
            ("redis+unix:///run/redis.sock", "single"),
            ("redis-sentinel://a,b:26380,c/1?service=main", "sentinel 3"),
            (
                "rediss-sentinel://u:p@a?service=main&sentinelPassword=x",
                "sentinel 1",
            ),
            ("redis-sentinel://a,b", "invalid"),
            ("redis-cluster://:p@a:7000,b:7001", "cluster 2"),
            ("rediss-cluster://[::1]:7000", "cluster 1"),
            ("redis-cluster://", "invalid"),
            ("redis-other://a", "invalid"),
            ("http://a", "invalid"),
            ("localhost:6379", "invalid"),
            ("", "invalid"),
        ] {
            let parsed = match RedisUrl::parse(text).map(|url| *url.topology) {
                Ok(Topology::Single(_)) => "single".to_owned(),
                Ok(Topology::Sentinel { sentinels, .. }) => format!("sentinel {}", sentinels.len()),
                Ok(Topology::Cluster(nodes)) => format!("cluster {}", nodes.len()),
                Err(InvalidRedisUrl) => "invalid".to_owned(),
            };
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn a_sentinel_has_its_own_port_and_credentials() {
        let url = "redis-sentinel://u:secret@a,b:7/1?service=main&sentinelPassword=other";
        let parsed = RedisUrl::parse(url).expect("a valid address");
        assert!(!format!("{parsed:?}").contains("secret"));
        assert_eq!(parsed.addresses(), "a:26379, b:7");
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
