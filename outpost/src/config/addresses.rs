//! The addresses of one listener.

use std::fmt;
use std::net::SocketAddr;

/// The addresses of one listener, of which there is one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    first: SocketAddr,
    others: Vec<SocketAddr>,
}

impl Addresses {
    /// Returns these addresses, each once; `None` where there is none.
    pub fn new(all: impl IntoIterator<Item = SocketAddr>) -> Option<Self> {
        let mut all = all.into_iter();
        let mut addresses = Self::from(all.next()?);
        for address in all {
            // Port 0 is another port each time.
            if address.port() == 0 || addresses.iter().all(|known| known != address) {
                addresses.others.push(address);
            }
        }
        Some(addresses)
    }

    /// Returns the first address, where a command of the same machine asks.
    pub fn first(&self) -> SocketAddr {
        self.first
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }

    /// Returns whether two listeners have an address in common.
    pub(super) fn overlap(&self, other: &Self) -> bool {
        let taken = |address: SocketAddr| address.port() != 0 && other.iter().any(|o| o == address);
        self.iter().any(taken)
    }
}

impl From<SocketAddr> for Addresses {
    fn from(first: SocketAddr) -> Self {
        Self {
            first,
            others: Vec::new(),
        }
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.others
            .iter()
            .try_for_each(|other| write!(f, ", {other}"))
    }
}
