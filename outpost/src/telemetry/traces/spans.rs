//! The spans and their attributes.

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::telemetry::metrics::Verdict;

/// The target of every span here, and of nothing else.
pub(super) const TARGET: &str = "traces";

/// Returns the span of a request to the outpost. It belongs to the trace that its sender names, if
/// the sender is `trusted`: any client could have all its requests delivered otherwise.
pub(crate) fn request(method: &Method, headers: &HeaderMap, trusted: bool) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method_name(method),
        http.route = Empty,
        http.response.status_code = Empty,
        gatepost.application = Empty,
        gatepost.verdict = Empty,
    );
    if trusted && !span.is_disabled() {
        let propagator = TraceContextPropagator::new();
        let parent = propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers));
        if parent.span().span_context().is_valid() {
            // It fails only for a span that is known already.
            let _ = span.set_parent(parent);
        }
    }
    span
}

/// Records the endpoint of the current span's request.
pub(crate) fn routed(method: &Method, endpoint: &'static str) {
    let span = Span::current();
    if !span.is_disabled() {
        let name = format!("{} {endpoint}", method_name(method));
        span.context().span().update_name(name);
        span.record("http.route", endpoint);
    }
}

/// Records the application of the current span's request.
pub(crate) fn record_application(application: &str) {
    Span::current().record("gatepost.application", application);
}

/// Records the verdict on the current span's request.
pub(crate) fn decided(verdict: Verdict) {
    Span::current().record("gatepost.verdict", verdict.word());
}

/// Records the status of the response to the request of `span`.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    // Only a server error is an error of the server's span.
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Returns the span of a request to a provider, and adds the trace to the request.
pub(crate) fn provider_request(provider: &str, request: &mut http::Request<Vec<u8>>) -> Span {
    let method = method_name(request.method());
    let uri = request.uri();
    let span = tracing::info_span!(
        target: TARGET,
        "provider request",
        otel.kind = "client",
        otel.name = format!("{method} {}", uri.path()),
        otel.status_code = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        server.address = uri.host(),
        server.port = uri.port_u16().map(i64::from),
        url.path = uri.path(),
        url.scheme = uri.scheme_str(),
        gatepost.provider = provider,
    );
    if !span.is_disabled() {
        let headers = &mut HeaderInjector(request.headers_mut());
        TraceContextPropagator::new().inject_context(&span.context(), headers);
    }
    span
}

/// Records the result of the request to a provider of `span`.
pub(crate) fn provider_answered<E>(span: &Span, outcome: Result<StatusCode, E>) {
    let status = outcome.as_ref().ok();
    if let Some(status) = status {
        span.record("http.response.status_code", i64::from(status.as_u16()));
    }
    if status.is_none_or(|status| status.is_client_error() || status.is_server_error()) {
        span.record("otel.status_code", "ERROR");
    }
}

/// Returns the span of an operation of the session store.
pub(crate) fn store_operation(operation: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "store",
        otel.name = format!("store {operation}"),
        otel.status_code = Empty,
        db.operation.name = operation,
    )
}

/// Records that the work of `span` failed.
pub(crate) fn failed(span: &Span) {
    span.record("otel.status_code", "ERROR");
}

/// Returns the id of the trace that a span belongs to, if it is traced.
pub(crate) fn trace_id(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

/// Returns the name of a method, from a bounded set: a client may send any.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}
