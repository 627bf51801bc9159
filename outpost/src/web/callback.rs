//! `callback`: the provider's answer to a sign-in.

use std::sync::Arc;

use gatepost_session::cookie::Candidates;
use openidconnect::{AuthorizationCode, RedirectUrl};

use super::endpoint::callback_name;
use super::loops::Attempts;
use super::outcome::{Answer, Outcome};
use super::start::start_at;
use super::visit::Visit;
use super::{Failure, Site, choice};
use crate::application::Application;
use crate::application::ReturnTo;
use crate::compat::Conventions;
use crate::flow::{FlowCookies, PendingSignIn};
use crate::sessions::{IssueError, Issued};
use crate::telemetry::audit;
use crate::telemetry::metrics::Success;
use gatepost_oidc::{Provider, SignInError};
use std::time::Duration;

/// The most characters of a provider's words that are logged.
const MAX_WORDS: usize = 200;

impl Site<'_> {
    pub(super) async fn callback(
        self,
        application: &Arc<Application>,
        visit: &Visit<'_>,
    ) -> Answer {
        if !is_registered(application, visit) {
            return Failure::NotFound.into();
        }
        let Some(state) = visit.single_query("state") else {
            return Failure::MalformedCallback.into();
        };
        let flows = FlowCookies::find(visit.cookies(), application, &self.deployment.flow_keys);
        let end = flows.end(&state);
        let answer = match flows.take(&state, self.outpost.clock.now()) {
            // Before anything that it brings is shown to anyone: the code may be of a provider that
            // its sender wants to have it from (RFC 9700 §4.4.2.2).
            Some((provider, _)) if !is_at_uri_of(provider, application, visit) => {
                failed(application, provider, Failure::OtherProvider)
            }
            Some((provider, pending)) => {
                let (return_to, silent) = (pending.return_to.clone(), pending.silent);
                match self.finish(application, provider, visit, pending).await {
                    Ok(answer) => answer,
                    Err(failure) if silent => {
                        self.not_silently(application, provider, visit, failure, return_to)
                            .await
                    }
                    // Used up: this outpost, or another that died over it, has exchanged it
                    // before. Whoever is signed in at the provider is soon back with another.
                    Err(Failure::SignIn(SignInError::CodeRefused)) => {
                        let to = start_at(application, &return_to, Some(provider));
                        Outcome::Redirect { to }.into()
                    }
                    Err(failure) => failed(application, provider, failure),
                }
            }
            None => self.without_flow(application, visit).await,
        };
        // Used or not, worked or not: this flow is over.
        answer.and_cookies(end)
    }

    async fn finish(
        self,
        application: &Application,
        provider: &Provider,
        visit: &Visit<'_>,
        pending: PendingSignIn,
    ) -> Result<Answer, Failure> {
        let iss = visit.single_query("iss");
        if visit.query("iss").count() > 1 {
            return Err(Failure::MalformedCallback);
        }
        provider.check_response_issuer(iss.as_deref())?;
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
        let redirect_uri = RedirectUrl::new(application.redirect_uri(provider))
            .map_err(|_| Failure::FlowNotKept)?;
        let extra: Vec<String> = application.headers.claims().map(str::to_owned).collect();
        let PendingSignIn {
            state: _,
            nonce,
            code_verifier,
            return_to,
            silent,
            age,
        } = pending;
        let begun = self.outpost.sessions.revoker().mark();
        let signed_in = provider
            .finish(
                AuthorizationCode::new(code),
                nonce,
                code_verifier,
                redirect_uri,
                &extra,
            )
            .await?;
        if silent {
            provider.note_silent_request(Duration::from_secs(age));
        }
        let candidates = visit.session_candidates(&application.cookie.name);
        // Only now: it may have ended while the browser or the exchange was at the provider.
        if silent && !self.has_session(application, &candidates).await? {
            return Err(Failure::NoFlow);
        }
        let identity = signed_in.identity.clone();
        let issued = self
            .outpost
            .sessions
            .issue(
                &self.deployment.times,
                application,
                signed_in,
                &candidates,
                begun,
            )
            .await
            .map_err(|error| match error {
                IssueError::Revoked => Failure::NoFlow,
                error => Failure::Issue(error),
            })?;
        Ok(match issued {
            Issued::Cookie(minted) => {
                application.counts.signed_in(Success::Succeeded);
                audit::signed_in(
                    application.audience.as_str(),
                    &identity,
                    minted.session.session_id(),
                );
                Outcome::Redirect {
                    to: return_to.as_str().to_owned(),
                }
                .with_cookies(minted.cookies)
                .and_cookies(choice::remember(application, provider))
            }
            // No loop, however often it is tried.
            Issued::Refused(claims) => Outcome::turned_away(application, &claims)
                .and_cookies(choice::remember(application, provider))
                .and_cookies([Attempts::of(visit, application, &return_to).forget()]),
        })
    }

    /// Whether the session that is to be renewed is there still: one that was ended meanwhile is not
    /// begun again without the person.
    async fn has_session(
        self,
        application: &Application,
        candidates: &Candidates<'_>,
    ) -> Result<bool, Failure> {
        let Ok(cookie) = self.outpost.sessions.authenticate(application, candidates) else {
            return Ok(false);
        };
        let kept = self
            .outpost
            .sessions
            .find(&self.deployment.times, application, &cookie);
        match kept.await {
            Ok(Some(_)) => Ok(true),
            Ok(None) => Ok(false),
            Err(error) => Err(Failure::Store(error)),
        }
    }

    /// A session could not be renewed without anyone noticing.
    async fn not_silently(
        self,
        application: &Application,
        provider: &Provider,
        visit: &Visit<'_>,
        failure: Failure,
        return_to: ReturnTo,
    ) -> Answer {
        let candidates = visit.session_candidates(&application.cookie.name);
        let Ok(cookie) = self.outpost.sessions.authenticate(application, &candidates) else {
            return self.sign_in_anew(application, visit, return_to).await;
        };
        // In another tab, somebody may have signed in at another provider since.
        let is_its_own = cookie.claims_at_issue().iss == provider.settings().issuer.as_str();
        let kept = self
            .outpost
            .sessions
            .find(&self.deployment.times, application, &cookie)
            .await;
        match (failure, kept) {
            (_, Err(error)) => Failure::Store(error).into(),
            // OpenID Connect Core 1.0 §3.1.2.6: the user is not signed in there any more.
            (Failure::ProviderRefused { code, .. }, _)
                if is_its_own && code == "login_required" =>
            {
                let times = &self.deployment.times;
                let lifetime = application.lifetime(times);
                let ending = self
                    .outpost
                    .sessions
                    .revoker()
                    .revoke_cookie(&cookie, lifetime, times);
                match ending.await {
                    Ok(_) => self.sign_in_anew(application, visit, return_to).await,
                    Err(error) => Failure::Store(error).into(),
                }
            }
            // The user has to do something there, which says nothing of the session: it stays, and
            // is replaced when they have done so.
            (Failure::ProviderRefused { code, .. }, Ok(Some(_)))
                if is_its_own && needs_the_user(&code) =>
            {
                self.begin(application, provider, visit, return_to, None)
                    .await
            }
            (_, Ok(None)) => self.sign_in_anew(application, visit, return_to).await,
            // The provider's trouble says nothing of the session.
            (failure, Ok(Some(record))) => {
                tracing::warn!(%failure, "a session could not be renewed and goes on unasked");
                match self.reissue(application, visit, &record, &return_to).await {
                    Some(answer) => answer,
                    None => self.sign_in_anew(application, visit, return_to).await,
                }
            }
        }
    }

    /// A sign-in in the place of a session that is over: where there is a choice, people have it
    /// again.
    async fn sign_in_anew(
        self,
        application: &Application,
        visit: &Visit<'_>,
        return_to: ReturnTo,
    ) -> Answer {
        match application.providers.only() {
            Some(provider) => {
                self.begin(application, provider, visit, return_to, None)
                    .await
            }
            None => {
                let to = start_at(application, &return_to, None);
                Outcome::Redirect { to }.into()
            }
        }
    }

    /// A callback that was reloaded, or that belongs to another browser. Whoever is signed in goes
    /// on; nobody is signed in by it.
    async fn without_flow(self, application: &Application, visit: &Visit<'_>) -> Answer {
        let candidates = visit.session_candidates(&application.cookie.name);
        let now = self.outpost.clock.now();
        let signed_in = self
            .outpost
            .sessions
            .authenticate(application, &candidates)
            .is_ok_and(|cookie| {
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

/// Counts and logs a sign-in that did not end in a session.
fn failed(application: &Application, provider: &Provider, failure: Failure) -> Answer {
    application.counts.signed_in(Success::Failed);
    audit::sign_in_failed(
        application.audience.as_str(),
        provider.settings().issuer.as_str(),
        failure.code().as_str(),
    );
    failure.into()
}

/// Returns whether an error says that the user has to do something at the provider, such as to
/// choose one of several accounts (OpenID Connect Core 1.0 §3.1.2.6).
fn needs_the_user(code: &str) -> bool {
    matches!(
        code,
        "interaction_required" | "account_selection_required" | "consent_required"
    )
}

/// Whether a path is one that a provider of the application may send browsers to.
fn is_registered(application: &Application, visit: &Visit<'_>) -> bool {
    match callback_name(visit.path()) {
        // Signatures mark callbacks, whatever their path.
        Some(_) if application.conventions() == Conventions::Authentik => true,
        Some(name) => {
            application.providers.only().is_none() && application.providers.named(name).is_some()
        }
        None => true,
    }
}

/// Whether a callback has come to where `provider` was to send the browser.
fn is_at_uri_of(provider: &Provider, application: &Application, visit: &Visit<'_>) -> bool {
    application.conventions() == Conventions::Authentik
        || callback_name(visit.path()) == application.callback_name(provider)
}
