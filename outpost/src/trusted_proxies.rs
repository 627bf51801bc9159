//! The proxies whose forwarded headers are trusted.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use ipnet::IpNet;

/// The networks of the proxies whose `X-Forwarded-*` and `X-Original-*` headers are trusted. Empty
/// trusts no peer.
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
                    .map(canonical)
                    .map_err(|_| entry)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns whether no peer is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what an operator should change, if these are so many that strangers are among them.
    pub fn advice(&self) -> Option<String> {
        let trusts_strangers = |own: &&IpNet| match own {
            IpNet::V4(own) => own.prefix_len() < 8,
            // The private addresses of IPv6 are a network of this size.
            IpNet::V6(own) => own.prefix_len() < 7,
        };
        let network = self.0.iter().find(trusts_strangers)?;
        Some(format!(
            "`trustedProxies`: {network} trusts clients as if they were your proxy: a client that \
             reaches the outpost says itself from which address and for which host it asks, so it \
             passes `rateLimit`, puts any address into the log, and with `clientCertificateHeader` \
             has any certificate; name the addresses of your proxies alone"
        ))
    }

    /// Returns whether some of them is in none of the networks of this text.
    pub fn reach_beyond(&self, networks: &str) -> bool {
        let known = Self::parse(networks.split(',')).unwrap_or_default();
        let own = self.networks().filter_map(|own| own.parse::<IpNet>().ok());
        own.into_iter()
            .any(|own| !known.0.iter().any(|known| known.contains(&own)))
    }

    /// Returns the networks as plugins read them: without further bits, and those of IPv4 in its own
    /// notation.
    pub fn networks(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|network| network.trunc().to_string())
    }

    /// Returns the address of the client behind the peer of a connection: the rightmost address in
    /// `X-Forwarded-For` that is not one of these proxies, since clients can write any addresses
    /// further left. `None` where a trusted proxy does not name its client.
    pub fn client<'h>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'h str>,
    ) -> Option<IpAddr> {
        if !self.contains(peer) {
            return Some(peer.to_canonical());
        }
        let mut nearest = None;
        for address in addresses(forwarded_for) {
            nearest = Some(address);
            if !self.contains(address) {
                break;
            }
        }
        nearest
    }

    /// Returns the address of the client, for a decision: as [`Self::client`] does, but `None` unless
    /// a trusted proxy says of an address that is not another's that the request came from there. A
    /// proxy's own address would be that of each of its clients.
    pub fn vouched_client<'h>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'h str>,
    ) -> Option<IpAddr> {
        if !self.contains(peer) {
            return Some(peer.to_canonical());
        }
        addresses(forwarded_for).find(|address| !self.contains(*address))
    }

    /// Returns whether the peer of a connection is one of these proxies.
    pub fn contains(&self, peer: IpAddr) -> bool {
        // An IPv4 peer of a socket that listens on both shows as `::ffff:a.b.c.d`.
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }
}

/// Returns a network of IPv4 that is written as one of IPv6 (`::ffff:10.0.0.0/104`, RFC 4291 §2.5.5.2) as
/// one of IPv4, as peers are compared.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(own) => own
            .addr()
            .to_ipv4_mapped()
            .zip(own.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    let of_v4 = mapped.and_then(|(address, length)| IpNet::new(address.into(), length).ok());
    of_v4.unwrap_or(network)
}

/// Remembers that an untrusted peer sent forwarded headers, so that it is logged once.
#[derive(Debug, Default)]
pub struct UntrustedPeerWarning(AtomicBool);

impl UntrustedPeerWarning {
    /// Logs the first untrusted peer that sends forwarded headers, which is most likely the
    /// operator's proxy.
    pub fn note(&self, peer: IpAddr) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                peer = %peer.to_canonical(),
                "ignoring `X-Forwarded-*` from an untrusted peer: if it is your proxy, add it to \
                 `trustedProxies`; until then `rateLimit` counts all of its clients as one",
            );
        }
    }
}

/// Returns the addresses in the lines of `X-Forwarded-For`, the rightmost first, up to an entry that is
/// not an address: a proxy writes addresses only.
fn addresses<'h>(
    forwarded_for: impl DoubleEndedIterator<Item = &'h str>,
) -> impl Iterator<Item = IpAddr> {
    let entries = forwarded_for.rev().flat_map(|line| line.rsplit(','));
    entries.map_while(|entry| address_of(entry.trim()))
}

/// Parses an entry of `X-Forwarded-For`: an address, with a port where a proxy adds one.
fn address_of(entry: &str) -> Option<IpAddr> {
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.split_once('%').map_or(bare, |(bare, _)| bare);
    let address = bare.parse::<IpAddr>().ok();
    address
        .or_else(|| entry.parse::<SocketAddr>().map(|socket| socket.ip()).ok())
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_networks_are_trusted() {
        let list = [
            "127.0.0.0/8",
            "10.1.2.3",
            "fd00::/8",
            "::ffff:172.16.0.0/108",
        ];
        let trusted = TrustedProxies::parse(list).expect("list");
        for (peer, expected) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("fd12::1", true),
            ("::1", false),
            ("172.16.9.1", true),
            ("172.15.9.1", false),
        ] {
            assert_eq!(
                trusted.contains(peer.parse().expect("address")),
                expected,
                "{peer}"
            );
        }
        assert!(!TrustedProxies::default().contains(IpAddr::from([127, 0, 0, 1])));
    }

    /// Where everyone is a proxy, a client chooses its own address, and none is vouched for.
    #[test]
    fn networks_with_strangers_in_them_are_named() {
        for (networks, named) in [
            (&["0.0.0.0/0"][..], Some("0.0.0.0/0")),
            (&["10.0.0.0/8", "::/0"], Some("::/0")),
            (&["0.0.0.0/1", "128.0.0.0/1"], Some("0.0.0.0/1")),
            (&["::ffff:0.0.0.0/96"], Some("0.0.0.0/0")),
            (
                &["10.0.0.0/8", "172.16.0.0/12", "fc00::/7", "203.0.113.7"],
                None,
            ),
            (&[], None),
        ] {
            let trusted = TrustedProxies::parse(networks.iter().copied()).expect("list");
            let advice = trusted.advice().unwrap_or_default();
            assert_eq!(
                named.is_some(),
                !advice.is_empty(),
                "{networks:?}: {advice}"
            );
            let expected = format!("`trustedProxies`: {} trusts", named.unwrap_or_default());
            assert!(named.is_none() || advice.starts_with(&expected), "{advice}");
        }
        let everyone = TrustedProxies::parse(["0.0.0.0/0"]).expect("list");
        let peer = IpAddr::from([192, 0, 2, 1]);
        let said = ["198.51.100.1, 203.0.113.9"];
        let chosen = everyone.client(peer, said.into_iter());
        assert_eq!(chosen, Some(IpAddr::from([198, 51, 100, 1])));
        assert_eq!(everyone.vouched_client(peer, said.into_iter()), None);
    }

    #[test]
    fn only_a_trusted_proxy_names_the_client() {
        let trusted = TrustedProxies::parse(["127.0.0.0/8", "10.0.0.0/8"]).expect("list");
        for (peer, lines, expected) in [
            // Not a proxy: whatever it says.
            ("192.0.2.1", &["198.51.100.1"][..], Some("192.0.2.1")),
            ("::ffff:192.0.2.1", &[], Some("192.0.2.1")),
            ("127.0.0.1", &[], None),
            ("127.0.0.1", &["198.51.100.1"], Some("198.51.100.1")),
            // Clients can write the addresses further left.
            (
                "127.0.0.1",
                &["203.0.113.9, 198.51.100.1"],
                Some("198.51.100.1"),
            ),
            (
                "127.0.0.1",
                &["203.0.113.9", "198.51.100.1"],
                Some("198.51.100.1"),
            ),
            (
                "127.0.0.1",
                &["198.51.100.1,10.1.1.1 , 10.2.2.2"],
                Some("198.51.100.1"),
            ),
            ("127.0.0.1", &["198.51.100.1:4711"], Some("198.51.100.1")),
            ("127.0.0.1", &["[2001:db8::1]:4711"], Some("2001:db8::1")),
            ("127.0.0.1", &["[2001:db8::1]"], Some("2001:db8::1")),
            ("127.0.0.1", &["2001:db8::1"], Some("2001:db8::1")),
            ("127.0.0.1", &["::ffff:198.51.100.1"], Some("198.51.100.1")),
            // A client in a trusted network.
            ("127.0.0.1", &["10.3.3.3, 10.1.1.1"], Some("10.3.3.3")),
            (
                "127.0.0.1",
                &["198.51.100.1, unknown, 10.1.1.1"],
                Some("10.1.1.1"),
            ),
            ("127.0.0.1", &["unknown"], None),
            ("127.0.0.1", &["", ","], None),
        ] {
            let client = trusted.client(peer.parse().expect("address"), lines.iter().copied());
            let expected = expected.map(|text| text.parse().expect("address"));
            assert_eq!(client, expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_decision_is_made_on_an_address_that_a_proxy_vouches_for() {
        let trusted = TrustedProxies::parse(["127.0.0.0/8", "10.0.0.0/8"]).expect("list");
        for (peer, lines, expected) in [
            ("192.0.2.1", &["198.51.100.1"][..], Some("192.0.2.1")),
            ("::ffff:192.0.2.1", &[], Some("192.0.2.1")),
            ("127.0.0.1", &[], None),
            ("127.0.0.1", &["198.51.100.1"], Some("198.51.100.1")),
            (
                "127.0.0.1",
                &["203.0.113.9", "198.51.100.1, 10.1.1.1"],
                Some("198.51.100.1"),
            ),
            ("127.0.0.1", &["fe80::1%eth0"], Some("fe80::1")),
            // The address of a proxy.
            ("127.0.0.1", &["10.1.1.1"], None),
            ("127.0.0.1", &["10.3.3.3, 10.1.1.1"], None),
            // One that a client may have written.
            ("127.0.0.1", &["198.51.100.1, unknown, 10.1.1.1"], None),
            ("127.0.0.1", &["198.51.100.1, "], None),
        ] {
            let peer = peer.parse().expect("address");
            let client = trusted.vouched_client(peer, lines.iter().copied());
            let expected = expected.map(|text| text.parse().expect("address"));
            assert_eq!(client, expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn an_invalid_network_is_reported() {
        assert_eq!(
            TrustedProxies::parse(["127.0.0.1", "traefik"]),
            Err("traefik")
        );
        assert_eq!(TrustedProxies::parse(["10.0.0.0/33"]), Err("10.0.0.0/33"));
    }
}
