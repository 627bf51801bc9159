//! Sessions that this guest has verified before.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use gatepost_scan::constant_time::same_bytes;
use gatepost_scan::sum;
use gatepost_session::{Authentic, OpenError, TextList, Verifier};

use crate::forwarded_cookies::Cookies;
use crate::host::Texts;

/// The most bytes that the cache holds, as [`CacheEntry::cost`] counts them. A guest lives in 64
/// KiB, of which a stack, the code's own data and a verification under way take two thirds.
const MAX_BYTES: usize = 16 * 1024;

/// What a session takes beyond its texts, in bytes: its times, and the allocator's part.
const ENTRY_BYTES: usize = 450;

/// An authentic session, with what follows from its claims alone.
///
/// Whether it is in force is checked on every request; the rendered headers depend only on claims
/// and settings, which are the same for the same cookie.
#[derive(Debug)]
pub(crate) struct VerifiedSession {
    token: Box<[u8]>,
    /// See [`sum_of_end`].
    token_sum: u64,
    pub(crate) authentic: Authentic,
    /// The identity headers, once they have been needed: name and value in turns.
    pub(crate) headers: OnceCell<TextList>,
    /// The generation of the list of revoked sessions that was found not to have this one.
    pub(crate) cleared_in: Cell<Option<u64>>,
}

/// The `Cookie` header lines of a request, with their sum.
#[derive(Debug)]
pub(crate) struct SummedLines {
    /// Each line with its NUL, as the host hands them over.
    terminated: Box<[u8]>,
    sum: u64,
}

impl SummedLines {
    /// Copies lines of which the sum is known.
    pub(crate) fn new(lines: Texts<'_>, sum: u64) -> Self {
        Self {
            terminated: lines.as_bytes().into(),
            sum,
        }
    }

    /// Copies lines.
    pub(crate) fn of(lines: Texts<'_>) -> Self {
        Self::new(lines, sum(lines.as_bytes()))
    }

    /// Returns the lines.
    pub(crate) fn texts(&self) -> Texts<'_> {
        Texts::new(&self.terminated)
    }
}

/// A whole `Cookie` header line, and the cookies of it for the application.
///
/// The latter follow from the line's bytes, the keys and the settings alone, so that the same line
/// needs no second look.
#[derive(Debug)]
struct CachedLine {
    line: SummedLines,
    cookies: Cookies,
}

impl CachedLine {
    fn cost(&self) -> usize {
        self.line.terminated.len() + self.cookies.len()
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
    /// Returns what it takes of the guest's memory, more or less.
    fn cost(&self) -> usize {
        let session = &self.session;
        let line = self.line.as_ref().map_or(0, CachedLine::cost);
        let headers = session.headers.get().map_or(0, TextList::bytes);
        cost_of(session.token.len()) + line + headers
    }
}

/// Returns the sum of a token's end: two authentic ones do not have the same MAC. All of the MAC is
/// in it, so that a forged one is as much work wherever it is wrong.
fn sum_of_end(token: &[u8]) -> u64 {
    let end = token.last_chunk::<64>();
    end.map_or_else(|| sum(token), |end| sum(end))
}

/// Returns what the session of a token of so many bytes takes: the token, and half as much for the
/// texts of its claims.
fn cost_of(token: usize) -> usize {
    ENTRY_BYTES + token + token / 2
}

/// Verifies cookies, and has the last few authentic sessions at hand.
///
/// A browser sends the same cookie with every request of a window, and most often the same line of
/// cookies. Verifying costs more than comparing, and so does looking for the cookie in the line.
/// Only exact copies of an authentic cookie are found; a forged cookie is verified, and refused,
/// every time.
///
/// What has another sum is another cookie, so that one of many is found by one comparison of all
/// bytes. That a sum is the same tells a client nothing that it could search for: it has 64 bits,
/// and no part of it shows by itself.
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

    /// Returns what verifies the sessions.
    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Returns the session that the same `Cookie` line had before. It is used next, so it becomes
    /// the most recent.
    ///
    /// # Errors
    ///
    /// The sum of the lines, where they are not in the cache.
    pub(crate) fn recall(&mut self, lines: Texts<'_>) -> Result<CacheHit, u64> {
        let sum = sum(lines.as_bytes());
        self.recall_summed(lines, sum).ok_or(sum)
    }

    fn recall_summed(&mut self, lines: Texts<'_>, sum: u64) -> Option<CacheHit> {
        let same = |entry: &CacheEntry| {
            let own = entry.line.as_ref().map(|cached| &cached.line);
            let own = own.filter(|own| own.sum == sum);
            own.is_some_and(|own| same_bytes(&own.terminated, lines.as_bytes()).into())
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
        line: SummedLines,
        cookies: &Cookies,
    ) {
        let first = self.entries.first_mut();
        let Some(entry) = first.filter(|entry| Rc::ptr_eq(&entry.session, session)) else {
            return;
        };
        // A line may be as long as a request's header.
        let replaced = entry.line.as_ref().map_or(0, CachedLine::cost);
        let cost = entry.cost() - replaced + line.terminated.len() + cookies.len();
        if line.texts().is_one() && cost <= MAX_BYTES {
            entry.line = Some(CachedLine {
                line,
                cookies: cookies.clone(),
            });
            self.make_room(0);
        }
    }

    /// Authenticates a cookie, from memory where possible.
    pub(crate) fn authenticate(&mut self, token: &[u8]) -> Result<Rc<VerifiedSession>, OpenError> {
        let sum = sum_of_end(token);
        let same = |entry: &CacheEntry| {
            let session = &entry.session;
            session.token_sum == sum && same_bytes(&session.token, token).into()
        };
        if let Some(at) = self.entries.iter().position(same) {
            self.move_to_front(at);
            if let Some(entry) = self.entries.first() {
                return Ok(Rc::clone(&entry.session));
            }
        }
        let session = Rc::new(VerifiedSession {
            authentic: self.verifier.authenticate(token)?,
            token: token.into(),
            token_sum: sum,
            headers: OnceCell::new(),
            cleared_in: Cell::new(None),
        });
        if cost_of(token.len()) <= MAX_BYTES {
            self.make_room(cost_of(token.len()));
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
        let fitting = self.entries.iter().take_while(fits).count();
        self.entries.truncate(fitting);
    }
}
