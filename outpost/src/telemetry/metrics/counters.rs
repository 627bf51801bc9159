//! Counters of every request, looked up once: a look-up by labels takes longer than everything else
//! about counting.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::labels::{DeviceEvent, Success, Verdict};
use super::names::{DECISIONS, DEVICES, RENEWALS, REQUESTS, SIGN_INS, SIGN_OUTS, STORE};

/// The counters of an application. They start at 0, so that a rate includes the first event.
#[derive(Clone, Debug)]
pub struct Counts {
    decisions: [(Verdict, Counter); 4],
    sign_ins: [(Success, Counter); 2],
    renewals: [(Success, Counter); 2],
    sign_outs: Counter,
    devices: [(DeviceEvent, Counter); 6],
}

impl Counts {
    /// Returns the counters of the application with this name.
    pub fn of(application: &str) -> Self {
        let by_outcome = |name: &'static str| {
            [Success::Succeeded, Success::Failed].map(|success| {
                let counter = counter!(
                    name, "application" => application.to_owned(), "outcome" => success.word()
                );
                (success, counter)
            })
        };
        let verdicts = [
            Verdict::Allow,
            Verdict::SignIn,
            Verdict::Deny,
            Verdict::Failed,
        ];
        Self {
            decisions: verdicts.map(|verdict| {
                let counter = counter!(
                    DECISIONS, "application" => application.to_owned(), "verdict" => verdict.word()
                );
                (verdict, counter)
            }),
            sign_ins: by_outcome(SIGN_INS),
            renewals: by_outcome(RENEWALS),
            sign_outs: counter!(SIGN_OUTS, "application" => application.to_owned()),
            devices: DeviceEvent::ALL.map(|event| {
                let counter = counter!(
                    DEVICES, "application" => application.to_owned(), "event" => event.word()
                );
                (event, counter)
            }),
        }
    }

    /// Counts a decision about a request.
    pub fn decided(&self, verdict: Verdict) {
        count(&self.decisions, verdict);
    }

    /// Counts a sign-in that came back from the provider.
    pub fn signed_in(&self, success: Success) {
        count(&self.sign_ins, success);
    }

    /// Counts a renewal.
    pub fn renewed(&self, success: Success) {
        count(&self.renewals, success);
    }

    /// Counts what became of a session that may be bound to a device.
    pub fn device(&self, event: DeviceEvent) {
        count(&self.devices, event);
    }

    /// Counts a sign-out.
    pub fn signed_out(&self) {
        self.sign_outs.increment(1);
    }
}

fn count<T: Copy + Eq>(counters: &[(T, Counter)], which: T) {
    let found = counters.iter().find(|(label, _)| *label == which);
    if let Some((_, counter)) = found {
        counter.increment(1);
    }
}

/// Durations, by one label whose values are known at the start.
#[derive(Debug)]
pub(crate) struct Timings(Vec<(&'static str, Histogram)>);

impl Timings {
    /// Returns the timings of requests, by these endpoints.
    pub(crate) fn of_requests(endpoints: impl IntoIterator<Item = &'static str>) -> Self {
        let timing = |endpoint| (endpoint, histogram!(REQUESTS, "endpoint" => endpoint));
        Self(endpoints.into_iter().map(timing).collect())
    }

    /// Returns the timings of the session store, by these operations.
    pub(crate) fn of_store(operations: impl IntoIterator<Item = &'static str>) -> Self {
        let timing = |operation| (operation, histogram!(STORE, "operation" => operation));
        Self(operations.into_iter().map(timing).collect())
    }

    /// Records how long it took.
    pub(crate) fn note(&self, label: &'static str, took: Duration) {
        let found = self.0.iter().find(|(known, _)| *known == label);
        debug_assert!(found.is_some(), "no timing of {label}");
        if let Some((_, histogram)) = found {
            histogram.record(took);
        }
    }
}
