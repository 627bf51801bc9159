//! Reports to operators on a running outpost: log lines, the audit log, metrics and traces.
//!
//! Everything here takes plain values, so that any part of the outpost may report what it does.

pub mod audit;
pub mod logging;
pub mod metrics;
pub mod traces;
