//! `start`: begins a sign-in, or renews a session that still lives in the store.

use std::sync::Arc;

use gatepost_policy::{Presentation, Unauthenticated};
use gatepost_session::CLOCK_SKEW_SECONDS;
use openidconnect::RedirectUrl;
use url::{Url, form_urlencoded};

use super::loops::Attempts;
use super::outcome::{Answer, Outcome};
use super::session::own_url;
use super::visit::Visit;
use super::{Failure, LoopCause, Site, choice};
use crate::application::Application;
use crate::application::ReturnTo;
use crate::compat::Signature;
use crate::flow::{FlowCookies, PendingSignIn};
use crate::origin::Mode;
use crate::sessions::{IssueError, Issued, Revalidation, RevalidationError};
use crate::telemetry::metrics::Success;
use gatepost_oidc::{AuthorizationOptions, Provider, SignInError, Unavailable};
use gatepost_store::SessionRecord;

/// What came of trying to renew.
enum Renewed<'a> {
    /// It is done, or cannot be.
    Done(Answer),
    /// The browser has to go to the session's provider, which is to show no page.
    AtProvider(&'a Provider, Arc<SessionRecord>),
    /// There is no session to renew.
    Nobody,
}

impl From<RevalidationError> for Failure {
    fn from(error: RevalidationError) -> Self {
        match error {
            RevalidationError::Store(error) => Self::Store(error),
            RevalidationError::Provider(error) => Self::SignIn(error),
        }
    }
}

/// Where a callback belongs that comes as the target of a sign-in.
///
/// Recipes of authentik's first generation route `/akprox` to the outpost, and today's authentik
/// sends browsers back to `/outpost.goauthentik.io`. nginx then takes the callback for a page of
/// the application, and sends the browser here.
fn callback_gone_astray(application: &Application, visit: &Visit<'_>) -> Option<String> {
    let target = visit.return_target()?;
    let url = application.external.url().join(&target).ok()?;
    let ours = url.origin() == application.external.url().origin()
        && format!("{}{}", application.external.origin(), url.path())
            == application
                .redirect_uri(application.providers.first())
                .split('?')
                .next()?
        && application.conventions().signature(&target) == Some(Signature::Callback);
    let prefix = visit.path().strip_suffix("start").filter(|_| ours)?;
    let origin = application.external.origin();
    Some(format!("{origin}{prefix}callback?{}", url.query()?))
}

impl Site<'_> {
    pub(super) async fn start(self, application: &Arc<Application>, visit: &Visit<'_>) -> Answer {
        // A sign-in begun by a script or an image ends nowhere, and leaves its cookie behind.
        let mode = visit.header_text("sec-fetch-mode");
        if mode.is_some() && visit.presentation() != Presentation::PageLoad {
            return Failure::NotNavigation.into();
        }
        if let Some(elsewhere) = self.on_own_host(application, visit) {
            return elsewhere;
        }
        if let Some(to) = callback_gone_astray(application, visit) {
            return Outcome::Redirect { to }.into();
        }
        let return_to = visit
            .return_target()
            .and_then(|target| ReturnTo::parse(&target, application))
            .unwrap_or_else(|| ReturnTo::fallback(application));
        let attempts = Attempts::of(visit, application, &return_to);
        if attempts.are_too_many() {
            let cause = self.loop_cause(application, visit);
            return Answer::from(Failure::Loop(cause)).and_cookies([attempts.forget()]);
        }
        let answer = match self.renewed(application, visit, &return_to).await {
            Renewed::Done(answer) => answer,
            Renewed::AtProvider(provider, record) => {
                self.begin(application, provider, visit, return_to, Some(&record))
                    .await
            }
            Renewed::Nobody => {
                let only = application.providers.only();
                match only.or_else(|| choice::chosen(application, visit)) {
                    Some(provider) => {
                        self.begin(application, provider, visit, return_to, None)
                            .await
                    }
                    // No attempt: no redirect leads on from here, and the choice will be one.
                    None => return choice::ask(application, visit, &return_to),
                }
            }
        };
        answer.and_cookies([attempts.one_more()])
    }

    /// What the session cookie of a browser in a loop says of who is wrong.
    fn loop_cause(self, application: &Application, visit: &Visit<'_>) -> LoopCause {
        let candidates = visit.session_candidates(&application.cookie.name);
        let now = self.outpost.clock.now();
        LoopCause::of(
            self.outpost
                .sessions
                .authenticate(application, &candidates)
                .and_then(|cookie| match cookie.current(now, CLOCK_SKEW_SECONDS) {
                    Ok(_) => Ok(()),
                    Err(reason) => Err(Unauthenticated::Window(reason)),
                }),
        )
    }

    /// In domain mode a sign-in has to begin on the host that the callback comes to, since the
    /// flow's cookie is that host's.
    fn on_own_host(self, application: &Application, visit: &Visit<'_>) -> Option<Answer> {
        let host = visit.host()?;
        if application.mode == Mode::Single || host.host() == application.external.host() {
            return None;
        }
        let scheme = application.external.url().scheme();
        let rd = visit
            .return_target()
            .and_then(|rd| {
                Url::parse(&format!("{scheme}://{host}/"))
                    .ok()?
                    .join(&rd)
                    .ok()
            })
            .and_then(|url| ReturnTo::parse(url.as_str(), application))
            .unwrap_or_else(|| ReturnTo::fallback(application));
        let origin = application.external.origin();
        let mut to = Url::parse(&format!("{origin}{}/start", application.prefix)).ok()?;
        to.query_pairs_mut().append_pair("rd", rd.as_str());
        if let Some(provider) = choice::chosen(application, visit) {
            let name = &provider.settings().name;
            to.query_pairs_mut().append_pair("provider", name);
        }
        let chosen = choice::chosen(application, visit);
        if let Some(provider) = application.providers.only().or(chosen) {
            to.query_pairs_mut()
                .extend_pairs(parameters_from_link(provider, visit));
        }
        Some(Outcome::Redirect { to: to.into() }.into())
    }

    /// A fresh cookie for whoever still has a live session, if the provider still says so.
    async fn renewed<'a>(
        self,
        application: &'a Application,
        visit: &Visit<'_>,
        return_to: &ReturnTo,
    ) -> Renewed<'a> {
        let candidates = visit.session_candidates(&application.cookie.name);
        let Ok(cookie) = self.outpost.sessions.authenticate(application, &candidates) else {
            return Renewed::Nobody;
        };
        let hindered =
            |failure| Renewed::Done(self.hindered(application, visit, return_to, failure));
        let kept = self
            .outpost
            .sessions
            .find(&self.deployment.times, application, &cookie)
            .await;
        let record = match kept {
            Ok(Some(record)) => record,
            Ok(None) => return Renewed::Nobody,
            // Signing in anew would not help: that session could not be kept either.
            Err(error) => return hindered(Failure::Store(error)),
        };
        let now = self.outpost.clock.now();
        let in_force = cookie.current(now, CLOCK_SKEW_SECONDS).is_ok();
        let confirmed = self.outpost.sessions.revalidate(
            &self.deployment.times,
            application,
            Arc::clone(&record),
            in_force,
        );
        let record = match confirmed.await {
            Ok(Revalidation::Valid(record)) => record,
            Ok(Revalidation::Ended) => return Renewed::Nobody,
            Ok(Revalidation::Pending) => {
                return hindered(SignInError::from(Unavailable).into());
            }
            Ok(Revalidation::NeedsBrowser) => {
                let issuer = &record.identity.issuer;
                let Some(provider) = application.providers.of_issuer(issuer) else {
                    return Renewed::Nobody;
                };
                let asking = self.outpost.sessions.browser_can_ask(
                    &self.deployment.times,
                    provider,
                    &record,
                );
                match asking.await {
                    Ok(true) => return Renewed::AtProvider(provider, record),
                    Ok(false) => record,
                    Err(error) => return hindered(error.into()),
                }
            }
            Err(error) => return hindered(error.into()),
        };
        match self.reissue(application, visit, &record, return_to).await {
            Some(answer) => Renewed::Done(answer),
            None => Renewed::Nobody,
        }
    }

    /// A fresh cookie for a session of which nobody is asked, and back to where it is wanted. `None`
    /// when the session has been ended meanwhile.
    pub(super) async fn reissue(
        self,
        application: &Application,
        visit: &Visit<'_>,
        record: &SessionRecord,
        return_to: &ReturnTo,
    ) -> Option<Answer> {
        let candidates = visit.session_candidates(&application.cookie.name);
        let renewed = self
            .outpost
            .sessions
            .renew(&self.deployment.times, application, record, &candidates)
            .await;
        application.counts.renewed(Success::from(&renewed));
        Some(match renewed {
            Ok(Issued::Cookie(minted)) => {
                tracing::debug!(application = %application.audience, "session renewed");
                Outcome::Redirect {
                    to: return_to.as_str().to_owned(),
                }
                .with_cookies(minted.cookies)
            }
            Ok(Issued::Refused(claims)) => Outcome::turned_away(application, &claims),
            Err(IssueError::Revoked) => return None,
            Err(error) => self.hindered(application, visit, return_to, Failure::Issue(error)),
        })
    }

    /// What becomes of someone whose session cannot be renewed now: while the window is open they
    /// go on in it, and only then are they told.
    fn hindered(
        self,
        application: &Application,
        visit: &Visit<'_>,
        return_to: &ReturnTo,
        failure: Failure,
    ) -> Answer {
        let candidates = visit.session_candidates(&application.cookie.name);
        let postponed = self
            .outpost
            .sessions
            .authenticate(application, &candidates)
            .ok()
            .and_then(|cookie| {
                let outpost = self.outpost;
                outpost.sessions.postpone_renewal(
                    &self.deployment.times,
                    application,
                    &cookie,
                    &candidates,
                )
            });
        match postponed {
            Some(cookies) => {
                tracing::warn!(%failure, "a renewal is put off: the session's window is open");
                let to = return_to.as_str().to_owned();
                Outcome::Redirect { to }.with_cookies(cookies)
            }
            None => failure.into(),
        }
    }

    /// Sends the browser to a provider. Where a session is `renewed`, the provider is to show no
    /// page, and is told whose session it is.
    pub(super) async fn begin(
        self,
        application: &Application,
        provider: &Provider,
        visit: &Visit<'_>,
        return_to: ReturnTo,
        renewed: Option<&SessionRecord>,
    ) -> Answer {
        let Ok(redirect_uri) = RedirectUrl::new(application.redirect_uri(provider)) else {
            return Failure::FlowNotKept.into();
        };
        let parameters = parameters_from_link(provider, visit);
        let options = AuthorizationOptions {
            silent: renewed.is_some(),
            id_token_hint: renewed.map(|record| &record.id_token),
            login_hint: renewed.and_then(|record| {
                let identity = &record.identity;
                let name = identity.preferred_username.as_deref();
                name.or(identity.email.as_deref())
            }),
            parameters: &parameters,
        };
        let request = match provider.authorize(redirect_uri, options).await {
            Ok(request) => request,
            Err(error) => return Failure::SignIn(error).into(),
        };
        let url = request.url.clone();
        let pending = PendingSignIn::new(request, return_to, options.silent);
        let flows = FlowCookies::find(visit.cookies(), application, &self.deployment.flow_keys);
        match flows.begin(provider, &pending, self.outpost.clock.now()) {
            Some(cookies) => Outcome::Redirect { to: url.into() }.with_cookies(cookies),
            None => Failure::FlowNotKept.into(),
        }
    }
}

/// Returns the parameters that the link sets which the provider's settings allow links to set.
fn parameters_from_link(provider: &Provider, visit: &Visit<'_>) -> Vec<(String, String)> {
    let names = provider.settings().caller_parameters.iter();
    names
        .filter_map(|name| Some((name.clone(), visit.single_query(name)?)))
        .collect()
}

/// Where a sign-in starts that leads to `return_to`: at this provider, if one is named and there is
/// a choice.
pub(super) fn start_at(
    application: &Application,
    return_to: &ReturnTo,
    provider: Option<&Provider>,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("rd", return_to.as_str());
    if let Some(name) = provider.and_then(|provider| application.callback_name(provider)) {
        query.append_pair("provider", name);
    }
    format!("{}?{}", own_url(application, "start"), query.finish())
}
