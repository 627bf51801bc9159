//! Spans of requests and of what they wait for, delivered to a collector by OTLP over HTTP.
//!
//! They are spans of the `tracing` crate under a target of their own, which log lines do not see;
//! without a collector nobody does, and then none is made. Names and attributes follow
//! OpenTelemetry's semantic conventions. Nothing of a query, a header or a cookie becomes one: what
//! is in them may open a session, and a collector is read by many.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};
use url::Url;

use super::metrics::Verdict;
use crate::http_client::HttpError;

mod collector;
mod sampling;

use collector::Collector;
use sampling::Sampling;

/// The target of every span here, and of nothing else.
const TARGET: &str = "traces";

/// What the outpost is called at the collector, unless somebody says otherwise.
const SERVICE: &str = "gatepost";

/// How long the spans that are left may take to be delivered in the end: together with the time
/// that requests have to finish, less than what Kubernetes grants (30 s).
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesSettings {
    /// The collector's URL for traces.
    pub endpoint: Url,
    /// What is sent along, like a key to the collector; every value is marked as sensitive.
    pub headers: HeaderMap,
    /// Certificates that are trusted besides the system's, in PEM.
    pub authorities: Vec<u8>,
    /// Which part of the traces that begin here is delivered, from 0 to 1. Those that a trusted
    /// proxy has begun are as it decided.
    pub sample_ratio: f64,
    /// What the outpost is called there.
    pub service_name: Option<String>,
}

/// Why traces cannot be delivered, whatever the collector does.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client cannot be set up.
    #[error("tracing: {0}")]
    Client(#[from] HttpError),
    /// The exporter cannot be set up.
    #[error("tracing: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Delivers spans in the background: they wait in a bounded queue, and what has no room there is
/// dropped. No request waits for the collector.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts delivering. To be called on the runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`]. A collector that cannot be reached is none: it may come back.
    pub fn start(settings: &TracesSettings) -> Result<Self, StartError> {
        let headers = settings
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(settings)?)
            .with_endpoint(settings.endpoint.as_str())
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_headers(headers.collect())
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampling::new(settings.sample_ratio))
            .with_resource(resource(settings.service_name.as_deref()))
            .build();
        Ok(Self(provider))
    }

    /// What takes the spans.
    pub fn layer(&self) -> impl Layer<Registry> + Send + Sync + use<> {
        let spans = Targets::new().with_target(TARGET, LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SERVICE))
            // Where in our code a span is made, and on which thread, is of no use to an operator.
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(spans)
    }

    /// Delivers what is left, and ends.
    pub async fn finish(self) {
        let flushed = tokio::task::spawn_blocking(move || {
            // What went wrong was logged by who asked the collector.
            let _ = self.0.shutdown_with_timeout(FLUSH_TIMEOUT);
        });
        let _ = flushed.await;
    }
}

/// Who delivers. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` count too.
fn resource(service_name: Option<&str>) -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let detected = Resource::builder().build();
    let is_named = detected
        .get(&"service.name".into())
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let builder = Resource::builder().with_attribute(version);
    match service_name {
        Some(name) => builder.with_service_name(name.to_owned()),
        None if is_named => builder,
        None => builder.with_service_name(SERVICE),
    }
    .build()
}

/// The span of a request to the outpost. It belongs to the trace that its sender names, if that is
/// to be `trusted`: anybody else could have all their requests delivered.
pub fn request(method: &Method, headers: &HeaderMap, trusted: bool) -> Span {
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

/// Notes at which endpoint the request of the current span is answered.
pub fn routed(method: &Method, endpoint: &'static str) {
    let span = Span::current();
    if !span.is_disabled() {
        let name = format!("{} {endpoint}", method_name(method));
        span.context().span().update_name(name);
        span.record("http.route", endpoint);
    }
}

/// Notes which application the request of the current span is for.
pub fn is_for(application: &str) {
    Span::current().record("gatepost.application", application);
}

/// Notes what was decided about the request of the current span.
pub fn decided(verdict: Verdict) {
    Span::current().record("gatepost.verdict", verdict.word());
}

/// Notes with which status the request of `span` is answered.
pub fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    // Only what is the server's fault is an error of its span.
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of a request to a provider, which is told of the trace.
pub fn provider_request(provider: &str, request: &mut http::Request<Vec<u8>>) -> Span {
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

/// Notes what came of the request to a provider that `span` is of.
pub fn provider_answered<E>(span: &Span, outcome: Result<StatusCode, E>) {
    let status = outcome.as_ref().ok();
    if let Some(status) = status {
        span.record("http.response.status_code", i64::from(status.as_u16()));
    }
    if status.is_none_or(|status| status.is_client_error() || status.is_server_error()) {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of an operation of the session store.
pub fn store_operation(operation: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "store",
        otel.name = format!("store {operation}"),
        otel.status_code = Empty,
        db.operation.name = operation,
    )
}

/// Notes that what `span` is of did not work.
pub fn failed(span: &Span) {
    span.record("otel.status_code", "ERROR");
}

/// The id of the trace that a span belongs to, if anybody traces it.
pub fn trace_id(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

/// A method's name, of a bounded number: a client may send any.
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

/// Reads `name=value`, one a line, or takes the pairs of a section.
///
/// # Errors
///
/// The name of the first header that is none. Values are not repeated: they may be secrets.
pub fn headers<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<HeaderMap, String> {
    pairs
        .into_iter()
        .map(|(name, value)| {
            let name = name.trim();
            let parsed = name
                .parse::<http::HeaderName>()
                .ok()
                .zip(HeaderValue::from_str(value.trim()).ok());
            let (header, mut value) = parsed.ok_or_else(|| name.to_owned())?;
            value.set_sensitive(true);
            Ok((header, value))
        })
        .collect()
}
