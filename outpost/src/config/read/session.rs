//! How long sessions last, and whether they are bound to devices.

use gatepost_policy::config::Fields;

use crate::device_bound::DeviceBound;
use crate::session_times::SessionTimes;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

pub(super) fn session(fields: &mut Fields<'_>) -> (SessionTimes, DeviceBound) {
    // A plugin without the list of revoked sessions accepts a revoked session until its window
    // ends, so the window is short; a page load in its last third renews it, so that active users
    // do not notice. Every renewal asks the provider, so a user who is locked out there is locked
    // out here within a window. While the provider is unavailable no user is locked out before the
    // session's own end.
    let mut times = SessionTimes {
        window: 15 * MINUTE,
        renew_after: 10 * MINUTE,
        refresh_after: 10 * MINUTE,
        grace: 24 * HOUR,
        idle: 8 * HOUR,
        lifetime: 24 * HOUR,
        token_age: 0,
    };
    let Some(mut section) = fields.section("session") else {
        return (times, DeviceBound::default());
    };
    let device_bound = section.parsed("deviceBound", DeviceBound::parse);
    let window = section.seconds("window");
    times.window = window.unwrap_or(times.window);
    // Two thirds of the window, unless it is configured.
    let renew_after = section.seconds("renewAfter");
    times.renew_after = renew_after.unwrap_or(times.window / 3 * 2);
    let refresh_after = section.seconds("refreshAfter");
    times.refresh_after = refresh_after.unwrap_or(times.renew_after);
    times.idle = section.seconds("idle").unwrap_or(times.idle);
    times.lifetime = section.seconds("lifetime").unwrap_or(times.lifetime);
    times.grace = section.seconds("grace").unwrap_or(times.lifetime);
    if !(1..=24 * HOUR).contains(&times.window) {
        section.problem(
            "window",
            "expected 1s to 24h: so long a revoked session may live on",
        );
    }
    if times.renew_after >= times.window && renew_after.is_some() {
        section.problem("renewAfter", "must be shorter than `window`");
    }
    if times.idle < times.window {
        section.problem(
            "idle",
            "must not be shorter than `window`, in which no proxy asks",
        );
    }
    if times.lifetime < times.window {
        section.problem("lifetime", "must not be shorter than `window`");
    }
    section.finish();
    (times, device_bound.unwrap_or_default())
}
