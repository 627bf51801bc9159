//! The second line of defence against panics.
//!
//! No byte from a client or a provider may cause a panic. If one does so all the same, in a library
//! or here, only its own request or attempt fails: the process and the sessions of all users go on.
//! A panic anywhere else ends the process, as `panic = "abort"` would: a task that follows
//! revocations, say, must not stop unnoticed.
//!
//! Whether a panic is contained is known to the thread that runs the work. So work that goes to
//! another task or thread is contained there: [`contained`] inside of `tokio::spawn`,
//! [`contained_blocking`] inside of `spawn_blocking`. The tasks of libraries, such as those of an
//! HTTP client's connections, are beyond reach.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

thread_local! {
    /// Whether what this thread does now is contained.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Work panicked, and is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this ended in a panic, which the log has above")]
pub struct Panicked;

/// Contains this thread's panics until it is dropped.
struct Containing(bool);

impl Containing {
    fn begin() -> Self {
        Self(CONTAINED.replace(true))
    }
}

impl Drop for Containing {
    fn drop(&mut self) {
        CONTAINED.set(self.0);
    }
}

/// Has every panic end the process that is not [`contained`]. For the program, which is built to
/// unwind.
pub fn abort_on_others() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        if !CONTAINED.get() {
            std::process::abort();
        }
    }));
}

/// Does work of which a panic is contained.
///
/// Nothing that the work has half done is seen by others: what requests share is replaced as a
/// whole, or locked by what takes no notice of panics and is not held over one.
///
/// # Errors
///
/// [`Panicked`].
pub async fn contained<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    poll_fn(
        |context| match contained_blocking(|| work.as_mut().poll(context)) {
            Ok(polled) => polled.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        },
    )
    .await
}

/// Does work on this thread of which a panic is contained, as [`contained`] does.
///
/// # Errors
///
/// [`Panicked`].
pub fn contained_blocking<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let containing = Containing::begin();
    let done = catch_unwind(AssertUnwindSafe(work));
    drop(containing);
    done.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_the_work_that_it_came_with() {
        assert_eq!(contained(async { 7 }).await, Ok(7));
        let work = async {
            tokio::task::yield_now().await;
            assert!(CONTAINED.get());
            if CONTAINED.get() {
                panic!("made up");
            }
        };
        assert_eq!(contained(work).await, Err(Panicked));
        assert!(!CONTAINED.get());
        assert_eq!(contained_blocking(|| CONTAINED.get()), Ok(true));
        assert_eq!(
            contained_blocking(|| panic!("made up")),
            Err::<(), _>(Panicked)
        );
        assert!(!CONTAINED.get());
    }
}
