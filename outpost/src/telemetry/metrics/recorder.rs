//! Collects the values and renders them.

use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use super::names::{BUILD, describe};

/// The buckets of durations in seconds, from a store in this process to a provider that is about to
/// time out.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 15.0,
];

/// Where the values are collected.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Why values cannot be collected.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The exporter cannot be set up.
    #[error("cannot collect metrics: {0}")]
    Exporter(#[from] BuildError),
    /// The process collects values already.
    #[error("metrics are collected already")]
    Twice,
}

impl Metrics {
    /// Collects from now on, for the whole process.
    ///
    /// # Errors
    ///
    /// [`InstallError`].
    pub fn install() -> Result<Self, InstallError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| InstallError::Twice)?;
        describe();
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
        Ok(Self(handle))
    }

    /// Returns all metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        // Drains the histograms, which grow until the metrics are read.
        self.0.run_upkeep();
        self.0.render()
    }

    /// Drains the histograms; to be called regularly.
    pub fn tidy(&self) {
        self.0.run_upkeep();
    }
}
