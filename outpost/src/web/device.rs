//! What the outpost tells a browser about a session that is bound to its device, in the words of
//! W3C Device Bound Session Credentials.

use gatepost_session::{CLOCK_SKEW_SECONDS, SessionId};
use serde_json::{Value, json};

use super::context::Context;
use super::request::ForwardedRequest;
use super::urls::endpoint_url;
use crate::application::Application;
use crate::device_bound::{
    Challenge, DeviceBound, InvalidChallenge, LEAST_SECONDS, Occasion, Proof, SessionName,
};
use crate::telemetry::metrics::{self, Skip};

/// How long a browser gets to bind a session that has just begun: it does so within about a second,
/// and a slow device needs some.
const BINDING_SECONDS: u64 = 15;

/// Returns whether the browser may be about to bind a session that is this many seconds old. Where
/// replicas share a store, another one's clock may be behind, by which the session began.
pub(super) fn may_be_binding(age: u64, store_is_shared: bool) -> bool {
    let skew = if store_is_shared {
        CLOCK_SKEW_SECONDS
    } else {
        0
    };
    age < BINDING_SECONDS.saturating_add(skew)
}

/// An answer to a browser that registers a key or renews a session with a proof.
#[derive(Debug)]
pub enum DeviceAnswer {
    /// The session goes on, by these instructions.
    Instructions(Value),
    /// The browser is to sign a challenge, for the session that it calls so.
    Challenge(Challenge, SessionName),
    /// The session that the browser calls so has ended, and the browser forgets it.
    Ended(SessionName),
}

/// Returns the value of `Secure-Session-Registration`, which has a browser register a key for a
/// session that has just begun; `None` where sessions are not bound.
pub(super) fn registration(
    context: Context<'_>,
    application: &Application,
    session: &SessionId,
) -> Option<String> {
    if application.device_bound() == DeviceBound::Off || context.times().prove_after < LEAST_SECONDS
    {
        return None;
    }
    application.device_scope()?;
    let challenge = challenge(context, application, Occasion::Registration, session)?;
    Some(format!(
        "(ES256 RS256);path=\"{}\";challenge=\"{}\"",
        endpoint_url(application, "device/register"),
        challenge.as_str()
    ))
}

/// Returns a new name for a session, by which a browser will know it. `None` when the operating system
/// has no randomness.
pub(super) fn name(
    context: Context<'_>,
    application: &Application,
    session: &SessionId,
) -> Option<SessionName> {
    let keys = &context.snapshot.flow_keys;
    SessionName::make(keys, application.audience().as_str(), session)
}

/// Returns a new challenge for a session. `None` when the operating system has no randomness.
pub(super) fn challenge(
    context: Context<'_>,
    application: &Application,
    occasion: Occasion,
    session: &SessionId,
) -> Option<Challenge> {
    let keys = &context.snapshot.flow_keys;
    let name = application.audience().as_str();
    Challenge::make(keys, name, occasion, session, context.now())
}

/// Opens the challenge that a proof says it answers, if it is one for this application and occasion.
pub(super) fn open(
    context: Context<'_>,
    application: &Application,
    occasion: Occasion,
    proof: &Proof<'_>,
) -> Result<Challenge, InvalidChallenge> {
    let keys = &context.snapshot.flow_keys;
    let name = application.audience().as_str();
    Challenge::open(keys, name, occasion, proof.challenge(), context.now())
}

/// Returns what a browser is to do for a session: to renew it whenever a request within the scope
/// lacks the cookie. `None` where there is no such scope any more.
pub(super) fn instructions(
    application: &Application,
    session: &SessionId,
    name: &SessionName,
) -> Option<Value> {
    let scope = application.device_scope()?;
    Some(json!({
        "session_identifier": name.as_str(),
        "refresh_url": endpoint_url(application, "device/refresh"),
        "scope": {
            "origin": scope.origin,
            "include_site": scope.whole_site,
            "scope_specification": [{
                "type": "exclude",
                "domain": "*",
                "path": format!("{}/device", application.prefix()),
            }],
        },
        "credentials": [{
            "type": "cookie",
            "name": application.device_cookie_name(session),
            "attributes": application.device_cookie_attributes(),
        }],
        // A page load that another site's link causes renews too. Other requests from there come
        // without the cookie whatever happens, since it is `SameSite=Lax`.
        "allowed_refresh_initiators": ["*"],
    }))
}

/// Returns the `Set-Cookie` lines that remove what the browser watches for the sessions before: a
/// session begins or ends.
pub(super) fn remove_cookies(
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Vec<String> {
    let names = request.cookies().map(|(name, _)| name);
    application.remove_device_cookies(names)
}

/// Counts what a browser says about a bound session that it did not renew before this request.
pub(super) fn note_skip(request: &ForwardedRequest<'_>) {
    if let Some(skipped) = request.header_text("secure-session-skipped") {
        Skip::all_in(skipped).for_each(metrics::device_skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_its_time_by_the_clock_of_every_replica() {
        for (age, is_shared, expected) in [
            (0, false, true),
            (14, false, true),
            (15, false, false),
            (15, true, true),
            (44, true, true),
            (45, true, false),
        ] {
            assert_eq!(
                may_be_binding(age, is_shared),
                expected,
                "{age} {is_shared}"
            );
        }
    }
}
