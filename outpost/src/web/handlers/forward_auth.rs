//! `auth/*`: decides whether a request that a proxy asks about may pass.

use gatepost_policy::{
    Decision, Deferral, Denial, Permit, Presentation, Unauthenticated, until_bound,
};
use gatepost_session::{CLOCK_SKEW_SECONDS, Current};

use crate::application::Application;
use crate::compat::Conventions;
use crate::dialect::Dialect;
use crate::origin::HostPort;
use crate::sessions::{OfCookie, Renewal, SessionLookup};
use crate::telemetry::audit;
use crate::web::context::Context;
use crate::web::device;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Reply};
use crate::web::pass::Pass;
use crate::web::request::ForwardedRequest;
use gatepost_store::SessionRecord;
use rules::Rules;

mod bound;
mod credentials;
mod rules;

/// Decides whether a request to an application at `host` may pass.
pub(in crate::web) async fn answer(
    context: Context<'_>,
    dialect: Dialect,
    application: &Application,
    host: &HostPort,
    request: &ForwardedRequest<'_>,
) -> Reply {
    let skipped = application.policy_of_skip_path(host, request);
    let rules = Rules {
        application,
        policy: skipped.unwrap_or(application.policy()),
        needs_session: skipped.is_none(),
    };
    let candidates = request.session_candidates(&application.cookie().name);
    // What everyone may see is often public to shared caches too, which may store a response with
    // its `Set-Cookie` (RFC 9111 §7.3).
    let renewal = || {
        if rules.policy.needs_no_session(request, request.demand()) {
            Renewal::Never
        } else if request.presentation() == Presentation::PageLoad {
            Renewal::PageLoad
        } else {
            Renewal::Request
        }
    };
    device::note_skip(request);
    let sessions = context.sessions();
    let lookup = sessions.look_up(context.times(), application, &candidates, renewal);
    let lookup = lookup.await;
    let lookup = sessions
        .with_lasting_tokens(context.times(), application, lookup)
        .await;
    let reply = decide(context, dialect, rules, host, request, lookup).await;
    if let Some(verdict) = reply.outcome.verdict() {
        application.counts().decided(verdict);
    }
    reply
}

/// Decides on a request with the session that it has.
async fn decide(
    context: Context<'_>,
    dialect: Dialect,
    rules: Rules<'_>,
    host: &HostPort,
    request: &ForwardedRequest<'_>,
    lookup: SessionLookup,
) -> Reply {
    let application = rules.application;
    let decided = decide_on_cookie(context, dialect, rules, request, &lookup);
    let session = lookup.session(context.now());
    let cookie = session.map(|session| OfCookie::of(session.claims())).ok();
    let by_credentials = rules.may_identify(request, &lookup);
    let (record, cookies, cause) = lookup.into_parts();
    let outcome = match (decided, record, cause) {
        (Ok(outcome), ..) if by_credentials => {
            let decided = credentials::decide(context, dialect, rules, request);
            Box::pin(decided).await.unwrap_or(outcome)
        }
        (Ok(outcome), ..) => outcome,
        (Err(Undecided::Credentials), ..) => {
            let decided = credentials::decide(context, dialect, rules, request);
            let decided = Box::pin(decided).await;
            decided.unwrap_or_else(|invalid| invalid.outcome(application, host, request))
        }
        (Err(Undecided::MoreGroups), Some(record), _) => {
            match decide_on_all_groups(context, dialect, rules, request, &record, cookie) {
                Ok(outcome) => outcome,
                Err(LacksDevice) => return until_device(application, host, request).into(),
            }
        }
        // Without the cookies of a renewal: a copy of the cookie would be worth more for being
        // refused.
        (Err(Undecided::LacksDevice), ..) => {
            return until_device(application, host, request).into();
        }
        // Signing in would not help while the store is unreachable.
        (Err(_), _, Some(cause)) => Outcome::Failed(Failure::Issue(cause)),
        (Err(Undecided::MoreGroups), None, None) => Outcome::Failed(Failure::Undecidable),
        (Err(Undecided::NotSignedIn(reason)), _, None) => {
            tracing::debug!(application = %application.audience(), %reason, "not signed in");
            Outcome::sign_in(application, host, request)
        }
    };
    outcome.with_cookies(cookies)
}

/// Decides as far as the session's cookie allows.
fn decide_on_cookie(
    context: Context<'_>,
    dialect: Dialect,
    rules: Rules<'_>,
    request: &ForwardedRequest<'_>,
    lookup: &SessionLookup,
) -> Result<Outcome, Undecided> {
    let application = rules.application;
    let session = lookup.session(context.now());
    let demand = request.demand_of(session);
    let decision = rules
        .policy
        .decide_with(request, session, demand.as_deref());
    Ok(match decision {
        Decision::Allow(permit) | Decision::Renew(permit) => {
            let record = lookup.record().map(|record| &**record);
            // While the store is away, the application learns of the groups in the cookie alone.
            if record.is_some() && tells_of_every_group(application, &permit) {
                return Err(Undecided::MoreGroups);
            }
            Outcome::Pass(pass(
                context,
                &permit,
                application,
                request,
                dialect,
                record,
            ))
        }
        Decision::Deny(denial) => refused(rules, request, session, &denial)?,
        Decision::MethodNotAllowed => Outcome::Failed(Failure::MethodNotAllowed),
        Decision::SignIn(reason) => return Err(Undecided::NotSignedIn(reason)),
        Decision::Defer(Deferral::Authorization) => return Err(Undecided::Credentials),
        Decision::Defer(Deferral::MoreGroups) => return Err(Undecided::MoreGroups),
    })
}

/// Decides on the groups that the cookie had no room for.
fn decide_on_all_groups(
    context: Context<'_>,
    dialect: Dialect,
    rules: Rules<'_>,
    request: &ForwardedRequest<'_>,
    record: &SessionRecord,
    cookie: Option<OfCookie>,
) -> Result<Outcome, LacksDevice> {
    // Only a session within its window can be undecided for missing groups, and it has a cookie.
    let Some(cookie) = cookie else {
        return Ok(Outcome::Failed(Failure::Undecidable));
    };
    let application = rules.application;
    let (sessions, times) = (context.sessions(), context.times());
    let whole = match application.conventions() {
        Conventions::Authentik => sessions.with_every_group(times, application, record, cookie),
        Conventions::Gatepost => {
            sessions.with_all_groups(times, application, record, request.demand(), cookie)
        }
    };
    let Ok(whole) = whole else {
        return Ok(Outcome::Failed(Failure::Undecidable));
    };
    let session = whole
        .current(context.now(), CLOCK_SKEW_SECONDS)
        .map_err(Unauthenticated::Window);
    let demand = request.demand_of(session);
    let decision = rules
        .policy
        .decide_with(request, session, demand.as_deref());
    Ok(match decision {
        Decision::Allow(permit) | Decision::Renew(permit) => Outcome::Pass(pass(
            context,
            &permit,
            application,
            request,
            dialect,
            Some(record),
        )),
        Decision::Deny(denial) => refused(rules, request, session, &denial)?,
        Decision::MethodNotAllowed => Outcome::Failed(Failure::MethodNotAllowed),
        Decision::SignIn(_) | Decision::Defer(_) => Outcome::Failed(Failure::Undecidable),
    })
}

/// Refuses a signed-in user, and logs it.
fn refused(
    rules: Rules<'_>,
    request: &ForwardedRequest<'_>,
    session: Result<Current<'_>, Unauthenticated>,
    denial: &Denial<'_>,
) -> Result<Outcome, LacksDevice> {
    let application = rules.application;
    if let (Some(step_up), Some(user)) = (denial.step_up(), denial.identity()) {
        audit::step_up(application.audience().as_str(), user, denial.rule());
        let own = rules.policy.decide(request, session);
        let own = match &own {
            Decision::Deny(own) => own.step_up(),
            _ => None,
        };
        return Ok(Outcome::step_up(
            application,
            request,
            step_up,
            own,
            &user.sid,
        ));
    }
    if !denial.lacks_device() {
        return Ok(Outcome::denied(application, denial));
    }
    // A page load is not refused yet.
    if let Some(user) = denial.identity()
        && request.presentation() != Presentation::PageLoad
    {
        audit::device_missing(application.audience().as_str(), user);
    }
    Err(LacksDevice)
}

/// Answers a user whose session only lacks a device. A page load waits for that at `start`.
fn until_device(
    application: &Application,
    host: &HostPort,
    request: &ForwardedRequest<'_>,
) -> Outcome {
    match request.presentation() {
        Presentation::PageLoad => Outcome::SignIn {
            url: until_bound(application.start_url(host, request)),
            challenges: Vec::new(),
            is_step_up: false,
        },
        Presentation::Form => Outcome::Failed(Failure::FormNotBound),
        Presentation::Data => Outcome::Failed(Failure::NotBound),
    }
}

/// Returns whether the application learns of every group of the user, also of those that the cookie had
/// no room for: `X-authentik-groups` has them all.
fn tells_of_every_group(application: &Application, permit: &Permit<'_>) -> bool {
    application.conventions() == Conventions::Authentik
        && permit.identity().is_some_and(|claims| claims.grp_more)
}

/// Why a session's cookie does not decide a request.
enum Undecided {
    /// There is no session.
    NotSignedIn(Unauthenticated),
    /// The credentials in `Authorization` decide.
    Credentials,
    /// The cookie had no room for all groups.
    MoreGroups,
    /// The session is not bound to a device, which a rule asks for.
    LacksDevice,
}

/// The refusal of a user whose session only lacks a device.
struct LacksDevice;

impl From<LacksDevice> for Undecided {
    fn from(LacksDevice: LacksDevice) -> Self {
        Self::LacksDevice
    }
}

/// Returns the permission for a request with a session, with the headers that come from its record.
fn pass(
    context: Context<'_>,
    permit: &Permit<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    dialect: Dialect,
    record: Option<&SessionRecord>,
) -> Pass {
    let pass = Pass::new(permit, application, request, dialect);
    match (&application.capabilities().token_headers, record) {
        (Some(own), Some(record)) if permit.identity().is_some() => {
            pass.with_headers(own.of_session(record, context.now()))
        }
        _ => pass,
    }
}
