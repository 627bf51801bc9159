//! `sign_out`: ends the session here, and at the provider where that can be asked for.

use std::sync::Arc;

use gatepost_session::Authentic;
use gatepost_session::cookie::Candidates;
use http::Method;

use super::outcome::{Answer, Outcome};
use super::visit::Visit;
use super::{Failure, Site};
use crate::application::Application;
use crate::telemetry::audit;
use gatepost_store::{SessionRecord, StoreUnavailable};

impl Site<'_> {
    pub(super) async fn sign_out(
        self,
        application: &Arc<Application>,
        visit: &Visit<'_>,
    ) -> Answer {
        if !is_meant(application, visit) {
            return Failure::CrossSite.into();
        }
        let candidates = visit.session_candidates(&application.cookie.name);
        // A cookie whose window has ended still says which session is meant.
        let at_provider = match self.outpost.sessions.authenticate(application, &candidates) {
            // Nobody is signed in here who could be at the provider: whom the application's rule has
            // refused, and who wants to come as someone else.
            Err(_) => {
                let name = visit.chosen_provider();
                let provider = name.and_then(|name| application.providers.named(&name));
                provider.and_then(|provider| {
                    provider.sign_out_url(None, &application.post_logout_uri())
                })
            }
            Ok(cookie) => match self.end_all(application, &cookie, &candidates).await {
                Ok(record) => {
                    application.counts.signed_out();
                    audit::signed_out(application.audience.as_str(), cookie.claims_at_issue());
                    // Where the browser goes is nothing that a request could say: no `rd` is read
                    // here. A provider that gets no hint asks whether to sign out.
                    let id_token = record.as_ref().map(|record| &record.id_token);
                    let issuer = &cookie.claims_at_issue().iss;
                    let provider = application.providers.of_issuer(issuer);
                    provider.and_then(|provider| {
                        provider.sign_out_url(id_token, &application.post_logout_uri())
                    })
                }
                // The cookie is left in place: without it, nobody could end the session later.
                Err(error) => return Failure::Store(error).into(),
            },
        };
        let outcome = match at_provider {
            Some(url) => Outcome::Redirect { to: url.into() },
            None => Outcome::SignedOut {
                application_url: application.external.url().to_string(),
            },
        };
        outcome.with_cookies(application.cookie.remove())
    }
}

impl Site<'_> {
    /// Ends the sessions of all cookies that the browser brings, and hands out what was kept of the
    /// one that counts. Another host of the domain may have set one in front of the person's.
    async fn end_all(
        self,
        application: &Application,
        counts: &Authentic,
        candidates: &Candidates<'_>,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        let record = self.end(application, counts).await?;
        for cookie in application.authentic(candidates) {
            if cookie.session_id() != counts.session_id() {
                self.end(application, &cookie).await?;
            }
        }
        Ok(record)
    }

    /// Ends the session of a cookie everywhere, and hands out what was kept of it.
    async fn end(
        self,
        application: &Application,
        cookie: &Authentic,
    ) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
        // Only for the provider's sake. A store that is away hinders the ending itself, below.
        let record = self.outpost.store.find(cookie.session_id()).await;
        let times = &self.deployment.times;
        let lifetime = application.lifetime(times);
        let revoker = self.outpost.sessions.revoker();
        revoker.revoke_cookie(cookie, lifetime, times).await?;
        Ok(record.ok().flatten())
    }
}

/// Whether the person means to sign out: by following a link, or by a form of this site. Another
/// site's image or script does not (RFC 9110 §9.2.1 would have GET change nothing, but links that
/// sign out are what applications have).
fn is_meant(application: &Application, visit: &Visit<'_>) -> bool {
    let site = visit.header_text("sec-fetch-site");
    if *visit.method() == Method::POST {
        let own_origin = visit
            .header_text("origin")
            .is_some_and(|origin| origin == application.external.origin());
        return site == Some("same-origin") || (site.is_none() && own_origin);
    }
    match site {
        None | Some("same-origin" | "none") => true,
        Some(_) => {
            visit.header_text("sec-fetch-mode") == Some("navigate")
                && visit
                    .header_text("sec-fetch-dest")
                    .is_none_or(|dest| dest == "document")
        }
    }
}
