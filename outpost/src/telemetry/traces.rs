//! Spans of requests and of the operations that they wait for, delivered to a collector by OTLP
//! over HTTP.
//!
//! They are spans of the `tracing` crate under a target of their own, which the log ignores;
//! without a collector, no span is made. Names and attributes follow OpenTelemetry's semantic
//! conventions. Queries, headers and cookies are left out: they may open a session, and many people
//! read a collector.

mod collector;
mod delivery;
mod sampling;
mod settings;
mod spans;

pub(crate) use delivery::Traces;
pub(crate) use settings::{TracesSettings, headers};
pub(crate) use spans::{
    answered, decided, failed, provider_answered, provider_request, record_application, request,
    routed, store_operation, trace_id,
};
