//! Networks that clients are in.

use core::fmt;
use core::net::IpAddr;

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
    /// Parses an address. One of IPv6 that ends in the notation of IPv4 is none: no server shows one
    /// in this way.
    fn parse(text: &str) -> Option<Self> {
        let is_v6 = text.contains(':');
        let (separator, radix, width, all) = if is_v6 {
            (':', 16, 16, 8)
        } else {
            ('.', 10, 8, 4)
        };
        let unspecified = text == "::";
        let may_have_gap = text.as_bytes().windows(2).any(|pair| pair == b"::");
        // An end in `::` has an empty part too many.
        let text = match (text.strip_prefix(':'), text.strip_suffix(':')) {
            (Some(rest), _) if rest.starts_with(':') => rest,
            (_, Some(rest)) if rest.ends_with(':') => rest,
            _ => text,
        };
        let (mut bits, mut count, mut gap) = (0_u128, 0, None);
        for part in text.split(separator) {
            if part.is_empty() && may_have_gap && gap.is_none() {
                gap = Some(count);
                continue;
            }
            if unspecified {
                break;
            }
            let number = number(part, radix)?;
            let padded = !is_v6 && part.len() > 1 && part.starts_with('0');
            if part.len() > 4 || number >> width > 0 || padded || count == all {
                return None;
            }
            bits = bits << width | u128::from(number);
            count += 1;
        }
        match gap {
            None if count < all => return None,
            None => {}
            Some(_) if count == all => return None,
            Some(gap) => {
                let behind = 16 * (count - gap);
                let rest = bits & !u128::MAX.checked_shl(behind)?;
                let before = bits.checked_shr(behind)?;
                bits = before.checked_shl(16 * (8 - gap)).unwrap_or(0) | rest;
            }
        }
        Some(Self(if is_v6 { bits } else { V4_PREFIX | bits }))
    }

    /// Reads the address of a connection's other end, as a proxy written in Go shows it: with a
    /// port, an IPv6 address in brackets and perhaps with its zone.
    pub fn of_peer(text: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(text).ok()?;
        let address = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, _) = rest.split_once(']')?;
                address
            }
            None => match text.rsplit_once(':') {
                Some((bare, _)) if !bare.contains(':') => bare,
                _ => text,
            },
        };
        match address.split_once('%') {
            Some((bare, _)) if bare.contains(':') => Self::parse(bare),
            _ => Self::parse(address),
        }
    }
}

const V4_PREFIX: u128 = 0xffff_0000_0000;

/// Reads a number of digits alone, of which there are few.
fn number(text: &str, radix: u32) -> Option<u32> {
    let mut number: u32 = 0;
    for digit in text.bytes() {
        let digit = char::from(digit).to_digit(radix)?;
        number = number.wrapping_mul(radix).wrapping_add(digit);
    }
    (!text.is_empty()).then_some(number)
}

/// A network: an address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u128,
    mask: u128,
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
        Self::read(text).ok_or(InvalidNetwork)
    }

    fn read(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let ClientAddress(base) = ClientAddress::parse(address)?;
        let bits: u32 = if address.contains(':') { 128 } else { 32 };
        let length = match length {
            None => bits,
            Some(length) if length.len() <= 3 => number(length, 10)?,
            Some(_) => return None,
        };
        let mask = u128::MAX
            .checked_shl(bits.checked_sub(length)?)
            .unwrap_or(0);
        (base & !mask == 0).then_some(Self { base, mask })
    }

    /// Returns whether an address is in the network. An IPv4 address is, whichever way the socket
    /// shows it.
    pub fn contains(&self, address: ClientAddress) -> bool {
        address.0 & self.mask == self.base
    }

    /// Returns whether every address of `other` is in this network.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.mask & self.mask == self.mask && other.base & self.mask == self.base
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
            let address = ClientAddress::parse(address).expect(address);
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
            prop_assert_eq!(ClientAddress::parse(&text), expected);
        }
    }
}
