//! How long sessions last, and whether they are bound to devices.

use gatepost_policy::config::{Fields, MOST_SECONDS};

use super::frames::Frames;
use crate::application::ApplicationSettings;
use crate::device_bound::{DeviceBound, LEAST_SECONDS};
use crate::session_times::SessionTimes;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

pub(super) fn session(fields: &mut Fields<'_>) -> (SessionTimes, DeviceBound, Frames) {
    // A plugin without the list of revoked sessions accepts a revoked session until its window
    // ends, so the window is short. A page load renews it from its first third on, so that browsers
    // have six minutes to do so beside a page before the last quarter, in which page loads wait.
    // The provider is asked half as often: a user who is locked out there is locked out here within
    // two thirds of a window and a window. While the provider is unavailable no user is locked out
    // before the session's own end.
    let mut times = SessionTimes {
        window: 15 * MINUTE,
        renew_after: 5 * MINUTE,
        prove_after: 10 * MINUTE,
        refresh_after: 10 * MINUTE,
        grace: 24 * HOUR,
        idle: 8 * HOUR,
        lifetime: 24 * HOUR,
        token_age: 0,
    };
    let Some(mut section) = fields.section("session") else {
        return (times, DeviceBound::default(), Frames::default());
    };
    let device_bound = section.parsed("deviceBound", DeviceBound::parse);
    let frames = Frames::read(&mut section);
    let window = section.seconds_within(
        "window",
        1..=24 * HOUR,
        "so long a revoked session may live on",
    );
    times.window = window.unwrap_or(times.window);
    let renew_after = span(&mut section, "renewAfter");
    times.renew_after = renew_after.unwrap_or(times.window / 3);
    // Browsers that prove their device renew beside pages anyway, and pause if that is too often.
    times.prove_after = renew_after.unwrap_or(times.window / 3 * 2);
    let refresh_after = span(&mut section, "refreshAfter");
    times.refresh_after = refresh_after.unwrap_or(times.prove_after);
    times.idle = span(&mut section, "idle").unwrap_or(times.idle);
    times.lifetime = span(&mut section, "lifetime").unwrap_or(times.lifetime);
    times.grace = span(&mut section, "grace").unwrap_or(times.lifetime);
    if times.renew_after >= times.window && renew_after.is_some() {
        section.problem("renewAfter", "must be shorter than `window`");
    }
    if times.idle < times.window {
        section.problem(
            "idle",
            format!(
                "must not be shorter than `window`, in which no proxy asks: {} s, and `window` is {} s",
                times.idle, times.window
            ),
        );
    }
    if times.lifetime < times.window {
        section.problem(
            "lifetime",
            format!(
                "must not be shorter than `window`: {} s, and `window` is {} s",
                times.lifetime, times.window
            ),
        );
    }
    section.finish();
    (times, device_bound.unwrap_or_default(), frames)
}

/// Reads a duration that can be added to every time.
pub(super) fn span(fields: &mut Fields<'_>, key: &'static str) -> Option<u64> {
    fields.seconds_within(
        key,
        0..=MOST_SECONDS,
        "a longer one cannot be added to every time",
    )
}

/// Reports where sessions would have to be bound to devices and no browser can do it: every user
/// would be refused.
pub(super) fn report_devices(
    applications: &[ApplicationSettings],
    times: SessionTimes,
    of_all: DeviceBound,
    fields: &Fields<'_>,
) {
    let mut required = false;
    for (at, application) in applications.iter().enumerate() {
        let device_bound = application.device_bound.unwrap_or(of_all);
        let by_rule = application.policy.needs_device();
        if by_rule && device_bound == DeviceBound::Off {
            fields.problems().add(
                format!("applications[{at}].require.deviceBound"),
                "needs `deviceBound: prefer` or `require`: without, no session is bound, and no \
                 user would be admitted",
            );
            continue;
        }
        if device_bound != DeviceBound::Require && !by_rule {
            continue;
        }
        required = true;
        if application.device_scope().is_none() {
            let problem = "to require it needs an `externalUrl` of https and, in domain mode, a \
                           `cookieDomain` that is a site's registrable domain: no browser binds \
                           another session";
            let path = format!("applications[{at}].deviceBound");
            fields.problems().add(path, problem);
        }
    }
    if required && times.prove_after < LEAST_SECONDS {
        fields.problems().add(
            "session.renewAfter",
            "to require `deviceBound` needs 4m or longer (a `window` of 6m): no browser binds a \
             session that it would have to renew more often",
        );
    }
}
