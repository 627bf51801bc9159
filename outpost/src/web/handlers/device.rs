//! `device/register` and `device/refresh`: a browser binds its session to its device, and renews it
//! with a proof. For sessions of a whole site, it asks before which origins may have it bind them.
//!
//! A registration is allowed to whichever browser has the challenge of the answer to the sign-in, a
//! renewal to the one that has the key; and the first one to a browser that has the session's cookie
//! too, so that no session of another's is brought to it.

use std::sync::Arc;

use gatepost_session::SessionId;
use serde_json::json;

use crate::application::Application;
use crate::device_bound::{LEAST_SECONDS, Occasion, Proof, SessionName, unquoted};
use crate::origin::Mode;
use crate::sessions::{IssueError, Issued, Patience, Revalidation, Voucher};
use crate::telemetry::audit;
use crate::telemetry::metrics::{DeviceEvent, Success};
use crate::web::context::Context;
use crate::web::device::{self, DeviceAnswer};
use crate::web::failure::{DeviceFailure, Failure};
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;
use gatepost_base::Device;
use gatepost_store::SessionRecord;

const RESPONSE: &str = "secure-session-response";
const SESSION_ID: &str = "sec-secure-session-id";

/// Answers a browser that registers a key for the session of its sign-in.
pub(in crate::web) async fn register(
    context: Context<'_>,
    application: &Arc<Application>,
    request: &ForwardedRequest<'_>,
) -> Reply {
    let reply = registered(context, application, request).await;
    reply.unwrap_or_else(|failure| refused(application, failure))
}

async fn registered(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Result<Reply, Failure> {
    check_same_site(request)?;
    let proof = request
        .header_text(RESPONSE)
        .ok_or(DeviceFailure::NoProof)?;
    let proof = Proof::parse(proof).map_err(DeviceFailure::Proof)?;
    // First what costs little: only who has a challenge of this outpost has a signature verified.
    let challenge = device::open(context, application, Occasion::Registration, &proof)
        .map_err(|_| DeviceFailure::Challenge)?;
    let key = proof.registered_key().map_err(DeviceFailure::Proof)?;
    if is_replaced(context, application, request, &challenge.session).await? {
        return Err(DeviceFailure::OtherSession.into());
    }
    let record = find(context, application, &challenge.session).await?;
    let record = record.ok_or(DeviceFailure::Ended)?;
    let device = Device {
        key: key.clone(),
        bound: false,
    };
    // The device that came first stays.
    let store = &context.outpost.store;
    if !store.write_device(&record.id, &device).await? {
        return Err(DeviceFailure::OtherDevice.into());
    }
    if !context.sessions().use_up(&challenge).await? {
        return Err(DeviceFailure::Challenge.into());
    }
    application.counts().device(DeviceEvent::Registered);
    let name = device::name(context, application, &record.id).ok_or(DeviceFailure::Pending)?;
    let instructions = device::instructions(application, &record.id, &name);
    let instructions = instructions.ok_or(DeviceFailure::Ended)?;
    // Without the cookie that these name, so that the browser renews before its next request. Only
    // when that has worked is the session bound.
    Ok(Outcome::Device(DeviceAnswer::Instructions(instructions)).into())
}

/// Answers a browser that renews its session with a proof.
pub(in crate::web) async fn refresh(
    context: Context<'_>,
    application: &Arc<Application>,
    request: &ForwardedRequest<'_>,
) -> Reply {
    let reply = refreshed(context, application, request).await;
    reply.unwrap_or_else(|failure| refused(application, failure))
}

async fn refreshed(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Result<Reply, Failure> {
    check_same_site(request)?;
    // No script can send this header.
    let name = request
        .header_text(SESSION_ID)
        .and_then(|name| SessionName::parse(unquoted(name)))
        .ok_or(DeviceFailure::NoSession)?;
    let ended = || Ok(Outcome::Device(DeviceAnswer::Ended(name.clone())).into());
    let Some(record) = named(context, application, request, &name).await? else {
        return ended();
    };
    let id = &record.id;
    // A browser that has signed in again has another session, and this one must not come back.
    let (Some(registered), false) = (
        &record.device,
        is_replaced(context, application, request, id).await?,
    ) else {
        return ended();
    };
    // Any host of the site can have a browser register for a session that is not its own, and then
    // renew it. What no other host can set is the session's cookie, so the browser that signed in
    // has it, if not with a request that another site's link has caused.
    if !registered.bound && !has_cookie_of(application, request, id) {
        return Err(DeviceFailure::Pending.into());
    }
    let browser = Registered {
        name: &name,
        device: registered,
    };
    proven(context, application, request, &record, browser)
        .await
        .inspect_err(|failure| {
            if let Failure::Device(reason) = failure
                && *reason != DeviceFailure::Pending
            {
                let name = application.audience().as_str();
                audit::device_refused(name, &record.identity, &record.id, reason);
            }
        })
}

/// A session as its browser knows it.
#[derive(Clone, Copy)]
struct Registered<'r> {
    name: &'r SessionName,
    device: &'r Device,
}

/// Finds the session that a browser calls so. Where the name was made with a key that was retired
/// since, the session of the browser's cookie is tried, which a renewal has signed with another key:
/// whether it is the browser's, the proof says.
async fn named(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    name: &SessionName,
) -> Result<Option<Arc<SessionRecord>>, Failure> {
    let keys = &context.snapshot.flow_keys;
    if let Some(id) = name.open(keys, application.audience().as_str()) {
        return find(context, application, &id).await;
    }
    let has_device = |record: &SessionRecord| record.device.is_some();
    find_by_cookie(context, application, request, has_device).await
}

/// Renews a session if the request has its proof, and has the browser sign a challenge otherwise.
async fn proven(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    record: &Arc<SessionRecord>,
    browser: Registered<'_>,
) -> Result<Reply, Failure> {
    let id = &record.id;
    let again = || challenged(context, application, id, browser.name);
    let Some(proof) = request.header_text(RESPONSE) else {
        return again();
    };
    let proof = Proof::parse(proof).map_err(DeviceFailure::Proof)?;
    // Expired, or of a key that was retired meanwhile.
    let Ok(challenge) = device::open(context, application, Occasion::Refresh, &proof) else {
        return again();
    };
    if challenge.session != *id {
        return Err(DeviceFailure::Challenge.into());
    }
    proof
        .verify_renewal(&browser.device.key)
        .map_err(DeviceFailure::Proof)?;
    if !context.sessions().use_up(&challenge).await? {
        return again();
    }
    renew(context, application, request, record, browser).await
}

/// Renews a session whose browser has given its proof, as every renewal: the provider is asked once
/// for all replicas, and says who the user is now.
async fn renew(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    record: &Arc<SessionRecord>,
    browser: Registered<'_>,
) -> Result<Reply, Failure> {
    let (sessions, times) = (context.sessions(), context.times());
    let id = &record.id;
    let ended = || Outcome::Device(DeviceAnswer::Ended(browser.name.clone()));
    let goes_on = |cookies| {
        let instructions = device::instructions(application, id, browser.name);
        let instructions = instructions.ok_or(DeviceFailure::Ended)?;
        let answer = Outcome::Device(DeviceAnswer::Instructions(instructions));
        Ok(answer.with_cookies(cookies))
    };
    let candidates = request.session_candidates(&application.cookie().name);
    let revalidator = sessions.revalidator();
    let revalidated =
        revalidator.revalidate(times, application, Arc::clone(record), Patience::Long);
    let valid = match revalidated.await? {
        Revalidation::Valid(record) => record,
        // The next page load asks: see the claims of its cookie.
        Revalidation::NeedsBrowser => Arc::clone(record),
        Revalidation::Ended => return Ok(ended().into()),
        // A page load has the browser ask; until then nothing extends the session. The browser is
        // not to try again before each request, for which it would use up its signatures.
        Revalidation::Refused => {
            let cookie = sessions.authenticate(application, &candidates).ok();
            let postponed = cookie.and_then(|cookie| {
                sessions.postpone_renewal(times, application, &cookie, &candidates)
            });
            let mut cookies = postponed.ok_or(DeviceFailure::Pending)?;
            cookies.push(application.device_cookie(id, LEAST_SECONDS));
            return goes_on(cookies);
        }
        Revalidation::Pending => return Err(DeviceFailure::Pending.into()),
    };
    // Only now, when nothing of the provider's can fail any more.
    if !bound(context, application, &valid, browser.device).await? {
        return Ok(ended().into());
    }
    let renewed = sessions
        .renew(times, application, &valid, &candidates, Voucher::Proof)
        .await;
    application.counts().renewed(Success::from(&renewed));
    match renewed {
        Ok(Issued::Cookie(issued)) => {
            application.counts().device(DeviceEvent::Renewed);
            goes_on(issued.cookies)
        }
        Ok(Issued::Refused(claims)) => {
            audit::denied(application.audience().as_str(), &claims, None);
            let removed = device::remove_cookies(application, request);
            Ok(ended()
                .with_cookies(application.cookie().remove())
                .and_cookies(removed))
        }
        Err(IssueError::Revoked) => Ok(ended().into()),
        Err(error) => Err(Failure::Issue(error)),
    }
}

/// Answers a browser that asks, at the host of a whole site, which origins may bind sessions of the
/// site to devices: that of the outpost, where it has an application for the whole site.
pub(in crate::web) fn origins(context: Context<'_>, request: &ForwardedRequest<'_>) -> Reply {
    let application = match request.application(&context.snapshot.applications) {
        Ok(application) => application,
        Err(failure) => return failure.into(),
    };
    let is_here = match application.mode() {
        Mode::Single => false,
        Mode::Domain(domain) => request
            .host()
            .is_some_and(|host| host.host() == domain.as_str()),
    };
    let scope = application.device_scope();
    if !is_here || !scope.is_some_and(|scope| scope.whole_site) {
        return Failure::NotFound.into();
    }
    Outcome::Device(DeviceAnswer::Instructions(json!({
        "registering_origins": [application.external().origin()],
    })))
    .into()
}

/// Binds a session at the first proof. Returns false when it has ended meanwhile.
async fn bound(
    context: Context<'_>,
    application: &Application,
    record: &SessionRecord,
    registered: &Device,
) -> Result<bool, Failure> {
    if registered.bound {
        return Ok(true);
    }
    let device = Device {
        bound: true,
        ..registered.clone()
    };
    let store = &context.outpost.store;
    let is_bound = store.write_device(&record.id, &device).await?;
    if is_bound {
        application.counts().device(DeviceEvent::Bound);
        audit::bound(
            application.audience().as_str(),
            &record.identity,
            &record.id,
        );
    }
    Ok(is_bound)
}

/// Has the browser sign a new challenge.
fn challenged(
    context: Context<'_>,
    application: &Application,
    id: &SessionId,
    name: &SessionName,
) -> Result<Reply, Failure> {
    let challenge = device::challenge(context, application, Occasion::Refresh, id);
    let challenge = challenge.ok_or(DeviceFailure::Pending)?;
    Ok(Outcome::Device(DeviceAnswer::Challenge(challenge, name.clone())).into())
}

async fn find(
    context: Context<'_>,
    application: &Application,
    id: &SessionId,
) -> Result<Option<Arc<SessionRecord>>, Failure> {
    let found = context
        .sessions()
        .find_by_id(context.times(), application, id);
    found.await.map_err(Failure::Store)
}

/// Returns whether the browser has another session by now: it sent no cookie of this one, and that of
/// a session that has not ended. In domain mode another host may have put a cookie in front of the
/// user's, which decides nothing here.
async fn is_replaced(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    id: &SessionId,
) -> Result<bool, Failure> {
    if has_cookie_of(application, request, id) {
        return Ok(false);
    }
    let other = find_by_cookie(context, application, request, |_| true).await?;
    Ok(other.is_some())
}

/// Finds the first session of the browser's cookies that `is_wanted` accepts.
async fn find_by_cookie(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    is_wanted: fn(&SessionRecord) -> bool,
) -> Result<Option<Arc<SessionRecord>>, Failure> {
    let candidates = request.session_candidates(&application.cookie().name);
    for cookie in application.authentic(&candidates) {
        let found = context
            .sessions()
            .find(context.times(), application, &cookie);
        let found = found.await?.filter(|record| is_wanted(record));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Returns whether the browser sent a cookie of this session, whether or not its window is open.
fn has_cookie_of(
    application: &Application,
    request: &ForwardedRequest<'_>,
    id: &SessionId,
) -> bool {
    let candidates = request.session_candidates(&application.cookie().name);
    let mut own = application.authentic(&candidates);
    own.any(|cookie| cookie.session_id() == id)
}

/// Checks that no other site's page sent the request. Browsers say that these requests come from the
/// site itself, whatever page caused them.
fn check_same_site(request: &ForwardedRequest<'_>) -> Result<(), Failure> {
    match request.header_text("sec-fetch-site") {
        Some("cross-site") => Err(DeviceFailure::CrossSite.into()),
        _ => Ok(()),
    }
}

/// Counts what proves nothing.
fn refused(application: &Application, failure: Failure) -> Reply {
    if let Failure::Device(reason) = &failure
        && *reason != DeviceFailure::Pending
    {
        application.counts().device(DeviceEvent::Refused);
    }
    failure.into()
}
