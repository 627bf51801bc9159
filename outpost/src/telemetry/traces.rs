//! Spans of requests and of what they wait for, delivered to a collector by OTLP over HTTP.
//!
//! They are spans of the `tracing` crate under a target of their own, which log lines do not see;
//! without a collector nobody does, and then none is made. Names and attributes follow
//! OpenTelemetry's semantic conventions. Nothing of a query, a header or a cookie becomes one: what
//! is in them may open a session, and a collector is read by many.

mod collector;
mod delivery;
mod sampling;
mod settings;
mod spans;

pub use delivery::{StartError, Traces};
pub use settings::{TracesSettings, headers};
pub use spans::{
    answered, decided, failed, is_for, provider_answered, provider_request, request, routed,
    store_operation, trace_id,
};
