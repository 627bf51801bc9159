//! `auth/*`: a proxy asks whether a request may pass.

use std::sync::Arc;

use gatepost_policy::{
    Decision, Deferral, Permit, Presentation, Request as _, Unauthenticated, asks_for_websocket,
};
use gatepost_session::{Authentic, CLOCK_SKEW_SECONDS, OpenError, WindowError};

use super::endpoint::{Dialect, Endpoint, OwnEndpoint};
use super::outcome::{Answer, Outcome, Pass};
use super::question::Question;
use super::visit::Visit;
use super::{Failure, Site};
use crate::application::Application;
use crate::compat;
use crate::origin::HostPort;
use crate::sessions::{ConfirmError, Confirmation, Issued, Kept, MintError};
use crate::telemetry::metrics::Success;
use crate::telemetry::traces;
use gatepost_store::SessionRecord;

/// The session of a request, as far as it could be had.
struct Found {
    session: Result<Authentic, Unauthenticated>,
    record: Option<Arc<SessionRecord>>,
    cookies: Vec<String>,
    /// Why more could not be had.
    hindered: Option<MintError>,
}

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
                    if dialect == Dialect::Nginx && application.authentik.is_some() =>
                {
                    self.refuse(application, host, visit)
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
        let own = application.authentik.as_ref();
        let skipped = own.and_then(|own| own.skip.permit(&application.external, host, visit));
        let answer = match skipped {
            Some(permit) => Outcome::Pass(Pass::new(&permit, application, visit, dialect)).into(),
            None => {
                let found = self.find_session(application, visit).await;
                self.decide(dialect, application, visit, found).await
            }
        };
        if let Some(verdict) = answer.outcome.verdict() {
            application.counts.decided(verdict);
        }
        answer
    }

    /// Has the sender of a request sign in.
    fn refuse(self, application: &Application, host: &HostPort, visit: &Visit<'_>) -> Answer {
        Outcome::SignIn {
            url: application.start_url(host, visit),
            application: application.audience.to_string(),
        }
        .into()
    }

    /// The session that a request carries: as its cookie says where that is in force, renewed in
    /// place where it is due and the store knows it.
    async fn find_session(self, application: &Application, visit: &Visit<'_>) -> Found {
        let candidates = visit.session_candidates(&application.cookie.name);
        let nobody = |reason| Found {
            session: Err(reason),
            record: None,
            cookies: Vec::new(),
            hindered: None,
        };
        let cookie = match self.outpost.session_cookie(application, &candidates) {
            Ok(cookie) => cookie,
            Err(reason) => return nobody(reason),
        };
        let now = self.outpost.clock.now();
        let (in_force, due) = match cookie.current(now, CLOCK_SKEW_SECONDS) {
            Ok(current) => (true, current.renewal_due()),
            Err(WindowError::Ended) => (false, true),
            Err(reason @ WindowError::NotYet) => return nobody(Unauthenticated::Window(reason)),
        };
        let as_is = |cookie: Authentic, record, hindered| Found {
            session: if in_force {
                Ok(cookie)
            } else {
                Err(Unauthenticated::Window(WindowError::Ended))
            },
            record,
            cookies: Vec::new(),
            hindered,
        };
        let record = match self
            .outpost
            .kept_session(self.deployment, application, &cookie)
            .await
        {
            Ok(Kept::Live(record)) => record,
            Ok(Kept::Gone) => return nobody(Unauthenticated::Revoked),
            // Whoever has a window in force never notices that the store is away.
            Err(error) => {
                return as_is(cookie, None, Some(MintError::Store(error)));
            }
        };
        if !due {
            return as_is(cookie, Some(record), None);
        }
        let confirmed =
            self.outpost
                .confirm(self.deployment, application, Arc::clone(&record), in_force);
        let record = match confirmed.await {
            Ok(Confirmation::Holds(record)) => record,
            Ok(Confirmation::Over) => return nobody(Unauthenticated::Revoked),
            // With the next request, when it is known.
            Ok(Confirmation::Later) => return as_is(cookie, Some(record), None),
            // A page goes by way of the provider; anything else cannot, and the next page will.
            Ok(Confirmation::OnlyByBrowser) => {
                if visit.presentation() == Presentation::PageLoad {
                    return nobody(Unauthenticated::Window(WindowError::Ended));
                }
                record
            }
            Err(ConfirmError::Store(error)) => {
                return as_is(cookie, None, Some(MintError::Store(error)));
            }
            Err(ConfirmError::Provider(error)) => {
                return as_is(cookie, Some(record), Some(MintError::Provider(error)));
            }
        };
        let renewed = self
            .outpost
            .renew_session(self.deployment, application, &record, &candidates)
            .await;
        application.counts.renewed(Success::from(&renewed));
        match renewed {
            Ok(Issued::Cookie(minted)) => Found {
                session: Ok(minted.session),
                record: Some(record),
                cookies: minted.cookies,
                hindered: None,
            },
            // Over, and decided upon once more: refused, or as nobody where anyone may pass.
            Ok(Issued::Refused(claims)) => Found {
                session: application
                    .signer
                    .vouch_for(&claims)
                    .map_err(|_| Unauthenticated::Invalid(OpenError::Claims)),
                record: None,
                cookies: application.cookie.remove(),
                hindered: None,
            },
            Err(MintError::Ended) => nobody(Unauthenticated::Revoked),
            Err(error) => as_is(cookie, Some(record), Some(error)),
        }
    }

    async fn decide(
        self,
        dialect: Dialect,
        application: &Application,
        visit: &Visit<'_>,
        found: Found,
    ) -> Answer {
        let now = self.outpost.clock.now();
        let session = match &found.session {
            Ok(cookie) => cookie
                .current(now, CLOCK_SKEW_SECONDS)
                .map_err(Unauthenticated::Window),
            Err(reason) => Err(*reason),
        };
        let outcome = match application.policy.decide_with_extra_rule(
            visit,
            session,
            visit.extra_rule(),
        ) {
            Decision::Allow(permit) | Decision::Renew(permit) => {
                let record = found.record.as_deref();
                Outcome::Pass(pass(&permit, application, visit, dialect, record))
            }
            Decision::SignIn(reason) => match (found.hindered, visit.host()) {
                // Signing in would not help while the store is away.
                (Some(error), _) => Outcome::Failed(Failure::Mint(error)),
                (None, Some(host)) => {
                    tracing::debug!(application = %application.audience, %reason, "not signed in");
                    Outcome::SignIn {
                        url: application.start_url(host, visit),
                        application: application.audience.to_string(),
                    }
                }
                (None, None) => Outcome::Failed(Failure::UnknownHost { host: None }),
            },
            Decision::Deny(denial) => Outcome::denied(application, denial.identity()),
            Decision::MethodNotAllowed => Outcome::Failed(Failure::MethodNotAllowed),
            Decision::Defer(Deferral::Authorization) => {
                Box::pin(self.decide_on_credentials(dialect, application, visit)).await
            }
            Decision::Defer(Deferral::MoreGroups) => match (found.record, found.hindered) {
                (Some(record), _) => {
                    self.decide_on_all_groups(dialect, application, visit, &record)
                }
                (None, Some(error)) => Outcome::Failed(Failure::Mint(error)),
                (None, None) => Outcome::Failed(Failure::Undecidable),
            },
        };
        outcome.with_cookies(found.cookies)
    }

    /// Decides on the groups that the cookie had no room for.
    fn decide_on_all_groups(
        self,
        dialect: Dialect,
        application: &Application,
        visit: &Visit<'_>,
        record: &SessionRecord,
    ) -> Outcome {
        let whole =
            self.outpost
                .whole_session(self.deployment, application, record, visit.extra_rule());
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

/// The permission for a request with a session, whose record may have more to tell than its cookie.
fn pass(
    permit: &Permit<'_>,
    application: &Application,
    visit: &Visit<'_>,
    dialect: Dialect,
    record: Option<&SessionRecord>,
) -> Pass {
    let pass = Pass::new(permit, application, visit, dialect);
    match (&application.authentik, record) {
        (Some(own), Some(record)) => pass.with_headers(own.headers_from_id_token(&record.id_token)),
        _ => pass,
    }
}
