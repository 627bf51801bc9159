//! Cookies that this guest has verified before.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use gatepost_session::{Authentic, OpenError, Verifier};
use subtle::ConstantTimeEq as _;

use crate::gate::Cookies;

/// The most cookies remembered.
const MAX_ENTRIES: usize = 8;

/// The most bytes of cookies, and of the lines they came in, remembered. A guest lives in 64 KiB.
const MAX_BYTES: usize = 8 * 1024;

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
    /// The generation of the list of revoked sessions in which this one was found not to stand.
    pub(crate) cleared_in: Cell<Option<u64>>,
}

/// A header to set upstream.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) name: Box<str>,
    pub(crate) value: Box<[u8]>,
}

/// A whole `Cookie` header line, with what it led to.
///
/// Everything here follows from the line's bytes, the keys and the settings alone, so that the
/// same line needs no second look.
#[derive(Debug)]
struct Line {
    bytes: Box<[u8]>,
    /// What the application sees of it.
    cookies: Cookies,
}

impl Line {
    fn cost(&self) -> usize {
        self.bytes.len() + self.cookies.len()
    }
}

/// What a line led to.
#[derive(Debug)]
pub(crate) struct Recalled {
    pub(crate) entry: Rc<Entry>,
    /// What the application sees of the line.
    pub(crate) cookies: Cookies,
}

/// A cookie, with the line it last came in.
#[derive(Debug)]
struct Known {
    entry: Rc<Entry>,
    line: Option<Line>,
}

impl Known {
    fn cost(&self) -> usize {
        self.entry.token.len() + self.line.as_ref().map_or(0, Line::cost)
    }
}

/// Verifies cookies, and remembers the last few that it found authentic.
///
/// A browser sends the same cookie with every request of a window, and most often the same line of
/// cookies. Verifying costs more than comparing, and so does looking for the cookie in the line.
/// Only exact copies of what was authentic are found again; what is forged is verified, and
/// refused, every time.
#[derive(Debug)]
pub(crate) struct Verified {
    verifier: Verifier,
    /// The most recently used first.
    known: Vec<Known>,
}

impl Verified {
    /// Remembers nothing yet.
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            known: Vec::new(),
        }
    }

    /// What this line led to before.
    pub(crate) fn recall(&mut self, line: &[u8]) -> Option<Recalled> {
        let same = |known: &Known| {
            let own = known.line.as_ref();
            own.is_some_and(|own| same_bytes(&own.bytes, line))
        };
        let at = self.known.iter().position(same)?;
        self.move_to_front(at);
        let known = self.known.first()?;
        Some(Recalled {
            entry: Rc::clone(&known.entry),
            cookies: known.line.as_ref()?.cookies.clone(),
        })
    }

    /// Remembers the line in which the cookie just authenticated came.
    pub(crate) fn remember(&mut self, entry: &Rc<Entry>, bytes: &[u8], cookies: &Cookies) {
        let known = self.known.first_mut();
        let Some(known) = known.filter(|known| Rc::ptr_eq(&known.entry, entry)) else {
            return;
        };
        // Before anything is copied: a line may be as long as a request's header.
        if known.entry.token.len() + bytes.len() > MAX_BYTES {
            return;
        }
        let line = Line {
            bytes: bytes.into(),
            cookies: cookies.clone(),
        };
        if known.entry.token.len() + line.cost() <= MAX_BYTES {
            known.line = Some(line);
            self.make_room(0);
        }
    }

    /// Authenticates a token, from memory where it can.
    pub(crate) fn authenticate(&mut self, token: &[u8]) -> Result<Rc<Entry>, OpenError> {
        let same = |known: &Known| same_bytes(&known.entry.token, token);
        if let Some(at) = self.known.iter().position(same) {
            self.move_to_front(at);
            if let Some(known) = self.known.first() {
                return Ok(Rc::clone(&known.entry));
            }
        }
        let entry = Rc::new(Entry {
            authentic: self.verifier.authenticate(token)?,
            token: token.into(),
            headers: OnceCell::new(),
            cleared_in: Cell::new(None),
        });
        if token.len() <= MAX_BYTES {
            self.make_room(token.len());
            let known = Known {
                entry: Rc::clone(&entry),
                line: None,
            };
            self.known.insert(0, known);
        }
        Ok(entry)
    }

    fn move_to_front(&mut self, at: usize) {
        if let Some(used) = self.known.get_mut(..=at) {
            used.rotate_right(1);
        }
    }

    /// Forgets the least recently used until `more` bytes fit besides.
    fn make_room(&mut self, more: usize) {
        let mut free = MAX_BYTES.saturating_sub(more);
        let fits = |known: &&Known| match free.checked_sub(known.cost()) {
            Some(left) => {
                free = left;
                true
            }
            None => false,
        };
        let limit = MAX_ENTRIES - usize::from(more > 0);
        let kept = self.known.iter().take(limit).take_while(fits).count();
        self.known.truncate(kept);
    }
}

/// Compares the texts of requests with authentic ones without telling by its duration where they
/// differ, so that a MAC cannot be found byte by byte. Their lengths are no secret.
fn same_bytes(known: &[u8], sent: &[u8]) -> bool {
    if known.len() != sent.len() {
        return false;
    }
    // Eight bytes at a time: an eighth of the work where the host has no wider registers to use.
    let (known_words, known_rest) = known.as_chunks::<8>();
    let (sent_words, sent_rest) = sent.as_chunks::<8>();
    let mut differing = 0_u64;
    for (a, b) in known_words.iter().zip(sent_words) {
        differing |= u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
    }
    for (a, b) in known_rest.iter().zip(sent_rest) {
        differing |= u64::from(a ^ b);
    }
    differing.ct_eq(&0).into()
}
