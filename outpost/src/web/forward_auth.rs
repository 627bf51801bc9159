//! `auth/*`: a proxy asks whether a request may pass.

use gatepost_policy::{
    Decision, Deferral, Permit, Presentation, Request as _, Unauthenticated, asks_for_websocket,
};
use gatepost_session::CLOCK_SKEW_SECONDS;

use super::endpoint::{Dialect, Endpoint, OwnEndpoint};
use super::outcome::{Answer, Outcome, Pass};
use super::question::Question;
use super::visit::Visit;
use super::{Failure, Site};
use crate::application::Application;
use crate::compat::{self, Conventions};
use crate::origin::HostPort;
use crate::sessions::SessionLookup;
use crate::telemetry::traces;
use gatepost_store::SessionRecord;

impl Site<'_> {
    /// Answers a proxy, and says how the sender of the request it asks about is to be answered.
    pub(super) async fn forward_auth<'a>(
        self,
        question: Question<'a>,
        asking: &Visit<'a>,
        parts: &'a http::request::Parts,
    ) -> (Presentation, Answer) {
        let applications = &self.deployment.applications;
        let visit = match asking.asked_about(question, parts, applications) {
            Ok(visit) => visit,
            Err(failure) => return (asking.presentation(), failure.into()),
        };
        let answer = self.judge(question, &visit).await;
        (visit.presentation(), answer)
    }

    async fn judge(self, question: Question<'_>, visit: &Visit<'_>) -> Answer {
        let dialect = question.dialect;
        let application = match visit.application(&self.deployment.applications) {
            Ok(application) => application,
            Err(failure) => return failure.into(),
        };
        let Some(host) = visit.host() else {
            return Failure::UnknownHost { host: None }.into();
        };
        traces::is_for(application.audience.as_str());
        if !compat::is_shared_prefix(question.prefix)
            && question.prefix != application.prefix.as_str()
        {
            return Failure::OtherPrefix {
                own: application.prefix.clone(),
            }
            .into();
        }
        if visit
            .header("upgrade")
            .is_some_and(|upgrade| !asks_for_websocket(&upgrade))
        {
            return Failure::Upgrade.into();
        }
        // Where a proxy sends every path here, the browser's own endpoints are met in place, so
        // that no second route to the outpost is needed.
        if Endpoint::is_outposts(visit.target_str(), application) {
            return match Endpoint::at(visit.target_str(), application) {
                // Recipes for authentik route one generation of paths past the subrequest and get
                // callbacks on the other: `start`, where they send whoever is refused, takes them.
                Some(Endpoint::Own(OwnEndpoint::Callback))
                    if dialect == Dialect::Nginx
                        && application.conventions() == Conventions::Authentik =>
                {
                    sign_in(application, host, visit).into()
                }
                _ if dialect == Dialect::Nginx => Failure::OwnPathAsked.into(),
                Some(Endpoint::Own(OwnEndpoint::Session)) | None => Failure::NotFound.into(),
                // Boxed, as all that is rare here: room for it is not made for every request.
                Some(Endpoint::Own(endpoint)) => Box::pin(self.own_endpoint(endpoint, visit)).await,
                Some(Endpoint::Auth(_) | Endpoint::BackchannelLogout | Endpoint::Ping) => {
                    Failure::NotFound.into()
                }
            };
        }
        let skip_paths = &application.capabilities.skip_paths;
        let skipped = skip_paths.permit(&application.external, host, visit);
        let answer = match skipped {
            Some(permit) => Outcome::Pass(Pass::new(&permit, application, visit, dialect)).into(),
            None => {
                let lookup = self
                    .outpost
                    .sessions
                    .look_up(
                        &self.deployment.times,
                        application,
                        &visit.session_candidates(&application.cookie.name),
                        visit.presentation() == Presentation::PageLoad,
                    )
                    .await;
                self.decide(dialect, application, host, visit, lookup).await
            }
        };
        if let Some(verdict) = answer.outcome.verdict() {
            application.counts.decided(verdict);
        }
        answer
    }

    /// Decides on a request with the session that it has.
    async fn decide(
        self,
        dialect: Dialect,
        application: &Application,
        host: &HostPort,
        visit: &Visit<'_>,
        lookup: SessionLookup,
    ) -> Answer {
        let decided = self.decide_on_cookie(dialect, application, visit, &lookup);
        let (record, cookies, cause) = lookup.into_parts();
        let outcome = match (decided, record, cause) {
            (Ok(outcome), ..) => outcome,
            (Err(Undecided::Credentials), ..) => {
                Box::pin(self.decide_on_credentials(dialect, application, visit)).await
            }
            (Err(Undecided::MoreGroups), Some(record), _) => {
                self.decide_on_all_groups(dialect, application, visit, &record)
            }
            // Signing in would not help while the store is unreachable.
            (Err(_), _, Some(cause)) => Outcome::Failed(Failure::Issue(cause)),
            (Err(Undecided::MoreGroups), None, None) => Outcome::Failed(Failure::Undecidable),
            (Err(Undecided::NotSignedIn(reason)), _, None) => {
                tracing::debug!(application = %application.audience, %reason, "not signed in");
                sign_in(application, host, visit)
            }
        };
        outcome.with_cookies(cookies)
    }

    /// Decides as far as the session's cookie tells.
    fn decide_on_cookie(
        self,
        dialect: Dialect,
        application: &Application,
        visit: &Visit<'_>,
        lookup: &SessionLookup,
    ) -> Result<Outcome, Undecided> {
        let session = lookup.session(self.outpost.clock.now());
        let decision =
            application
                .policy
                .decide_with_extra_rule(visit, session, visit.extra_rule());
        Ok(match decision {
            Decision::Allow(permit) | Decision::Renew(permit) => {
                let record = lookup.record().map(|record| &**record);
                Outcome::Pass(pass(&permit, application, visit, dialect, record))
            }
            Decision::Deny(denial) => Outcome::denied(application, denial.identity()),
            Decision::MethodNotAllowed => Outcome::Failed(Failure::MethodNotAllowed),
            Decision::SignIn(reason) => return Err(Undecided::NotSignedIn(reason)),
            Decision::Defer(Deferral::Authorization) => return Err(Undecided::Credentials),
            Decision::Defer(Deferral::MoreGroups) => return Err(Undecided::MoreGroups),
        })
    }

    /// Decides on the groups that the cookie had no room for.
    fn decide_on_all_groups(
        self,
        dialect: Dialect,
        application: &Application,
        visit: &Visit<'_>,
        record: &SessionRecord,
    ) -> Outcome {
        let whole = self.outpost.sessions.with_all_groups(
            &self.deployment.times,
            application,
            record,
            visit.extra_rule(),
        );
        let Ok(whole) = whole else {
            return Outcome::Failed(Failure::Undecidable);
        };
        let session = whole
            .current(self.outpost.clock.now(), CLOCK_SKEW_SECONDS)
            .map_err(Unauthenticated::Window);
        match application
            .policy
            .decide_with_extra_rule(visit, session, visit.extra_rule())
        {
            Decision::Allow(permit) | Decision::Renew(permit) => {
                Outcome::Pass(pass(&permit, application, visit, dialect, Some(record)))
            }
            Decision::Deny(denial) => Outcome::denied(application, denial.identity()),
            Decision::MethodNotAllowed => Outcome::Failed(Failure::MethodNotAllowed),
            Decision::SignIn(_) | Decision::Defer(_) => Outcome::Failed(Failure::Undecidable),
        }
    }
}

/// Why a session's cookie does not decide a request.
enum Undecided {
    /// There is no session.
    NotSignedIn(Unauthenticated),
    /// The credentials in `Authorization` decide.
    Credentials,
    /// The cookie had no room for all groups.
    MoreGroups,
}

/// Has the user sign in who sent a request to `host`.
fn sign_in(application: &Application, host: &HostPort, visit: &Visit<'_>) -> Outcome {
    Outcome::SignIn {
        url: application.start_url(host, visit),
        application: application.audience.to_string(),
    }
}

/// The permission for a request with a session, whose record may have more to tell than its cookie.
fn pass(
    permit: &Permit<'_>,
    application: &Application,
    visit: &Visit<'_>,
    dialect: Dialect,
    record: Option<&SessionRecord>,
) -> Pass {
    let pass = Pass::new(permit, application, visit, dialect);
    match (&application.capabilities.token_headers, record) {
        (Some(own), Some(record)) => pass.with_headers(own.from_id_token(&record.id_token)),
        _ => pass,
    }
}
