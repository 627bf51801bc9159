//! What was ended before its time, and telling those who verify cookies without asking.
//!
//! A session that is ended leaves the store, so whoever asks the outpost knows at once. A cookie
//! whose window is open is believed without asking, so for as long as that may be, what was ended
//! stands in a list: in the store, where every replica finds it, in memory, where every request
//! does, and in a file, where plugins do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use gatepost_session::revoked::{HEADER_BYTES, Header, RevokedKey};
use gatepost_session::{Claims, NumericDate, SessionId};
use gatepost_signing::RevokedList;
use serde::{Deserialize, Serialize};

use gatepost_base::files::{self, Readable};

/// For how long an entry stays beyond the end of the windows that it is about, in seconds: the
/// clock of a proxy may be late.
const SLACK_SECONDS: u64 = 60;

/// What was ended, and until when a cookie of it may be believed by who does not know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum Revocation {
    /// One session.
    Session {
        /// Its id.
        id: String,
        /// When the last of its windows ends.
        until: NumericDate,
    },
    /// Whatever a person had before a moment.
    Subject {
        /// The provider.
        issuer: String,
        /// The person's id there.
        subject: String,
        /// The moment.
        at: NumericDate,
        /// When the last window that was open then ends.
        until: NumericDate,
    },
    /// Whatever anyone had before a moment.
    Everyone {
        /// The moment.
        at: NumericDate,
        /// When the last window that was open then ends.
        until: NumericDate,
    },
    /// Every session that began before a moment, since the store has lost them. Access tokens of
    /// programs are in no store, and stay good.
    Lost {
        /// The moment.
        at: NumericDate,
        /// When the last window that was open then ends.
        until: NumericDate,
    },
}

impl Revocation {
    /// When nobody believes a cookie of it any more in any case.
    pub fn until(&self) -> NumericDate {
        match self {
            Self::Session { until, .. }
            | Self::Subject { until, .. }
            | Self::Everyone { until, .. }
            | Self::Lost { until, .. } => until.plus_seconds(SLACK_SECONDS),
        }
    }
}

/// What is revoked, as far as this replica knows.
#[derive(Debug, Default)]
pub struct Revocations {
    list: RwLock<List>,
    /// The generation of the file that was written last.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct List {
    all: BTreeSet<Revocation>,
    /// By id: until when.
    sessions: BTreeMap<String, NumericDate>,
    /// By issuer and subject: the last time that a person's sessions were ended altogether.
    subjects: BTreeMap<String, BTreeMap<String, NumericDate>>,
    everyone: Option<NumericDate>,
    lost: Option<NumericDate>,
    /// Whether the file says something else.
    unwritten: bool,
}

impl List {
    fn add(&mut self, revocation: Revocation) {
        if self.all.contains(&revocation) {
            return;
        }
        match &revocation {
            Revocation::Session { id, until } => {
                let latest = self.sessions.entry(id.clone()).or_insert(*until);
                *latest = (*latest).max(*until);
            }
            Revocation::Subject {
                issuer,
                subject,
                at,
                ..
            } => {
                let of_issuer = self.subjects.entry(issuer.clone()).or_default();
                let latest = of_issuer.entry(subject.clone()).or_insert(*at);
                *latest = (*latest).max(*at);
            }
            Revocation::Everyone { at, .. } => self.everyone = self.everyone.max(Some(*at)),
            Revocation::Lost { at, .. } => self.lost = self.lost.max(Some(*at)),
        }
        self.all.insert(revocation);
        self.unwritten = true;
    }

    fn last_end_of(&self, issuer: &str, subject: &str) -> Option<NumericDate> {
        let own = self.subjects.get(issuer).and_then(|of| of.get(subject));
        own.copied().max(self.everyone)
    }

    fn sessions_ended_by(&self, issuer: &str, subject: &str) -> Option<NumericDate> {
        self.last_end_of(issuer, subject).max(self.lost)
    }

    fn to_file(&self) -> RevokedList {
        let mut list = RevokedList::new();
        for id in self.sessions.keys().filter_map(|id| SessionId::parse(id)) {
            list.add_session(&id);
        }
        for (issuer, subjects) in &self.subjects {
            for (subject, at) in subjects {
                list.add_until(RevokedKey::subject(issuer, subject), *at);
            }
        }
        if let Some(at) = self.everyone.max(self.lost) {
            list.add_until(RevokedKey::all_sessions(), at);
        }
        list
    }
}

impl Revocations {
    /// Whether this very revocation is known.
    pub fn has(&self, revocation: &Revocation) -> bool {
        self.read(|list| list.all.contains(revocation))
    }

    /// Takes in what was revoked here or by another replica.
    pub fn add(&self, revocations: impl IntoIterator<Item = Revocation>) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        for revocation in revocations {
            list.add(revocation);
        }
    }

    /// Forgets what matters to nobody any more at `now`.
    ///
    /// What is in the list stays there until then, whatever becomes of the store: a Redis that
    /// comes back empty does not bring ended sessions back.
    pub fn forget_expired(&self, now: NumericDate) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        if list.all.iter().all(|revocation| now < revocation.until()) {
            return;
        }
        let all = std::mem::take(&mut list.all);
        *list = List {
            unwritten: true,
            ..List::default()
        };
        for revocation in all.into_iter().filter(|r| now < r.until()) {
            list.add(revocation);
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.read(|list| list.all.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a cookie with these claims was made for what has been ended.
    pub fn refuses(&self, claims: &Claims) -> bool {
        self.read(|list| {
            list.sessions.contains_key(claims.sid.as_str())
                || list
                    .sessions_ended_by(&claims.iss, &claims.sub)
                    .is_some_and(|at| claims.iat <= at)
        })
    }

    /// When this person's sessions, or everyone's, were last ended or lost altogether, as far as
    /// that still matters: a session must have begun after it, and a cookie been made after it, to
    /// be believed.
    pub fn sessions_ended_by(&self, issuer: &str, subject: &str) -> Option<NumericDate> {
        self.read(|list| list.sessions_ended_by(issuer, subject))
    }

    /// Until when a session is revoked by its id, if it is.
    pub fn session_until(&self, id: &SessionId) -> Option<NumericDate> {
        self.read(|list| list.sessions.get(id.as_str()).copied())
    }

    /// When this person was last signed out altogether, as far as that still matters: an access
    /// token must have been made after it to be believed.
    pub fn last_end_of(&self, issuer: &str, subject: &str) -> Option<NumericDate> {
        self.read(|list| list.last_end_of(issuer, subject))
    }

    /// Writes the list to a file unless that says the same, and says whether it did. Readers see
    /// the file change as a whole.
    ///
    /// # Errors
    ///
    /// When it cannot be written, and then the file before stays.
    pub fn write_changes(&self, path: &Path) -> std::io::Result<bool> {
        if !is_whole(path) {
            // New, taken away by somebody, or written in part: a plugin that finds none lets ended
            // sessions run on, and one that finds half refuses whom it cannot look up.
            self.list
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .unwritten = true;
        }
        let file = {
            let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::take(&mut list.unwritten) {
                return Ok(false);
            }
            list.to_file()
        };
        let bytes = file.to_bytes(self.next_generation());
        let written = files::replace(path, &bytes, Readable::ByAll);
        if written.is_err() {
            self.list
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .unwritten = true;
        }
        written.map(|()| true)
    }

    fn read<T>(&self, look: impl FnOnce(&List) -> T) -> T {
        // Every change leaves the list whole, so a panic elsewhere does not matter to it.
        look(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A number that no list had before, of this process or of one before it: the time.
    fn next_generation(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        });
        let last = self.generation.load(Ordering::Relaxed);
        let next = now.max(last.saturating_add(1));
        self.generation.store(next, Ordering::Relaxed);
        next
    }
}

/// Whether a file is a list as long as it says that it is.
fn is_whole(path: &Path) -> bool {
    let look = || -> std::io::Result<bool> {
        let mut file = std::fs::File::open(path)?;
        let mut line = [0; HEADER_BYTES];
        file.read_exact(&mut line)?;
        let length = file.metadata()?.len();
        Ok(Header::parse(&line).is_ok_and(|header| header.file_bytes() == length))
    };
    look().unwrap_or(false)
}

#[cfg(test)]
mod tests;
