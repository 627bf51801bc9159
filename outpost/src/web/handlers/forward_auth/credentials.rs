//! Decides on a request without a session whose client has credentials.

use gatepost_policy::{Decision, Presentation, Unauthenticated};
use gatepost_session::CLOCK_SKEW_SECONDS;

use super::rules::Rules;
use crate::application::{Application, InvalidCredentials};
use crate::dialect::Dialect;
use crate::machine_clients::{self, CheckError, Credentials};
use crate::origin::HostPort;
use crate::web::challenges;
use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Refused};
use crate::web::pass::Pass;
use crate::web::request::ForwardedRequest;

/// Decides on the credentials of a request that the policy leaves to them.
///
/// # Errors
///
/// [`Invalid`] where they identify no client.
pub(super) async fn decide(
    context: Context<'_>,
    dialect: Dialect,
    rules: Rules<'_>,
    request: &ForwardedRequest<'_>,
) -> Result<Outcome, Invalid> {
    let application = rules.application;
    let allowed = rules.policy.machine_clients.scheme_of(request);
    let (Some(clients), Some(scheme)) = (context.snapshot.machine_clients(application), allowed)
    else {
        return Ok(Outcome::Failed(Failure::Undecidable));
    };
    let refused = |retry_after| Invalid {
        treatment: clients.settings().invalid_credentials,
        outcome: Outcome::Refused(Refused {
            challenge: challenges::for_invalid(application, request, scheme),
            retry_after,
        }),
    };
    // Two lines are of two senders, so neither counts.
    let sent = request.header_text("authorization");
    let Some(credentials) = sent.and_then(Credentials::parse) else {
        return Err(refused(None));
    };
    let check = machine_clients::Context {
        failed_attempts: &context.outpost.failed_attempts,
        revocations: context.sessions().revoker().revocations(),
        clock: &context.outpost.clock,
        application,
        times: context.times(),
        client: request.client(),
    };
    // One moment for both: a token may expire between them.
    let now = context.now();
    let machine = match clients.check(check, credentials).await {
        Ok(machine) => machine,
        Err(error) => {
            return Err(match &*error {
                CheckError::Refused(_) => refused(None),
                CheckError::TooMany(too_many) => refused(Some(too_many.retry_after)),
                CheckError::NotAnswered(_) | CheckError::Busy => Invalid {
                    treatment: clients.settings().invalid_credentials,
                    outcome: Outcome::Failed(Failure::Credentials(error)),
                },
            });
        }
    };
    let Ok(session) = machine.session(application, now) else {
        return Err(refused(None));
    };
    let current = session
        .current(now, CLOCK_SKEW_SECONDS)
        .map_err(Unauthenticated::Window);
    let extra_rule = request.extra_rule();
    match rules
        .policy
        .decide_with_extra_rule(request, current, extra_rule)
    {
        Decision::Allow(permit) | Decision::Renew(permit) => {
            let pass = Pass::new(&permit, application, request, dialect);
            let pass = if clients.settings().forward {
                pass
            } else {
                pass.without_credentials(dialect)
            };
            let token_headers = application.capabilities().token_headers.as_ref();
            let pass = match token_headers.filter(|_| permit.identity().is_some()) {
                Some(own) => {
                    pass.with_headers(own.of_token(&machine.token, &machine.holder.claims))
                }
                None => pass,
            };
            Ok(Outcome::Pass(pass))
        }
        Decision::Deny(denial) => Ok(Outcome::denied(application, denial.identity())),
        Decision::SignIn(_) => Err(refused(None)),
        Decision::MethodNotAllowed => Ok(Outcome::Failed(Failure::MethodNotAllowed)),
        Decision::Defer(_) => Ok(Outcome::Failed(Failure::Undecidable)),
    }
}

/// Credentials that identify no client, or that could not be checked.
pub(super) struct Invalid {
    treatment: InvalidCredentials,
    /// The refusal, where the credentials were meant for the outpost.
    outcome: Outcome,
}

impl Invalid {
    /// Returns the outcome for a request that needs a session.
    pub(super) fn outcome(
        self,
        application: &Application,
        host: &HostPort,
        request: &ForwardedRequest<'_>,
    ) -> Outcome {
        let is_page_load = request.presentation() == Presentation::PageLoad;
        let ignored = match self.treatment {
            InvalidCredentials::Refuse => false,
            InvalidCredentials::SignInOnPageLoad => is_page_load,
            InvalidCredentials::Ignore => true,
        };
        if ignored {
            Outcome::sign_in(application, host, request)
        } else {
            self.outcome
        }
    }
}
