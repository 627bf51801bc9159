//! The revocations that one replica knows: in memory, where every request looks, and in a file,
//! where plugins do.
//!
//! A session that ends leaves the store, so a proxy that asks the outpost learns of it immediately.
//! A plugin accepts a cookie to the end of its window without asking. Until then the revocation is
//! in this list.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use gatepost_base::Identity;
use gatepost_base::files::{self, Readable};
use gatepost_session::revoked::{HEADER_BYTES, Header, RevokedKey};
use gatepost_session::{Claims, NumericDate, SessionId};
use gatepost_signing::RevokedList;

use crate::{ApiKeyId, Revocation, SessionRecord};

/// The revocations that this replica knows.
#[derive(Debug, Default)]
pub struct RevocationList {
    entries: RwLock<Entries>,
    /// The generation of the file that was written last.
    generation: AtomicU64,
    /// The change that each file has, by its path.
    written: Mutex<HashMap<PathBuf, u64>>,
}

/// When something was last revoked, by issuer and the issuer's name for it.
#[derive(Debug, Default)]
struct ByIssuer(BTreeMap<String, BTreeMap<String, NumericDate>>);

impl ByIssuer {
    fn add(&mut self, issuer: &str, name: &str, at: NumericDate) {
        let of_issuer = self.0.entry(issuer.to_owned()).or_default();
        let latest = of_issuer.entry(name.to_owned()).or_insert(at);
        *latest = (*latest).max(at);
    }

    fn get(&self, issuer: &str, name: &str) -> Option<NumericDate> {
        self.0.get(issuer)?.get(name).copied()
    }
}

/// The revocations, and what a request asks of them.
#[derive(Debug, Default)]
struct Entries {
    all: BTreeSet<Revocation>,
    /// When the last cookie expires, by session.
    sessions: BTreeMap<String, NumericDate>,
    /// The ids of API keys.
    api_keys: BTreeSet<String>,
    /// When all credentials of a user were last revoked, by issuer and subject.
    subjects: ByIssuer,
    /// When all sessions of a session at the provider were last revoked, by issuer and session.
    provider_sessions: ByIssuer,
    /// When all sessions of a user without a session at the provider were last revoked, by issuer
    /// and subject.
    without_provider_session: ByIssuer,
    /// When all credentials of all users were last revoked.
    everyone: Option<NumericDate>,
    /// When the store last lost its sessions.
    lost: Option<NumericDate>,
    /// When a user, a session at a provider or everyone was last revoked.
    latest: Option<NumericDate>,
    /// How often the entries have changed.
    changes: u64,
}

impl Entries {
    fn add(&mut self, revocation: Revocation) {
        if self.all.contains(&revocation) {
            return;
        }
        if !matches!(revocation, Revocation::Lost { .. }) {
            self.latest = self.latest.max(revocation.at());
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
            } => self.subjects.add(issuer, subject, *at),
            Revocation::ProviderSession {
                issuer,
                session,
                at,
                ..
            } => self.provider_sessions.add(issuer, session, *at),
            Revocation::SubjectWithoutProviderSession {
                issuer,
                subject,
                at,
                ..
            } => self.without_provider_session.add(issuer, subject, *at),
            Revocation::All { at, .. } => self.everyone = self.everyone.max(Some(*at)),
            Revocation::Lost { at, .. } => self.lost = self.lost.max(Some(*at)),
            Revocation::ApiKey { id, .. } => {
                self.api_keys.insert(id.clone());
            }
        }
        self.all.insert(revocation);
        self.changes += 1;
    }

    fn tokens_revoked_at(&self, issuer: &str, subject: &str) -> Option<NumericDate> {
        self.subjects.get(issuer, subject).max(self.everyone)
    }

    fn sessions_revoked_at(&self, issuer: &str, subject: &str) -> Option<NumericDate> {
        self.tokens_revoked_at(issuer, subject).max(self.lost)
    }

    fn user_revoked_at(&self, record: &SessionRecord) -> Option<NumericDate> {
        let Identity {
            issuer, subject, ..
        } = &record.identity;
        let at_provider = match &record.provider_session {
            Some(session) => self.provider_sessions.get(issuer, session),
            None => self.without_provider_session.get(issuer, subject),
        };
        self.tokens_revoked_at(issuer, subject).max(at_provider)
    }

    fn record_revoked_at(&self, record: &SessionRecord) -> Option<NumericDate> {
        self.user_revoked_at(record).max(self.lost)
    }

    fn to_file(&self) -> RevokedList {
        let mut list = RevokedList::new();
        for id in self.sessions.keys().filter_map(|id| SessionId::parse(id)) {
            list.add_session(&id);
        }
        for (issuer, subjects) in &self.subjects.0 {
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

impl RevocationList {
    /// Returns whether the list contains exactly this revocation.
    pub fn contains(&self, revocation: &Revocation) -> bool {
        self.read(|entries| entries.all.contains(revocation))
    }

    /// Returns what of this list has not expired at `now` and is not in `log`.
    pub fn missing_in(&self, log: &[Revocation], now: NumericDate) -> Vec<Revocation> {
        let log: BTreeSet<&Revocation> = log.iter().collect();
        self.read(|entries| {
            let missing = entries.all.iter().filter(|own| !log.contains(own));
            missing.filter(|own| now < own.expires()).cloned().collect()
        })
    }

    /// Adds revocations of this replica or of others.
    pub fn add(&self, revocations: impl IntoIterator<Item = Revocation>) {
        let mut entries = self.write();
        for revocation in revocations {
            entries.add(revocation);
        }
    }

    /// Removes the revocations that have expired at `now`.
    ///
    /// Until then an entry remains whatever happens to the store: a Redis that restarts empty does
    /// not restore ended sessions.
    pub fn remove_expired(&self, now: NumericDate) {
        let mut entries = self.write();
        let is_live = |revocation: &Revocation| now < revocation.expires();
        if entries.all.iter().all(is_live) {
            return;
        }
        let all = std::mem::take(&mut entries.all);
        *entries = Entries {
            changes: entries.changes + 1,
            ..Entries::default()
        };
        for revocation in all.into_iter().filter(is_live) {
            entries.add(revocation);
        }
    }

    /// Returns the number of revocations.
    pub fn len(&self) -> usize {
        self.read(|entries| entries.all.len())
    }

    /// Returns whether the list has no revocation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether a cookie with these claims is revoked.
    pub fn is_revoked(&self, claims: &Claims) -> bool {
        self.read(|entries| {
            entries.sessions.contains_key(claims.sid.expose())
                || entries
                    .sessions_revoked_at(&claims.iss, &claims.sub)
                    .is_some_and(|at| claims.iat <= at)
        })
    }

    /// Returns when all sessions among which this one is were last revoked or lost, if that has not
    /// expired. If it began up to then it is invalid, and so is a cookie that was issued up to then.
    pub fn revoked_at(&self, record: &SessionRecord) -> Option<NumericDate> {
        self.read(|entries| entries.record_revoked_at(record))
    }

    /// Returns when someone last revoked the sessions among which this one is, if that has not expired.
    /// The sign-in that it is of is invalid if it began up to then: the provider may have answered
    /// before.
    pub fn sign_ins_revoked_at(&self, record: &SessionRecord) -> Option<NumericDate> {
        self.read(|entries| entries.user_revoked_at(record))
    }

    /// Returns when sessions of any user or of everyone were last revoked, if that has not expired.
    pub fn last_revoked_at(&self) -> Option<NumericDate> {
        self.read(|entries| entries.latest)
    }

    /// Returns when the last cookie of a session expires, if the session is revoked by its id.
    pub fn session_revoked_until(&self, id: &SessionId) -> Option<NumericDate> {
        self.read(|entries| entries.sessions.get(id.expose()).copied())
    }

    /// Returns whether an API key is revoked.
    pub fn is_api_key_revoked(&self, id: &ApiKeyId) -> bool {
        self.read(|entries| entries.api_keys.contains(id.as_str()))
    }

    /// Returns when all credentials of this user were last revoked, if that has not expired. An
    /// access token that was issued up to then is invalid.
    pub fn tokens_revoked_at(&self, issuer: &str, subject: &str) -> Option<NumericDate> {
        self.read(|entries| entries.tokens_revoked_at(issuer, subject))
    }

    /// Writes the list to a file if the file differs, and returns whether it did. The file is
    /// replaced atomically.
    ///
    /// # Errors
    ///
    /// The file cannot be written; then the previous file remains.
    pub fn write_if_changed(&self, path: &Path, readable: Readable) -> std::io::Result<bool> {
        let (changes, file) = {
            let written = self.written.lock();
            let written = written.unwrap_or_else(PoisonError::into_inner);
            let known = written.get(path).copied();
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            // A file that is not complete is new, or was removed or truncated. Without a
            // file, a plugin accepts ended sessions; with half of one, it rejects sessions that it
            // cannot look up.
            if known == Some(entries.changes) && is_complete(path) {
                return Ok(false);
            }
            (entries.changes, entries.to_file())
        };
        let bytes = file.to_bytes(self.next_generation());
        files::replace(path, &bytes, readable)?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(path.to_owned(), changes);
        Ok(true)
    }

    fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        // Each change leaves the entries consistent, so a panic elsewhere does not affect them.
        look(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a number that is greater than that of every file before, also of earlier processes:
    /// it follows the time.
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

/// Returns whether a file contains a list of the length that its header states.
fn is_complete(path: &Path) -> bool {
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
