//! Reports the operations of the session store: as durations for Prometheus and as spans for
//! traces.

use std::time::Duration;

use gatepost_store::{Observer, Operation};
use tracing::Span;

use crate::telemetry::metrics::{self, Timings};
use crate::telemetry::traces;

/// Records the operations of the session store as metrics and traces.
#[derive(Debug)]
pub(crate) struct StoreObserver {
    timings: Timings,
}

impl Default for StoreObserver {
    fn default() -> Self {
        Self {
            timings: Timings::of_store(Operation::ALL.map(Operation::name)),
        }
    }
}

impl Observer for StoreObserver {
    fn span(&self, operation: Operation) -> Span {
        traces::store_operation(operation.name())
    }

    fn completed(&self, operation: Operation, span: &Span, elapsed: Duration, succeeded: bool) {
        self.timings.note(operation.name(), elapsed);
        if !succeeded {
            traces::failed(span);
        }
    }

    fn session_count(&self, sessions: usize) {
        metrics::set_session_count(sessions);
    }
}
