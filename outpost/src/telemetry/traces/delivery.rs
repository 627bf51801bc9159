//! Delivers spans to the collector.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

use super::collector::Collector;
use super::sampling::Sampling;
use super::settings::TracesSettings;
use super::spans::TARGET;
use crate::http_client::HttpError;

/// The service name at the collector, unless another is configured.
const SERVICE: &str = "gatepost";

/// How long the remaining spans may take to be delivered at shutdown: together with the time
/// that requests have to finish, less than what Kubernetes grants (30 s).
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Why traces cannot be delivered, whatever the collector does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The client cannot be set up.
    #[error("tracing: {0}")]
    Client(#[from] HttpError),
    /// The exporter cannot be set up.
    #[error("tracing: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Delivers spans in the background: they wait in a bounded queue, and spans beyond it are dropped.
/// No request waits for the collector.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts delivering. To be called on the runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`]. An unreachable collector is not an error: it may come back.
    pub(crate) fn start(settings: &TracesSettings) -> Result<Self, StartError> {
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

    /// Returns the layer that receives the spans.
    pub(crate) fn layer(&self) -> impl Layer<Registry> + Send + Sync + use<> {
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

    /// Delivers the remaining spans, and ends.
    pub(crate) async fn finish(self) {
        let flushed = tokio::task::spawn_blocking(move || {
            // The client of the collector has logged what failed.
            let _ = self.0.shutdown_with_timeout(FLUSH_TIMEOUT);
        });
        let _ = flushed.await;
    }
}

/// Returns the resource that the spans belong to. `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES` count too.
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
