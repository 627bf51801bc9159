//! What is counted and timed, for Prometheus.
//!
//! The values go through the `metrics` facade: where nothing is installed, as in tests of other
//! things, they go nowhere. Every label has a bounded number of values that the operator or this
//! program chose: names of applications and providers, and words of the enums here. Nothing that a
//! client sent becomes one, since each new value would stay in memory for good.

mod kept;

use std::time::Instant;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

pub use kept::{Counts, Timings};

const BUILD: &str = "gatepost_build_info";
const DECISIONS: &str = "gatepost_decisions_total";
const SIGN_INS: &str = "gatepost_sign_ins_total";
const RENEWALS: &str = "gatepost_renewals_total";
const CONFIRMATIONS: &str = "gatepost_confirmations_total";
const MACHINES: &str = "gatepost_machine_checks_total";
const SIGN_OUTS: &str = "gatepost_sign_outs_total";
const REVOCATIONS: &str = "gatepost_revocations_total";
const FAILURES: &str = "gatepost_failures_total";
const REQUESTS: &str = "gatepost_request_duration_seconds";
const STORE: &str = "gatepost_store_duration_seconds";
const PROVIDER: &str = "gatepost_provider_request_duration_seconds";
const PROVIDER_UP: &str = "gatepost_provider_available";
const SESSIONS: &str = "gatepost_sessions";

/// From a store in this process to a provider that is about to time out, in seconds.
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

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        // Drains what histograms have gathered, which would grow for as long as nobody asks.
        self.0.run_upkeep();
        self.0.render()
    }

    /// Takes in what histograms have gathered; to be called now and then.
    pub fn tidy(&self) {
        self.0.run_upkeep();
    }
}

fn describe() {
    describe_gauge!(BUILD, "The version that runs; always 1.");
    describe_counter!(
        DECISIONS,
        "Requests that proxies asked about, by application and verdict."
    );
    describe_counter!(SIGN_INS, "Sign-ins, by application and outcome.");
    describe_counter!(RENEWALS, "Session renewals, by application and outcome.");
    describe_counter!(
        CONFIRMATIONS,
        "Questions to a provider whether a session holds, by provider and what came of it."
    );
    describe_counter!(
        MACHINES,
        "Credentials of programs that were checked, by application, scheme and outcome."
    );
    describe_counter!(SIGN_OUTS, "Sign-outs by people, by application.");
    describe_counter!(
        REVOCATIONS,
        "Sessions ended by the provider or an operator."
    );
    describe_counter!(FAILURES, "Requests that could not be served, by reason.");
    describe_gauge!(
        SESSIONS,
        "Sessions in the store, counted at its last sweep."
    );
    describe_gauge!(PROVIDER_UP, "Whether a provider has been found: 1 or 0.");
    for (name, meaning) in [
        (REQUESTS, "Time to answer a request, by endpoint."),
        (STORE, "Time that the session store took, by operation."),
        (
            PROVIDER,
            "Time that a provider took to answer, by provider and outcome.",
        ),
    ] {
        describe_histogram!(name, Unit::Seconds, meaning);
    }
}

/// What was decided about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Allow,
    /// Its sender has to sign in.
    SignIn,
    /// Its sender may not pass.
    Deny,
    /// It could not be decided, so it may not pass.
    Failed,
}

/// Whether something worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// It did.
    Succeeded,
    /// It did not.
    Failed,
}

/// What came of asking a provider whether a session still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// It does.
    Holds,
    /// It has ended there, so it ended here.
    Over,
    /// The provider did not answer.
    Unanswered,
    /// The session goes on for its grace although the provider did not answer, now or a moment ago.
    Unasked,
}

impl Confirmed {
    fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Over => "over",
            Self::Unanswered => "unanswered",
            Self::Unasked => "unasked",
        }
    }
}

impl Verdict {
    /// What it is called in metrics and traces.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::SignIn => "sign_in",
            Self::Deny => "deny",
            Self::Failed => "failed",
        }
    }
}

impl Success {
    fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

impl<T, E> From<&Result<T, E>> for Success {
    fn from(result: &Result<T, E>) -> Self {
        if result.is_ok() {
            Self::Succeeded
        } else {
            Self::Failed
        }
    }
}

/// Counts what came of asking a provider whether a session holds.
pub fn confirmed(provider: &str, outcome: Confirmed) {
    counter!(CONFIRMATIONS, "provider" => provider.to_owned(), "outcome" => outcome.word())
        .increment(1);
}

/// Counts credentials of a program that were checked.
pub fn machine_checked(application: &str, scheme: &'static str, success: Success) {
    counter!(
        MACHINES,
        "application" => application.to_owned(), "scheme" => scheme, "outcome" => success.word()
    )
    .increment(1);
}

/// Counts sessions that were ended by someone else than whose they were.
pub fn revoked(sessions: usize) {
    counter!(REVOCATIONS).increment(u64::try_from(sessions).unwrap_or(u64::MAX));
}

/// Counts a request that could not be served. `code` is that of the failure's text.
pub fn failed(code: &'static str) {
    counter!(FAILURES, "reason" => code).increment(1);
}

/// Says how many sessions there are.
pub fn sessions_are(count: usize) {
    // Exact up to 2^53, and a gauge is a float in Prometheus.
    #[allow(clippy::cast_precision_loss)]
    gauge!(SESSIONS).set(count as f64);
}

/// Says whether a provider has been found.
pub fn provider_is(name: &str, available: bool) {
    gauge!(PROVIDER_UP, "provider" => name.to_owned()).set(u8::from(available));
}

/// Times a request to a provider.
pub async fn time_provider<T, E>(
    name: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let begun = Instant::now();
    let done = work.await;
    histogram!(
        PROVIDER,
        "provider" => name.to_owned(), "outcome" => Success::from(&done).word()
    )
    .record(begun.elapsed());
    done
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NAMES: [&str; 14] = [
        BUILD,
        DECISIONS,
        SIGN_INS,
        RENEWALS,
        CONFIRMATIONS,
        MACHINES,
        SIGN_OUTS,
        REVOCATIONS,
        FAILURES,
        REQUESTS,
        STORE,
        PROVIDER,
        PROVIDER_UP,
        SESSIONS,
    ];

    /// The names of our metrics in a text.
    fn named(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words
            .filter(|word| word.starts_with("gatepost_"))
            .map(|word| {
                let series = ["_bucket", "_sum", "_count"];
                let mut bases = series.iter().filter_map(|end| word.strip_suffix(end));
                bases.next().unwrap_or(word)
            })
            .collect()
    }

    #[test]
    fn dashboard_alerts_and_docs_speak_of_metrics_that_there_are() {
        let known = BTreeSet::from(NAMES);
        for (file, text) in [
            (
                "gatepost.json",
                include_str!("../../../deploy/grafana/gatepost.json"),
            ),
            (
                "gatepost.rules.yaml",
                include_str!("../../../deploy/prometheus/gatepost.rules.yaml"),
            ),
        ] {
            let unknown: Vec<_> = named(text).difference(&known).copied().collect();
            assert!(unknown.is_empty(), "{file}: {unknown:?}");
        }
        let docs = named(include_str!("../../../docs/operations.md"));
        assert_eq!(docs, known, "docs/operations.md lists each of them");
    }
}
