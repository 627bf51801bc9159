//! The runtime that commands run on.

use super::output::complain;

/// Runs a command to its end; `None` where it failed, or could not start.
pub(super) fn on_runtime<T>(work: impl Future<Output = Option<T>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            None
        }
    }
}
