//! `callback`: the provider's answer to a sign-in.

use std::sync::Arc;

use openidconnect::{AuthorizationCode, RedirectUrl};

use super::outcome::{Answer, Outcome};
use super::visit::Visit;
use super::{Failure, Site};
use crate::application::Application;
use crate::audit;
use crate::flow::{FlowCookies, PendingSignIn};
use crate::return_to::ReturnTo;

/// The most characters of a provider's words that are logged.
const MAX_WORDS: usize = 200;

impl Site<'_> {
    pub(super) async fn callback(
        self,
        application: &Arc<Application>,
        visit: &Visit<'_>,
    ) -> Answer {
        let Some(state) = visit.single_query("state") else {
            return Failure::MalformedCallback.into();
        };
        let flows = FlowCookies::find(visit.cookies(), application, &self.deployment.flow_keys);
        let end = flows.end(&state);
        let answer = match flows.take(&state, self.outpost.clock.now()) {
            Some(pending) => match self.finish(application, visit, pending).await {
                Ok(answer) => answer,
                Err(failure) => {
                    audit::sign_in_failed(application, &failure);
                    failure.into()
                }
            },
            None => self.without_flow(application, visit),
        };
        // Used or not, worked or not: this flow is over.
        answer.and_cookies(end)
    }

    async fn finish(
        self,
        application: &Application,
        visit: &Visit<'_>,
        pending: PendingSignIn,
    ) -> Result<Answer, Failure> {
        let iss = visit.single_query("iss");
        if visit.query("iss").count() > 1 {
            return Err(Failure::MalformedCallback);
        }
        application.provider.check_response_issuer(iss.as_deref())?;
        if let Some(code) = visit.query("error").next() {
            let words = |text: &str| text.chars().take(MAX_WORDS).collect::<String>();
            return Err(Failure::ProviderRefused {
                code: words(&code),
                description: visit
                    .single_query("error_description")
                    .map(|text| words(&text)),
            });
        }
        let code = visit
            .single_query("code")
            .ok_or(Failure::MalformedCallback)?;
        let redirect_uri =
            RedirectUrl::new(application.redirect_uri()).map_err(|_| Failure::FlowNotKept)?;
        let extra: Vec<String> = application.headers.claims().map(str::to_owned).collect();
        let PendingSignIn {
            state: _,
            nonce,
            code_verifier,
            return_to,
        } = pending;
        let signed_in = application
            .provider
            .finish(
                AuthorizationCode::new(code),
                nonce,
                code_verifier,
                redirect_uri,
                &extra,
            )
            .await?;
        let candidates = visit.session_candidates(&application.cookie.name);
        let identity = signed_in.identity.clone();
        let minted = self
            .outpost
            .open_session(self.deployment, application, signed_in, &candidates)
            .await?;
        audit::signed_in(application, &identity, minted.session.session_id());
        Ok(Outcome::Redirect {
            to: return_to.as_str().to_owned(),
        }
        .with_cookies(minted.cookies))
    }

    /// A callback that was reloaded, or that belongs to another browser. Whoever is signed in goes
    /// on; nobody is signed in by it.
    fn without_flow(self, application: &Application, visit: &Visit<'_>) -> Answer {
        let candidates = visit.session_candidates(&application.cookie.name);
        let now = self.outpost.clock.now();
        let signed_in = application.authenticate(&candidates).is_ok_and(|cookie| {
            cookie
                .current(now, gatepost_session::CLOCK_SKEW_SECONDS)
                .is_ok()
        });
        if signed_in {
            let to = ReturnTo::fallback(application).as_str().to_owned();
            Outcome::Redirect { to }.into()
        } else {
            Failure::NoFlow.into()
        }
    }
}
