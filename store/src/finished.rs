//! Finishes endings that were half done.
//!
//! An ending has several steps: the revocation is added, and then sessions are removed, in Redis one
//! by one and in a file some hundred at a time. A process that is killed in between leaves sessions
//! that are revoked and still in the store. They are refused for as long as their revocation is in
//! the log, and would be valid again afterwards. So each sweep of each process removes what the log
//! says is over, and an entry leaves the log in a sweep that has done so.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use gatepost_session::NumericDate;

use crate::Revocation;

/// The revocations of more than one session of which this process knows that none is left in the
/// store. Searching for them costs more than a look at one session.
#[derive(Debug, Default)]
pub(crate) struct Finished(Mutex<BTreeSet<Revocation>>);

/// The revocations that a sweep has to finish.
pub(crate) struct Unfinished<'l> {
    /// The ids of single sessions.
    pub(crate) ids: Vec<&'l str>,
    /// The others.
    pub(crate) others: Vec<&'l Revocation>,
}

impl Finished {
    /// Returns what a sweep at `now` has to finish of what the log has. That includes whatever has
    /// expired and is about to leave the log.
    pub(crate) fn unfinished<'l>(&self, log: &'l [Revocation], now: NumericDate) -> Unfinished<'l> {
        let finished = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unfinished = Unfinished {
            ids: Vec::new(),
            others: Vec::new(),
        };
        for revocation in log {
            match revocation {
                Revocation::Session { id, .. } => unfinished.ids.push(id),
                // It concerns no session.
                Revocation::ApiKey { .. } => {}
                other if other.expires() <= now || !finished.contains(other) => {
                    unfinished.others.push(other);
                }
                _ => {}
            }
        }
        unfinished
    }

    /// Records that everything in this log is finished.
    pub(crate) fn note(&self, log: Vec<Revocation>) {
        let is_general = |revocation: &Revocation| revocation.at().is_some();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            log.into_iter().filter(is_general).collect();
    }
}
