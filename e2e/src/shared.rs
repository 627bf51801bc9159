//! What several tests use at the same time.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::Result;

/// Something that tests share, such as a [`Stack`](crate::Stack): the first test that needs it starts
/// it, and it stops with the last one that has it.
///
/// For tests that stop, pause and reconfigure nothing. A test that looks at the requests to an
/// application has an application of its own in it.
#[derive(Debug)]
pub struct Shared<T> {
    running: Mutex<Weak<T>>,
}

impl<T> Shared<T> {
    /// Creates one that is not started.
    pub const fn new() -> Self {
        Self {
            running: Mutex::new(Weak::new()),
        }
    }

    /// Returns what runs, or starts it. Other tests that need it wait meanwhile.
    ///
    /// # Errors
    ///
    /// When it does not start. The next test tries again.
    pub fn get(&self, start: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(start()?);
        *running = Arc::downgrade(&started);
        Ok(started)
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn it_is_started_once_and_again_after_the_last_test() {
        let shared = Shared::new();
        assert!(shared.get(|| bail!("no port")).is_err());
        let first = shared.get(|| Ok("first")).unwrap();
        let second = shared.get(|| Ok("second")).unwrap();
        assert_eq!((*first, *second), ("first", "first"));
        drop((first, second));
        assert_eq!(*shared.get(|| Ok("third")).unwrap(), "third");
    }
}
