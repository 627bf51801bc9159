//! `session`: the caller's own session, as a page and as JSON.

use std::sync::Arc;

use gatepost_session::{CLOCK_SKEW_SECONDS, Claims};

use super::outcome::{Answer, Outcome};
use super::visit::Visit;
use super::{Failure, Site};
use crate::application::Application;
use crate::pages::SessionView;

impl Site<'_> {
    pub(super) async fn session(self, application: &Arc<Application>, visit: &Visit<'_>) -> Answer {
        let candidates = visit.session_candidates(&application.cookie.name);
        let now = self.outpost.clock.now();
        let cookie = match self.outpost.sessions.authenticate(application, &candidates) {
            Ok(cookie) if cookie.current(now, CLOCK_SKEW_SECONDS).is_ok() => cookie,
            Ok(_) | Err(_) => return self.sign_in_to_see(application),
        };
        match self
            .outpost
            .sessions
            .find(&self.deployment.times, application, &cookie)
            .await
        {
            Ok(Some(record)) => {
                let claims: &Claims = cookie.claims_at_issue();
                let identity = record.identity.clone();
                Outcome::Session(Box::new(SessionView {
                    application: application.audience.to_string(),
                    provider: application
                        .providers
                        .of_issuer(&identity.issuer)
                        .and_then(|provider| provider.settings().title.clone()),
                    issuer: identity.issuer,
                    subject: identity.subject,
                    username: identity.preferred_username,
                    name: identity.name,
                    email: identity.email,
                    groups: identity.groups,
                    signed_in_at: record.created.as_seconds(),
                    renews_at: claims.rnw.as_seconds(),
                    window_ends_at: claims.exp.as_seconds(),
                    ends_at: record.ends.as_seconds(),
                    sign_out: own_url(application, "sign_out"),
                }))
                .into()
            }
            Ok(None) => self.sign_in_to_see(application),
            Err(error) => Failure::Store(error).into(),
        }
    }

    fn sign_in_to_see(self, application: &Application) -> Answer {
        Outcome::SignIn {
            url: own_url(application, "start"),
            application: application.audience.to_string(),
        }
        .into()
    }
}

/// The absolute URL of an endpoint at the application's external URL.
pub(super) fn own_url(application: &Application, endpoint: &str) -> String {
    format!(
        "{}{}/{endpoint}",
        application.external.origin(),
        application.prefix
    )
}
