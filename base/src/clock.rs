//! The time.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gatepost_session::NumericDate;

/// The source of the current time. Each part that needs the time gets a clock, so that tests can
/// move it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> NumericDate + Send + Sync>);

impl Clock {
    /// Creates a clock that reads the system's time.
    pub fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            NumericDate::from_seconds(since.as_secs())
        })
    }

    /// Creates a clock that asks `now` for the time.
    pub fn new(now: impl Fn() -> NumericDate + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the current time, in whole seconds since the Unix epoch.
    pub fn now(&self) -> NumericDate {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
