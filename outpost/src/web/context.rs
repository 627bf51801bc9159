//! What a handler works with.

use gatepost_session::NumericDate;

use crate::runtime::{Outpost, Snapshot};
use crate::session_times::SessionTimes;
use crate::sessions::Sessions;

/// The outpost, with the configuration that is in force when a request arrives.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) outpost: &'a Outpost,
    pub(super) snapshot: &'a Snapshot,
}

impl<'a> Context<'a> {
    /// Returns the service of sessions.
    pub(super) fn sessions(self) -> &'a Sessions {
        &self.outpost.sessions
    }

    /// Returns how long sessions last.
    pub(super) fn times(self) -> &'a SessionTimes {
        &self.snapshot.times
    }

    /// Returns the time.
    pub(super) fn now(self) -> NumericDate {
        self.outpost.clock.now()
    }
}
