//! Sessions that this guest has verified before.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use gatepost_policy::HeaderName;
use gatepost_session::constant_time::same_bytes;
use gatepost_session::{Authentic, OpenError, Verifier};

use crate::forwarded_cookies::Cookies;
use crate::host::Texts;

/// The most sessions in the cache.
const MAX_ENTRIES: usize = 8;

/// The most bytes of cookies, and of the lines they came in, in the cache. A guest lives in 64 KiB.
const MAX_BYTES: usize = 8 * 1024;

/// An authentic session, with what follows from its claims alone.
///
/// Whether it is in force is checked on every request; the rendered headers depend only on claims
/// and settings, which are the same for the same cookie.
#[derive(Debug)]
pub(crate) struct VerifiedSession {
    token: Box<[u8]>,
    pub(crate) authentic: Authentic,
    /// The identity headers, once they have been needed.
    pub(crate) headers: OnceCell<Vec<Rendered>>,
    /// The generation of the list of revoked sessions that was found not to have this one.
    pub(crate) cleared_in: Cell<Option<u64>>,
}

/// A header to set upstream.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) name: HeaderName,
    pub(crate) value: Vec<u8>,
}

/// A whole `Cookie` header line, and the cookies of it for the application.
///
/// The latter follow from the line's bytes, the keys and the settings alone, so that the same line
/// needs no second look.
#[derive(Debug)]
struct CachedLine {
    /// The line with its NUL, as the host hands it over.
    terminated: Box<[u8]>,
    cookies: Cookies,
}

impl CachedLine {
    fn cost(&self) -> usize {
        self.terminated.len() + self.cookies.len()
    }
}

/// A session whose cookie came in a line that the cache has, and the cookies for the application.
#[derive(Debug)]
pub(crate) struct CacheHit {
    pub(crate) session: Rc<VerifiedSession>,
    pub(crate) cookies: Cookies,
}

/// A session, with the line in which its cookie last came.
#[derive(Debug)]
struct CacheEntry {
    session: Rc<VerifiedSession>,
    line: Option<CachedLine>,
}

impl CacheEntry {
    fn cost(&self) -> usize {
        self.session.token.len() + self.line.as_ref().map_or(0, CachedLine::cost)
    }
}

/// Verifies cookies, and has the last few authentic sessions at hand.
///
/// A browser sends the same cookie with every request of a window, and most often the same line of
/// cookies. Verifying costs more than comparing, and so does looking for the cookie in the line.
/// Only exact copies of an authentic cookie are found; a forged cookie is verified, and refused,
/// every time.
#[derive(Debug)]
pub(crate) struct SessionCache {
    verifier: Verifier,
    /// The most recently used first.
    entries: Vec<CacheEntry>,
}

impl SessionCache {
    /// Makes an empty cache.
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            entries: Vec::new(),
        }
    }

    /// Returns the session that the same `Cookie` line had before. It is used next, so it becomes
    /// the most recent.
    pub(crate) fn recall(&mut self, lines: Texts<'_>) -> Option<CacheHit> {
        let same = |entry: &CacheEntry| {
            let line = entry.line.as_ref();
            line.is_some_and(|line| same_bytes(&line.terminated, lines.as_bytes()).into())
        };
        let at = self.entries.iter().position(same)?;
        self.move_to_front(at);
        let entry = self.entries.first()?;
        Some(CacheHit {
            session: Rc::clone(&entry.session),
            cookies: entry.line.as_ref()?.cookies.clone(),
        })
    }

    /// Remembers the line in which the cookie just authenticated came, if it came in one.
    pub(crate) fn remember(
        &mut self,
        session: &Rc<VerifiedSession>,
        lines: Texts<'_>,
        cookies: &Cookies,
    ) {
        let first = self.entries.first_mut();
        let Some(entry) = first.filter(|entry| Rc::ptr_eq(&entry.session, session)) else {
            return;
        };
        let terminated = lines.as_bytes();
        // Before anything is copied: a line may be as long as a request's header.
        if !lines.is_one() || entry.session.token.len() + terminated.len() > MAX_BYTES {
            return;
        }
        let line = CachedLine {
            terminated: terminated.into(),
            cookies: cookies.clone(),
        };
        if entry.session.token.len() + line.cost() <= MAX_BYTES {
            entry.line = Some(line);
            self.make_room(0);
        }
    }

    /// Authenticates a cookie, from memory where possible.
    pub(crate) fn authenticate(&mut self, token: &[u8]) -> Result<Rc<VerifiedSession>, OpenError> {
        let same = |entry: &CacheEntry| same_bytes(&entry.session.token, token).into();
        if let Some(at) = self.entries.iter().position(same) {
            self.move_to_front(at);
            if let Some(entry) = self.entries.first() {
                return Ok(Rc::clone(&entry.session));
            }
        }
        let session = Rc::new(VerifiedSession {
            authentic: self.verifier.authenticate(token)?,
            token: token.into(),
            headers: OnceCell::new(),
            cleared_in: Cell::new(None),
        });
        if token.len() <= MAX_BYTES {
            self.make_room(token.len());
            let entry = CacheEntry {
                session: Rc::clone(&session),
                line: None,
            };
            self.entries.insert(0, entry);
        }
        Ok(session)
    }

    fn move_to_front(&mut self, at: usize) {
        if let Some(used) = self.entries.get_mut(..=at) {
            used.rotate_right(1);
        }
    }

    /// Drops the least recently used until `more` bytes fit besides.
    fn make_room(&mut self, more: usize) {
        let mut free = MAX_BYTES.saturating_sub(more);
        let fits = |entry: &&CacheEntry| match free.checked_sub(entry.cost()) {
            Some(left) => {
                free = left;
                true
            }
            None => false,
        };
        let limit = MAX_ENTRIES - usize::from(more > 0);
        let fitting = self.entries.iter().take(limit).take_while(fits).count();
        self.entries.truncate(fitting);
    }
}
