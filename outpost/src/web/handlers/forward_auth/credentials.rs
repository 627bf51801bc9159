//! Decides on a request without a session whose client has credentials.

use gatepost_policy::{Decision, Unauthenticated};
use gatepost_session::CLOCK_SKEW_SECONDS;

use crate::application::Application;
use crate::machine_clients::{self, CheckError, Credentials};
use crate::web::context::Context;
use crate::web::dialect::Dialect;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Refused};
use crate::web::pass::Pass;
use crate::web::request::ForwardedRequest;

/// Decides on the credentials of a request that the policy leaves to them.
pub(super) async fn decide(
    context: Context<'_>,
    dialect: Dialect,
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Outcome {
    let allowed = application.policy.machine_clients.scheme_of(request);
    let (Some(clients), Some(scheme)) = (context.snapshot.machine_clients(application), allowed)
    else {
        return Outcome::Failed(Failure::Undecidable);
    };
    let refused = |retry_after| {
        Outcome::Refused(Refused {
            application: application.audience.to_string(),
            scheme,
            retry_after,
        })
    };
    // Two lines are of two senders, so neither counts.
    let sent = request.header_text("authorization");
    let Some(credentials) = sent.and_then(Credentials::parse) else {
        return refused(None);
    };
    let check = machine_clients::Context {
        failed_attempts: &context.outpost.failed_attempts,
        revocations: context.sessions().revoker().revocations(),
        clock: &context.outpost.clock,
        application,
        times: context.times(),
        client: request.client(),
    };
    // One moment for both: what holds until the next second may be over a moment later.
    let now = context.now();
    let machine = match clients.check(check, credentials).await {
        Ok(machine) => machine,
        Err(error) => {
            return match &*error {
                CheckError::Refused(_) => refused(None),
                CheckError::TooMany(too_many) => refused(Some(too_many.retry_after)),
                CheckError::NotAnswered(_) | CheckError::Busy => {
                    Outcome::Failed(Failure::Credentials(error))
                }
            };
        }
    };
    let Ok(session) = machine.session(application, now) else {
        return refused(None);
    };
    let current = session
        .current(now, CLOCK_SKEW_SECONDS)
        .map_err(Unauthenticated::Window);
    match application
        .policy
        .decide_with_extra_rule(request, current, request.extra_rule())
    {
        Decision::Allow(permit) | Decision::Renew(permit) => {
            let pass = Pass::new(&permit, application, request, dialect);
            let pass = if clients.settings().forward {
                pass
            } else {
                pass.without_credentials(dialect)
            };
            let pass = match &application.capabilities.token_headers {
                Some(own) => {
                    pass.with_headers(own.from_token(&machine.token, &machine.holder.claims))
                }
                None => pass,
            };
            Outcome::Pass(pass)
        }
        Decision::Deny(denial) => Outcome::denied(application, denial.identity()),
        Decision::SignIn(_) => refused(None),
        Decision::MethodNotAllowed => Outcome::Failed(Failure::MethodNotAllowed),
        Decision::Defer(_) => Outcome::Failed(Failure::Undecidable),
    }
}
