//! `gatepost healthcheck`: for container engines, which have no other program in the image.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::config_file::ConfigFile;
use super::output::complain;
use crate::compat::AUTHENTIK_PING;
use crate::config::health_addresses;
use crate::http_client::chain;

pub(super) async fn healthcheck(file: &ConfigFile, ready: bool) -> Option<()> {
    // The one key, and no other: a mistake in the file does not concern the outpost that runs.
    let by_authentik = file.is_of_authentik();
    // As the health check of authentik's container, which waits for the applications.
    let alive = if by_authentik {
        AUTHENTIK_PING
    } else {
        "/healthz"
    };
    let mut names = vec!["GATEPOST_LISTEN_METRICS"];
    names.extend(by_authentik.then_some("AUTHENTIK_LISTEN__METRICS"));
    let texts = names
        .into_iter()
        .filter_map(|name| std::env::var(name).ok());
    let path = file.config.as_deref().filter(|_| !by_authentik);
    let address = reachable(health_addresses(texts, path).first());
    let path = if ready { "/readyz" } else { alive };
    let url = format!("http://{address}{path}");
    let response = match client(Duration::from_secs(5)) {
        Ok(client) => client.get(&url).send().await,
        Err(error) => Err(error),
    };
    match response.and_then(reqwest::Response::error_for_status) {
        Ok(_) => Some(()),
        Err(error) => {
            complain(&format!("{url}: {}", chain(&error.without_url())));
            None
        }
    }
}

/// Returns a client that asks the outpost's own listener, and by no proxy.
pub(super) fn client(timeout: Duration) -> reqwest::Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(timeout);
    client.build()
}

/// Returns the address to ask: a listener on every interface is asked on loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
