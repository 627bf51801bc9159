//! The names of the metrics, and their descriptions.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) const BUILD: &str = "gatepost_build_info";
pub(super) const DECISIONS: &str = "gatepost_decisions_total";
pub(super) const SIGN_INS: &str = "gatepost_sign_ins_total";
pub(super) const RENEWALS: &str = "gatepost_renewals_total";
pub(super) const CONFIRMATIONS: &str = "gatepost_confirmations_total";
pub(super) const MACHINES: &str = "gatepost_machine_checks_total";
pub(super) const DEVICES: &str = "gatepost_device_bound_total";
pub(super) const SKIPS: &str = "gatepost_device_skips_total";
pub(super) const SIGN_OUTS: &str = "gatepost_sign_outs_total";
pub(super) const REVOCATIONS: &str = "gatepost_revocations_total";
pub(super) const FAILURES: &str = "gatepost_failures_total";
pub(super) const REQUESTS: &str = "gatepost_request_duration_seconds";
pub(super) const STORE: &str = "gatepost_store_duration_seconds";
pub(super) const PROVIDER: &str = "gatepost_provider_request_duration_seconds";
pub(super) const PROVIDER_UP: &str = "gatepost_provider_available";
pub(super) const SESSIONS: &str = "gatepost_sessions";

/// Describes each metric for Prometheus.
pub(super) fn describe() {
    describe_gauge!(BUILD, "The version that runs; always 1.");
    describe_counter!(
        DECISIONS,
        "Requests that proxies asked about, by application and verdict."
    );
    describe_counter!(SIGN_INS, "Sign-ins, by application and outcome.");
    describe_counter!(RENEWALS, "Session renewals, by application and outcome.");
    describe_counter!(
        CONFIRMATIONS,
        "Questions to a provider whether a session is still valid, by provider and outcome."
    );
    describe_counter!(
        MACHINES,
        "Credentials of machine clients that were checked, by application, scheme and outcome."
    );
    describe_counter!(
        DEVICES,
        "What became of sessions that may be bound to devices, by application and event."
    );
    describe_counter!(
        SKIPS,
        "Requests before which browsers did not renew their bound session, by reason."
    );
    describe_counter!(SIGN_OUTS, "Sign-outs by users, by application.");
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NAMES: [&str; 16] = [
        BUILD,
        DECISIONS,
        SIGN_INS,
        RENEWALS,
        CONFIRMATIONS,
        MACHINES,
        DEVICES,
        SKIPS,
        SIGN_OUTS,
        REVOCATIONS,
        FAILURES,
        REQUESTS,
        STORE,
        PROVIDER,
        PROVIDER_UP,
        SESSIONS,
    ];

    /// Returns the names of our metrics in a text.
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
    fn dashboard_alerts_and_docs_name_only_metrics_that_exist() {
        let known = BTreeSet::from(NAMES);
        for (file, text) in [
            (
                "gatepost.json",
                include_str!("../../../../deploy/grafana/gatepost.json"),
            ),
            (
                "gatepost.rules.yaml",
                include_str!("../../../../deploy/prometheus/gatepost.rules.yaml"),
            ),
        ] {
            let unknown: Vec<_> = named(text).difference(&known).copied().collect();
            assert!(unknown.is_empty(), "{file}: {unknown:?}");
        }
        let docs = named(include_str!("../../../../docs/monitoring.md"));
        assert_eq!(docs, known, "docs/monitoring.md lists each of them");
    }
}
