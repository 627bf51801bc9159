//! What the benchmark prints of one store, as a line of JSON.

use serde::{Deserialize, Serialize};

/// The measurements of one store.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) sessions: u64,
    /// From the process's start of the store to its first answer.
    pub(crate) start_ms: f64,
    /// Resident memory of the process, with the store open and at its highest.
    pub(crate) memory_mib: f64,
    pub(crate) peak_memory_mib: f64,
    /// Bytes of the file, or of the server's memory, for each session.
    pub(crate) bytes_per_session: u64,
    pub(crate) find_us: f64,
    /// `SessionStore::insert`.
    pub(crate) sign_in_us: f64,
    /// An update and a touch.
    pub(crate) renewal_us: f64,
    /// Of many users at the same time.
    pub(crate) renewals_per_second: f64,
    /// All sessions of a user who has ten.
    pub(crate) end_user_ms: f64,
    /// The first sweep of a process whose store began long ago: it looks at every session, since
    /// the one before may have been killed while it ended all.
    pub(crate) first_sweep_ms: f64,
    /// A sweep that finds one session in a hundred idle.
    pub(crate) sweep_ms: f64,
    /// All sessions, of a store that is not too large.
    pub(crate) end_all_ms: Option<f64>,
    /// How long requests took while nothing else ran, during the first sweep, during the sweep, and
    /// while all sessions ended.
    pub(crate) quiet_wait_ms: Waits,
    pub(crate) first_sweep_wait_ms: Waits,
    pub(crate) sweep_wait_ms: Waits,
    pub(crate) end_all_wait_ms: Option<Waits>,
}

/// How long requests took beside something else.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Waits {
    pub(crate) find_longest: f64,
    pub(crate) touch_longest: f64,
    pub(crate) touch_p99: f64,
    pub(crate) touch_median: f64,
}
