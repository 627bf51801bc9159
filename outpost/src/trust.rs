//! Whose forwarded headers are believed.

use std::net::IpAddr;

use ipnet::IpNet;

/// The networks of the proxies whose `X-Forwarded-*` and `X-Original-*` headers are believed.
/// Empty means nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Parses networks (`10.0.0.0/8`) and single addresses.
    ///
    /// # Errors
    ///
    /// The first entry that is neither.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        entries
            .into_iter()
            .map(|entry| {
                entry
                    .parse::<IpNet>()
                    .or_else(|_| entry.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| entry)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the peer of a connection is one of these proxies.
    pub fn contains(&self, peer: IpAddr) -> bool {
        // An IPv4 peer of a socket that listens on both shows as `::ffff:a.b.c.d`.
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_networks_are_trusted() {
        let trusted = TrustedProxies::parse(["127.0.0.0/8", "10.1.2.3", "fd00::/8"]).expect("list");
        for (peer, expected) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("fd12::1", true),
            ("::1", false),
        ] {
            assert_eq!(
                trusted.contains(peer.parse().expect("address")),
                expected,
                "{peer}"
            );
        }
        assert!(!TrustedProxies::default().contains(IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn an_entry_that_is_no_network_is_named() {
        assert_eq!(
            TrustedProxies::parse(["127.0.0.1", "traefik"]),
            Err("traefik")
        );
        assert_eq!(TrustedProxies::parse(["10.0.0.0/33"]), Err("10.0.0.0/33"));
    }
}
