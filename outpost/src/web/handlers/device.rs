//! `device/register` and `device/refresh`: a browser binds its session to its device, and renews it
//! with a proof.
//!
//! No cookie decides here. A registration is allowed to the browser that got the challenge with the
//! answer to its sign-in, a renewal to the one that has the key.

use std::sync::Arc;

use gatepost_session::SessionId;

use crate::application::Application;
use crate::device_bound::{Challenge, Occasion, Proof, unquoted};
use crate::sessions::{IssueError, Issued, Revalidation};
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
    match registered(context, application, request).await {
        Ok(reply) => reply,
        Err(failure) => refused(application, failure),
    }
}

async fn registered(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Result<Reply, Failure> {
    is_of_this_site(request)?;
    let proof = request
        .header_text(RESPONSE)
        .ok_or(DeviceFailure::NoProof)?;
    let proof = Proof::parse(proof).map_err(DeviceFailure::Proof)?;
    // First what costs little: only who has a challenge of this outpost has a signature verified.
    let challenge = Challenge::open(
        &context.snapshot.flow_keys,
        application.audience().as_str(),
        Occasion::Registration,
        proof.challenge(),
        context.now(),
    )
    .map_err(|_| DeviceFailure::Challenge)?;
    let key = proof.registered_key().map_err(DeviceFailure::Proof)?;
    if has_another_session(context, application, request, &challenge.session) {
        return Err(DeviceFailure::OtherSession.into());
    }
    let record = find(context, application, &challenge.session).await?;
    let record = record.ok_or(DeviceFailure::Ended)?;
    if !context.sessions().use_up(&challenge).await? {
        return Err(DeviceFailure::Challenge.into());
    }
    let device = Device {
        key: key.clone(),
        bound: false,
    };
    let written = context.sessions().write_device(&record, &device).await?;
    // The device that came first stays.
    written.ok_or(DeviceFailure::OtherDevice)?;
    application.counts().device(DeviceEvent::Registered);
    let instructions = device::instructions(application, &record.id);
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
    match refreshed(context, application, request).await {
        Ok(reply) => reply,
        Err(failure) => refused(application, failure),
    }
}

async fn refreshed(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Result<Reply, Failure> {
    is_of_this_site(request)?;
    // No script can send this header.
    let id = request
        .header_text(SESSION_ID)
        .and_then(|id| SessionId::parse(unquoted(id)))
        .ok_or(DeviceFailure::NoSession)?;
    let ended = || Ok(Outcome::Device(DeviceAnswer::Ended(id.clone())).into());
    let Some(record) = find(context, application, &id).await? else {
        return ended();
    };
    // A browser that has signed in again has another session, and this one must not come back.
    let (Some(registered), false) = (
        &record.device,
        has_another_session(context, application, request, &id),
    ) else {
        return ended();
    };
    let Some(proof) = request.header_text(RESPONSE) else {
        return challenged(context, application, &id);
    };
    let proof = Proof::parse(proof).map_err(DeviceFailure::Proof)?;
    let challenge = Challenge::open(
        &context.snapshot.flow_keys,
        application.audience().as_str(),
        Occasion::Refresh,
        proof.challenge(),
        context.now(),
    );
    // Expired, or of a key that was retired meanwhile.
    let Ok(challenge) = challenge else {
        return challenged(context, application, &id);
    };
    if challenge.session != id {
        return Err(DeviceFailure::Challenge.into());
    }
    proof
        .verify_renewal(&registered.key)
        .map_err(DeviceFailure::Proof)?;
    if !context.sessions().use_up(&challenge).await? {
        return challenged(context, application, &id);
    }
    let record = match bound(context, application, &record, registered).await? {
        Some(record) => record,
        None => return ended(),
    };
    renew(context, application, request, record).await
}

/// Renews a session whose browser has given its proof, as every renewal: the provider is asked once
/// for all replicas, and says who the user is now.
async fn renew(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    record: Arc<SessionRecord>,
) -> Result<Reply, Failure> {
    let (sessions, times) = (context.sessions(), context.times());
    let id = record.id.clone();
    let ended = || Outcome::Device(DeviceAnswer::Ended(id.clone()));
    let revalidated = sessions.revalidate(times, application, Arc::clone(&record), false);
    let record = match revalidated.await? {
        Revalidation::Valid(record) => record,
        // The next page load asks: see the claims of its cookie.
        Revalidation::NeedsBrowser => record,
        Revalidation::Ended => return Ok(ended().into()),
        // A page load has the browser ask; until then nothing extends the session.
        Revalidation::Refused | Revalidation::Pending => {
            return Err(DeviceFailure::Pending.into());
        }
    };
    let candidates = request.session_candidates(&application.cookie().name);
    let renewed = sessions
        .renew(times, application, &record, &candidates)
        .await;
    application.counts().renewed(Success::from(&renewed));
    match renewed {
        Ok(Issued::Cookie(issued)) => {
            application.counts().device(DeviceEvent::Renewed);
            let instructions = device::instructions(application, &id);
            let instructions = instructions.ok_or(DeviceFailure::Ended)?;
            let answer = DeviceAnswer::Instructions(instructions);
            Ok(Outcome::Device(answer).with_cookies(issued.cookies))
        }
        Ok(Issued::Refused(claims)) => {
            audit::denied(application.audience().as_str(), &claims);
            Ok(ended().with_cookies(application.cookie().remove()))
        }
        Err(IssueError::Revoked) => Ok(ended().into()),
        Err(error) => Err(Failure::Issue(error)),
    }
}

/// Binds a session at the first proof. `None` when it has ended meanwhile.
async fn bound(
    context: Context<'_>,
    application: &Application,
    record: &Arc<SessionRecord>,
    registered: &Device,
) -> Result<Option<Arc<SessionRecord>>, Failure> {
    if registered.bound {
        return Ok(Some(Arc::clone(record)));
    }
    let device = Device {
        bound: true,
        ..registered.clone()
    };
    let bound = context.sessions().write_device(record, &device).await?;
    if bound.is_some() {
        application.counts().device(DeviceEvent::Bound);
        audit::bound(
            application.audience().as_str(),
            &record.identity,
            &record.id,
        );
    }
    Ok(bound)
}

/// Has the browser sign a new challenge.
fn challenged(
    context: Context<'_>,
    application: &Application,
    id: &SessionId,
) -> Result<Reply, Failure> {
    let challenge = device::challenge(context, application, Occasion::Refresh, id);
    let challenge = challenge.ok_or(DeviceFailure::Pending)?;
    Ok(Outcome::Device(DeviceAnswer::Challenge(challenge)).into())
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

/// Returns whether the browser's cookie, if it sent one, is that of another session.
fn has_another_session(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    id: &SessionId,
) -> bool {
    let candidates = request.session_candidates(&application.cookie().name);
    let cookie = context.sessions().authenticate(application, &candidates);
    cookie.is_ok_and(|cookie| cookie.session_id() != id)
}

/// Checks that no other site's page sent the request. Browsers say that these requests come from the
/// site itself, whatever page caused them.
fn is_of_this_site(request: &ForwardedRequest<'_>) -> Result<(), Failure> {
    match request.header_text("sec-fetch-site") {
        Some("cross-site") => Err(DeviceFailure::CrossSite.into()),
        _ => Ok(()),
    }
}

/// Counts and logs what proves nothing.
fn refused(application: &Application, failure: Failure) -> Reply {
    if let Failure::Device(reason) = &failure
        && *reason != DeviceFailure::Pending
    {
        application.counts().device(DeviceEvent::Refused);
        audit::device_refused(application.audience().as_str(), reason);
    }
    failure.into()
}
