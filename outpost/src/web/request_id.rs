//! Ties the log lines of one request together, and to those of the proxy in front.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;

use super::random_id::random_id;

/// The header that names a request. A proxy's is taken over and sent back.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over; a UUID has 36 characters.
const MAX_ID: usize = 64;

/// The ids of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestId {
    request: String,
    /// The trace of the proxy (W3C Trace Context §3.2).
    trace: Option<SpanContext>,
}

impl RequestId {
    /// Returns the ids that a request carries, as far as they are valid; else a random id.
    ///
    /// Any client can send them, so they are bounded in length and alphabet, and decide nothing.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let request = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|id| is_request_id(id));
        let context = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(headers));
        let trace = context.span().span_context().clone();
        Self {
            request: request.map_or_else(|| random_id().into_owned(), str::to_owned),
            trace: trace.is_valid().then_some(trace),
        }
    }

    /// Returns the span of the request's log lines. It has the highest level: it only adds fields to
    /// lines that are written anyway.
    ///
    /// `traced` is the id of the trace that the outpost delivers, which may be another than the
    /// proxy's.
    pub(super) fn span(&self, traced: Option<&str>) -> Span {
        let span = tracing::error_span!(
            "request",
            id = self.request,
            trace_id = tracing::field::Empty,
            parent_id = tracing::field::Empty,
        );
        let own = self.trace.as_ref();
        let id = own.map(|trace| trace.trace_id().to_string());
        if let Some(id) = traced.or(id.as_deref()) {
            span.record("trace_id", id);
        }
        if let Some(own) = own.filter(|_| traced.is_none_or(|traced| id.as_deref() == Some(traced)))
        {
            span.record("parent_id", own.span_id().to_string());
        }
        span
    }

    /// Returns the header that carries a request's id to its client.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::from_str(&self.request).ok()?;
        Some((REQUEST_ID, value))
    }
}

fn is_request_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(HeaderName, &str)]) -> RequestId {
        let header = |(name, value): &(HeaderName, &str)| {
            (name.clone(), HeaderValue::from_str(value).expect("a value"))
        };
        RequestId::of(&pairs.iter().map(header).collect())
    }

    #[test]
    fn an_id_is_taken_over_only_where_it_is_valid() {
        let long = "x".repeat(MAX_ID + 1);
        for (sent, taken) in [
            ("0192f0c1-7c4e-7d2a-9e3b-0c5a", true),
            ("a", true),
            ("", false),
            (&*long, false),
            ("a b", false),
            ("a\"b", false),
            ("a=b", false),
        ] {
            let id = of(&[(REQUEST_ID, sent)]);
            assert_eq!(id.request == sent, taken, "{sent}");
            assert!(!id.request.is_empty(), "{sent}");
        }
        assert_ne!(of(&[]).request, of(&[]).request);
    }

    #[test]
    fn a_trace_is_read_as_the_standard_says() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = "00f067aa0ba902b7";
        for (case, sent, expected) in [
            ("plain", format!("00-{id}-{parent}-01"), true),
            ("a later version", format!("cc-{id}-{parent}-01-more"), true),
            (
                "longer than it may be",
                format!("00-{id}-{parent}-01-x"),
                false,
            ),
            ("no version", format!("ff-{id}-{parent}-01"), false),
            (
                "capitals",
                format!("00-{}-{parent}-01", id.to_uppercase()),
                false,
            ),
            ("zero", format!("00-{}-{parent}-01", "0".repeat(32)), false),
            ("short", format!("00-{id}-01"), false),
            ("empty", String::new(), false),
        ] {
            let traceparent = HeaderName::from_static("traceparent");
            let trace = of(&[(traceparent, &sent)]).trace;
            let found = trace.is_some_and(|trace| trace.trace_id().to_string() == id);
            assert_eq!(found, expected, "{case}");
        }
    }
}
