//! Counts and times for Prometheus.
//!
//! The values go through the `metrics` facade: where nothing is installed, as in tests of other
//! things, they go nowhere. Every label has a bounded number of values that the operator or this
//! program chose: names of applications and providers, and words of the enums here. Nothing that a
//! client sends becomes a label, since each new value would stay in memory.

mod counters;
mod events;
mod labels;
mod names;
mod recorder;

pub(crate) use counters::{Counts, Timings};
pub(crate) use events::{
    device_skipped, failed, machine_checked, revalidated, revoked, set_provider_available,
    set_session_count, start_at_zero, time_provider,
};
pub(crate) use labels::{DeviceEvent, Revalidated, Skip, Success, Verdict};
pub(crate) use recorder::{InstallError, Metrics};
