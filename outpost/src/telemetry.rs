//! Reports to operators on a running outpost: log lines, the audit log, metrics and traces.
//!
//! Everything here takes plain values, so that any part of the outpost may report what it does.

pub(crate) mod audit;
pub(crate) mod logging;
pub(crate) mod metrics;
pub(crate) mod traces;
