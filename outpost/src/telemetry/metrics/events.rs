//! Counts events.

use std::time::Instant;

use metrics::{counter, gauge, histogram};

use super::labels::{Revalidated, Skip, Success};
use super::names::{
    CONFIRMATIONS, FAILURES, MACHINES, PROVIDER, PROVIDER_UP, REVOCATIONS, SESSIONS, SKIPS,
};

/// Counts the result of asking a provider whether a session is still valid.
pub(crate) fn revalidated(provider: &str, outcome: Revalidated) {
    counter!(CONFIRMATIONS, "provider" => provider.to_owned(), "outcome" => outcome.word())
        .increment(1);
}

/// Counts credentials of a machine client that were checked.
pub(crate) fn machine_checked(application: &str, scheme: &'static str, success: Success) {
    counter!(
        MACHINES,
        "application" => application.to_owned(), "scheme" => scheme, "outcome" => success.word()
    )
    .increment(1);
}

/// Counts sessions that the provider or an operator revoked.
pub(crate) fn revoked(sessions: usize) {
    counter!(REVOCATIONS).increment(u64::try_from(sessions).unwrap_or(u64::MAX));
}

/// Counts a request before which a browser did not renew its bound session.
pub(crate) fn device_skipped(reason: Skip) {
    counter!(SKIPS, "reason" => reason.word()).increment(1);
}

/// Has these counters start at 0, so that a rate includes the first event: of revocations, of skipped
/// renewals, and of failures with each of these codes.
pub(crate) fn start_at_zero(failures: impl IntoIterator<Item = &'static str>) {
    counter!(REVOCATIONS).increment(0);
    for reason in Skip::ALL {
        counter!(SKIPS, "reason" => reason.word()).increment(0);
    }
    for code in failures {
        counter!(FAILURES, "reason" => code).increment(0);
    }
}

/// Counts a request that could not be served, by the failure's code.
pub(crate) fn failed(code: &'static str) {
    counter!(FAILURES, "reason" => code).increment(1);
}

/// Notes how many sessions there are.
pub(crate) fn set_session_count(count: usize) {
    // Exact up to 2^53, and a gauge is a float in Prometheus.
    #[allow(clippy::cast_precision_loss)]
    gauge!(SESSIONS).set(count as f64);
}

/// Notes whether a provider has been discovered, and answers.
pub(crate) fn set_provider_available(name: &str, available: bool) {
    gauge!(PROVIDER_UP, "provider" => name.to_owned()).set(u8::from(available));
    // They start at 0, so that a rate includes the first event.
    for outcome in Revalidated::ALL {
        counter!(CONFIRMATIONS, "provider" => name.to_owned(), "outcome" => outcome.word())
            .increment(0);
    }
}

/// Times a request to a provider.
pub(crate) async fn time_provider<T, E>(
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
