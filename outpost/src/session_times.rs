//! How long sessions last: the durations that the operator configures.
//!
//! This module is a leaf: it imports nothing of the outpost.

/// The durations of a session, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimes {
    /// How long a proxy accepts a cookie without asking the outpost.
    pub window: u64,
    /// Time from the start of the window after which a page load renews the cookie.
    pub renew_after: u64,
    /// Time after which a browser renews a session that is bound to its device, with a proof.
    pub prove_after: u64,
    /// Time since the provider last answered after which a renewal asks the provider again.
    pub refresh_after: u64,
    /// Time beyond `refresh_after` for which a session goes on while the provider is away.
    pub grace: u64,
    /// Time without a renewal after which the session ends.
    pub idle: u64,
    /// Time from the sign-in after which the session ends in any case.
    pub lifetime: u64,
    /// The longest validity of an access token that a machine client may present; 0 where no
    /// application accepts access tokens. Follows from the applications.
    pub token_age: u64,
}

impl SessionTimes {
    /// Returns a warning about times that work and that the operator may not want.
    pub fn advice(&self) -> Option<&'static str> {
        (self.renew_after >= last_quarter(self.window)).then_some(
            "`session.renewAfter` is in the last quarter of `session.window`: behind the plugin, \
             no browser renews beside a page, and every renewal redirects a page load",
        )
    }
}

/// Returns the age of a window at which its last quarter begins, in seconds.
pub(crate) fn last_quarter(window: u64) -> u64 {
    window - window / 4
}
