//! Cookies that this guest has verified before.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use gatepost_session::{Authentic, OpenError, Verifier};
use subtle::ConstantTimeEq as _;

/// The most cookies remembered.
const MAX_ENTRIES: usize = 8;

/// The most bytes of cookies remembered. A guest lives in 64 KiB.
const MAX_BYTES: usize = 6 * 1024;

/// The base64url length of a MAC: how a token ends.
const MAC_CHARS: usize = 43;

/// A cookie found authentic, with what follows from its claims alone.
///
/// Whether it is in force is asked every time; the rendered headers depend only on claims and
/// settings, which are the same for the same bytes.
#[derive(Debug)]
pub(crate) struct Entry {
    token: Box<[u8]>,
    pub(crate) authentic: Authentic,
    /// The identity headers, once they have been needed.
    pub(crate) headers: OnceCell<Vec<Rendered>>,
    /// The generation of the list of revoked sessions in which this one did not stand.
    pub(crate) cleared_in: Cell<Option<u64>>,
}

/// A header to set upstream.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) name: Box<str>,
    pub(crate) value: Box<[u8]>,
}

/// Verifies cookies, and remembers the last few that it found authentic.
///
/// A browser sends the same cookie with every request of a window, and verifying it costs more
/// than comparing it. Only exact copies of authentic cookies are found again; what is forged is
/// verified, and refused, every time.
#[derive(Debug)]
pub(crate) struct Verified {
    verifier: Verifier,
    /// The most recently used first.
    entries: Vec<Rc<Entry>>,
}

impl Verified {
    /// Remembers nothing yet.
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            entries: Vec::new(),
        }
    }

    /// Authenticates a token, from memory where it can.
    pub(crate) fn authenticate(&mut self, token: &[u8]) -> Result<Rc<Entry>, OpenError> {
        if let Some(at) = self
            .entries
            .iter()
            .position(|entry| same_token(&entry.token, token))
        {
            let entry = self.entries.remove(at);
            self.entries.insert(0, Rc::clone(&entry));
            return Ok(entry);
        }
        let entry = Rc::new(Entry {
            authentic: self.verifier.authenticate(token)?,
            token: token.into(),
            headers: OnceCell::new(),
            cleared_in: Cell::new(None),
        });
        self.make_room(token.len());
        if token.len() <= MAX_BYTES {
            self.entries.insert(0, Rc::clone(&entry));
        }
        Ok(entry)
    }

    /// Forgets the least recently used until another token of this length fits.
    fn make_room(&mut self, length: usize) {
        let mut free = MAX_BYTES.saturating_sub(length);
        let mut kept = 0;
        for entry in self.entries.iter().take(MAX_ENTRIES - 1) {
            match free.checked_sub(entry.token.len()) {
                Some(left) => free = left,
                None => break,
            }
            kept += 1;
        }
        self.entries.truncate(kept);
    }
}

/// Compares two tokens without telling by its duration how much of a MAC was right: the MACs in
/// constant time first, and the rest, which is no secret to whoever has the MAC, only if they are
/// the same.
fn same_token(known: &[u8], token: &[u8]) -> bool {
    match (
        known.last_chunk::<MAC_CHARS>(),
        token.last_chunk::<MAC_CHARS>(),
    ) {
        (Some(a), Some(b)) => bool::from(a.as_slice().ct_eq(b)) && known == token,
        _ => false,
    }
}
