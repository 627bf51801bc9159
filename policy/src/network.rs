//! Networks that clients are in.

use core::fmt;
use core::net::IpAddr;

use gatepost_scan::split_once;

/// The address of a client.
///
/// Read by a parser of its own: that of the standard library takes three times as much of the
/// plugin, and a test compares both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(
    /// IPv4 as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
    u128,
);

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        })
    }
}

impl ClientAddress {
    /// Parses an address. Refuses one of IPv6 that ends in the notation of IPv4: no server writes
    /// one in this way.
    fn parse(text: &[u8]) -> Option<Self> {
        let is_v6 = text.contains(&b':');
        let (separator, radix, most, all) = if is_v6 {
            (b':', 16, 0xffff, 8)
        } else {
            (b'.', 10, 0xff, 4)
        };
        let unspecified = text == b"::";
        let may_have_gap = text.windows(2).any(|pair| pair == b"::");
        // An end in `::` has an empty part too many.
        let text = match text {
            [b':', rest @ ..] if rest.starts_with(b":") => rest,
            [rest @ .., b':'] if rest.ends_with(b":") => rest,
            _ => text,
        };
        let parts = || text.split(|byte| *byte == separator);
        let written = parts().filter(|part| !part.is_empty());
        // How many parts the gap stands for.
        let missing = usize::checked_sub(all, written.count())?;
        // Shifted by a constant each time: the plugin would have a function for any other.
        let (mut v4, mut v6) = (0_u32, 0_u128);
        let mut has_gap = false;
        for part in parts() {
            if part.is_empty() && may_have_gap && !has_gap {
                has_gap = true;
                for _ in 0..missing {
                    v6 <<= 16;
                }
                continue;
            }
            if unspecified {
                break;
            }
            let number = number(part, radix)?;
            let padded = !is_v6 && part.len() > 1 && part.starts_with(b"0");
            if part.len() > 4 || number > most || padded {
                return None;
            }
            v4 = v4 << 8 | number;
            v6 = v6 << 16 | u128::from(number);
        }
        // A gap stands for one part at least, and without one there are all.
        if has_gap != (missing > 0) {
            return None;
        }
        Some(Self(if is_v6 {
            v6
        } else {
            V4_PREFIX | u128::from(v4)
        }))
    }

    /// Reads the address of a connection's other end, as a proxy written in Go shows it: with a
    /// port, an IPv6 address in brackets and perhaps with its zone.
    pub fn of_peer(text: &[u8]) -> Option<Self> {
        let address = match text {
            [b'[', rest @ ..] => split_once(b']', rest)?.0,
            // One of IPv4 has a colon before the port only.
            _ => match split_once(b':', text) {
                Some((bare, port)) if !port.contains(&b':') => bare,
                _ => text,
            },
        };
        match split_once(b'%', address) {
            Some((bare, _)) if bare.contains(&b':') => Self::parse(bare),
            _ => Self::parse(address),
        }
    }
}

const V4_PREFIX: u128 = 0xffff_0000_0000;

/// Reads a number of digits alone, of which there are few.
fn number(text: &[u8], radix: u32) -> Option<u32> {
    let mut number: u32 = 0;
    for digit in text {
        let digit = char::from(*digit).to_digit(radix)?;
        number = number.wrapping_mul(radix).wrapping_add(digit);
    }
    (!text.is_empty()).then_some(number)
}

/// A network: an address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u128,
    /// How many of its bits count, of all 128.
    length: u32,
}

/// A text that is not a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNetwork;

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a network: expected an address, or one with the length of its prefix and no \
             further bits, like `10.0.0.0/8`",
        )
    }
}

impl core::error::Error for InvalidNetwork {}

impl Network {
    /// Parses a network in the notation of CIDR (RFC 4632 §3.1, RFC 4291 §2.3), or an address.
    ///
    /// # Errors
    ///
    /// [`InvalidNetwork`] for anything else, also where bits behind the prefix are set: such a text
    /// is one host or a whole network by mistake.
    pub fn parse(text: &str) -> Result<Self, InvalidNetwork> {
        Self::read(text.as_bytes()).ok_or(InvalidNetwork)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (address, length) = match split_once(b'/', text) {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let ClientAddress(base) = ClientAddress::parse(address)?;
        let bits: u32 = if address.contains(&b':') { 128 } else { 32 };
        let length = match length {
            None => bits,
            Some(length) if length.len() <= 3 => number(length, 10)?,
            Some(_) => return None,
        };
        let behind = bits.checked_sub(length)?;
        (base.trailing_zeros() >= behind).then_some(Self {
            base,
            length: 128 - behind,
        })
    }

    /// Returns whether an address is in the network. An IPv4 address is, whichever way the socket
    /// shows it.
    pub fn contains(&self, address: ClientAddress) -> bool {
        (address.0 ^ self.base).leading_zeros() >= self.length
    }

    /// Returns its address as bytes, and how many of its first bits count.
    pub(crate) fn to_bytes(self) -> ([u8; 16], [u8; 4]) {
        (self.base.to_le_bytes(), self.length.to_le_bytes())
    }

    /// Returns whether every address of `other` is in this network.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.length >= self.length && self.contains(ClientAddress(other.base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    #[test]
    fn only_addresses_of_a_network_are_in_it() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "::ffff:a01:203", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::a00:1", false),
            ("0.0.0.0/0", "203.0.113.7", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("fd00::1", "fd00::1", true),
        ] {
            let network = Network::parse(network).expect(network);
            let address = ClientAddress::parse(address.as_bytes()).expect(address);
            assert_eq!(
                network.contains(address),
                expected,
                "{network:?} {address:?}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.1/8",
            "10.0.0/8",
            "2001:db8::/129",
            "2001:db8::1/32",
            "localhost",
            "10.0.0.0/8/8",
            " 10.0.0.1",
        ] {
            assert_eq!(Network::parse(text), Err(InvalidNetwork), "{text}");
        }
    }

    #[test]
    fn a_peers_address_is_read_without_its_port() {
        for (text, expected) in [
            ("192.0.2.7:4711", Some("192.0.2.7")),
            ("192.0.2.7", Some("192.0.2.7")),
            ("[2001:db8::1]:4711", Some("2001:db8::1")),
            ("[fe80::1%eth0]:4711", Some("fe80::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("", None),
            ("@", None),
            ("192.0.2.7, 10.0.0.1", None),
            ("192.0.2.7%x", None),
            ("/run/socket", None),
        ] {
            let expected = expected.map(|text| text.parse::<IpAddr>().expect(text).into());
            assert_eq!(ClientAddress::of_peer(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn addresses_are_read_as_the_standard_library_reads_them(
            text in prop_oneof![
                any::<[u8; 16]>().prop_map(|bytes| IpAddr::from(bytes).to_string()),
                any::<[u8; 4]>().prop_map(|bytes| IpAddr::from(bytes).to_string()),
                "[0-9a-f:]{0,12}(:[0-9]{1,3}(\\.[0-9]{1,3}){3})?",
                "(::|:)?([0-9a-f]{1,4}:){0,8}:?(:[0-9a-f]{1,4}){0,4}(::|:)?",
                "([0-9a-fA-F]{0,5}:){0,9}[0-9a-f]{0,4}",
                "[0-9]{0,4}(\\.[0-9]{0,4}){2,4}",
                "[0-9a-f:.+% /]{0,20}",
            ],
        ) {
            let expected = text.parse::<IpAddr>().ok().map(ClientAddress::from);
            let expected = expected.filter(|_| !(text.contains(':') && text.contains('.')));
            prop_assert_eq!(ClientAddress::parse(text.as_bytes()), expected);
        }
    }
}
