//! A request without a session whose sender has credentials.

use gatepost_policy::{Decision, Unauthenticated};
use gatepost_session::CLOCK_SKEW_SECONDS;

use super::endpoint::Dialect;
use super::outcome::{Outcome, Pass, Refused};
use super::visit::Visit;
use super::{Failure, Site};
use crate::application::Application;
use crate::machine_clients::{CheckError, Context, Credentials};

impl Site<'_> {
    /// Decides on the credentials of a request that the policy leaves to them.
    pub(super) async fn decide_on_credentials(
        self,
        dialect: Dialect,
        application: &Application,
        visit: &Visit<'_>,
    ) -> Outcome {
        let allowed = application.policy.machine_clients.scheme_of(visit);
        let (Some(clients), Some(scheme)) = (self.deployment.machine_clients(application), allowed)
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
        // Two lines are two senders, so none.
        let sent = visit.header_text("authorization");
        let Some(credentials) = sent.and_then(Credentials::parse) else {
            return refused(None);
        };
        let context = Context {
            failed_attempts: &self.outpost.failed_attempts,
            revocations: self.outpost.sessions.revoker().revocations(),
            clock: &self.outpost.clock,
            application,
            times: &self.deployment.times,
            client: visit.client(),
        };
        // One moment for both: what holds until the next second may be over a moment later.
        let now = self.outpost.clock.now();
        let machine = match clients.check(context, credentials).await {
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
            .decide_with_extra_rule(visit, current, visit.extra_rule())
        {
            Decision::Allow(permit) | Decision::Renew(permit) => {
                let pass = Pass::new(&permit, application, visit, dialect);
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
}
