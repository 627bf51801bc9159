//! `start`: starts a sign-in, or renews a session that is still in the store.

use std::sync::Arc;

use gatepost_policy::{Presentation, UNTIL_BOUND, Unauthenticated};
use gatepost_session::{Authentic, CLOCK_SKEW_SECONDS, NumericDate};
use url::Url;

use crate::application::{Application, ReturnTo};
use crate::compat::Signature;
use crate::device_bound::DeviceBound;
use crate::origin::Mode;
use crate::sessions::{Patience, Revalidation};
use crate::telemetry::audit;
use crate::telemetry::metrics::DeviceEvent;
use crate::web::context::Context;
use crate::web::device;
use crate::web::failure::{Failure, LoopCause};
use crate::web::loop_guard::Attempts;
use crate::web::outcome::{Outcome, Reply};
use crate::web::provider_choice;
use crate::web::request::{AGAIN, ForwardedRequest};
use crate::web::sign_in::{self, Reason, parameters_from_link};
use crate::web::step_up::{Ahead, Arrival, Lacking, Link};
use crate::web::urls::{start_url, start_url_with};
use gatepost_oidc::{Provider, SignInError, Unavailable};
use gatepost_store::{SessionRecord, StoreKind};

/// The result of trying to renew a session.
enum Renewal<'a> {
    /// The reply, whether it was renewed or cannot be.
    Done(Reply),
    /// The browser has to go to the session's provider, which is to show no page.
    AtProvider(&'a Provider, Arc<SessionRecord>),
    /// The browser has to go to the session's provider, where its user is to authenticate as this
    /// says.
    StepUp(&'a Provider, Arc<SessionRecord>, Box<Lacking>),
    /// The user of the session has to sign in at its provider, since the session is bound to a device
    /// and a cookie alone does not renew it, or since it is to be bound.
    SameUser(&'a Provider, Arc<SessionRecord>),
    /// A user has to sign in: there is no session to renew.
    SignIn,
    /// The session would have to be bound to a device, which its browser has not done.
    NotBound(Failure),
    /// The session has to be bound to a device, and its browser may be about to do it.
    Binding,
}

/// Returns the URL of a callback that comes as the target of a sign-in.
///
/// Recipes of authentik's first generation route `/akprox` to the outpost, and today's authentik
/// sends browsers back to `/outpost.goauthentik.io`. nginx then takes the callback for a page of
/// the application, and sends the browser to `start`.
fn callback_gone_astray(
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> Option<String> {
    let target = request.return_target()?;
    let url = application.external().url().join(&target).ok()?;
    let ours = url.origin() == application.external().url().origin()
        && format!("{}{}", application.external().origin(), url.path())
            == application
                .redirect_uri(application.providers().first())
                .split('?')
                .next()?
        && application.conventions().signature(&target) == Some(Signature::Callback);
    let prefix = request.path().strip_suffix("start").filter(|_| ours)?;
    let origin = application.external().origin();
    Some(format!("{origin}{prefix}callback?{}", url.query()?))
}

/// Answers a browser that is to sign in.
pub(in crate::web) async fn answer(
    context: Context<'_>,
    application: &Arc<Application>,
    request: &ForwardedRequest<'_>,
) -> Reply {
    // A sign-in that a script or an image starts ends nowhere, and leaves its cookie behind.
    let mode = request.header_text("sec-fetch-mode");
    if mode.is_some() && request.presentation() != Presentation::PageLoad {
        return Failure::NotNavigation.into();
    }
    if let Some(elsewhere) = on_own_host(application, request) {
        return elsewhere;
    }
    if let Some(to) = callback_gone_astray(application, request) {
        return Outcome::Redirect { to }.into();
    }
    let target = request
        .return_target()
        .and_then(|target| ReturnTo::parse(&target, application));
    let link = Link::of(request, application, target.as_ref());
    let return_to = target.unwrap_or_else(|| ReturnTo::fallback(application));
    let attempts = Attempts::of(request, application, &return_to);
    if attempts.are_too_many() {
        let cause = loop_cause(context, application, request);
        return Reply::from(Failure::Loop(cause))
            .with_restart_at(start_url(application, &return_to, None))
            .and_cookies([attempts.forget()]);
    }
    device::note_skip(request);
    let arrival = Arrival {
        context,
        application,
        request,
        return_to: &return_to,
        link: &link,
        earlier: attempts.earlier(),
    };
    let reply = match renew(arrival, application).await {
        Renewal::Done(reply) => reply,
        // Not counted: no redirect follows.
        Renewal::NotBound(failure) => {
            let again = [(AGAIN.to_owned(), "true".to_owned())];
            let to = start_url_with(application, &return_to, None, &again);
            return Reply::from(failure).with_restart_at(to);
        }
        Renewal::Binding => return Failure::Binding.into(),
        Renewal::AtProvider(provider, record) => {
            sign_in::send_to_provider(
                context,
                application,
                provider,
                request,
                return_to,
                Reason::Renewal(&record),
            )
            .await
        }
        Renewal::StepUp(provider, record, lacking) => {
            let reason = Reason::StepUp(&record, &lacking);
            sign_in::send_to_provider(context, application, provider, request, return_to, reason)
                .await
        }
        Renewal::SameUser(provider, record) => {
            let reason = Reason::SameUser(&record);
            sign_in::send_to_provider(context, application, provider, request, return_to, reason)
                .await
        }
        Renewal::SignIn => {
            let only = application.providers().only();
            match only.or_else(|| provider_choice::chosen(application, request)) {
                Some(provider) => {
                    sign_in::send_to_provider(
                        context,
                        application,
                        provider,
                        request,
                        return_to,
                        Reason::SignIn,
                    )
                    .await
                }
                // Not counted: no redirect follows, and the choice will be counted.
                None => return provider_choice::ask(application, request, &return_to),
            }
        }
    };
    reply.and_cookies([attempts.one_more()])
}

/// Returns the cause of a redirect loop, by the session cookie of the browser.
fn loop_cause(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
) -> LoopCause {
    let candidates = request.session_candidates(&application.cookie().name);
    let now = context.now();
    let cause = LoopCause::of(
        context
            .sessions()
            .authenticate(application, &candidates)
            .and_then(|cookie| match cookie.current(now, CLOCK_SKEW_SECONDS) {
                Ok(_) => Ok(()),
                Err(reason) => Err(Unauthenticated::Window(reason)),
            }),
    );
    match cause {
        // The cookie is good, so it is the session that another replica lacks.
        LoopCause::NotAccepted if context.snapshot.store == StoreKind::Memory => {
            LoopCause::NotShared
        }
        cause => cause,
    }
}

/// Sends the browser to the host that the callback comes to, where it is not there: in domain mode the
/// flow's cookie is that host's.
fn on_own_host(application: &Application, request: &ForwardedRequest<'_>) -> Option<Reply> {
    let host = request.host()?;
    if *application.mode() == Mode::Single || host.host() == application.external().host() {
        return None;
    }
    let scheme = application.external().url().scheme();
    let target = request.return_target();
    let rd = target.as_ref().and_then(|rd| {
        let here = Url::parse(&format!("{scheme}://{host}/")).ok()?;
        ReturnTo::parse(here.join(rd).ok()?.as_str(), application)
    });
    let is_lost = target.is_some() && rd.is_none();
    let rd = rd.unwrap_or_else(|| ReturnTo::fallback(application));
    let chosen = provider_choice::chosen(application, request);
    let mut parameters = match application.providers().only().or(chosen) {
        Some(provider) => parameters_from_link(provider, request),
        // The user has yet to choose: what any of the providers takes goes along.
        None => {
            let all = application.providers().iter();
            all.flat_map(|provider| parameters_from_link(provider, request))
                .collect()
        }
    };
    if waits_until_bound(application, request) {
        parameters.push((UNTIL_BOUND.to_owned(), "true".to_owned()));
    }
    if let Ok(here) = Url::parse(&format!("{scheme}://{host}/")) {
        parameters.extend(Link::parameters_at(request, &here, is_lost));
    }
    if request.is_asked_again() {
        parameters.push((AGAIN.to_owned(), "true".to_owned()));
    }
    parameters.sort_unstable();
    parameters.dedup();
    let chosen = chosen.map(|provider| &**provider);
    let to = start_url_with(application, &rd, chosen, &parameters);
    Some(Outcome::Redirect { to }.into())
}

/// Refuses a browser whose session is not bound to a device although it would have to be, until the
/// user asks for another session.
fn not_bound<'a>(
    application: &'a Application,
    request: &ForwardedRequest<'_>,
    cookie: &Authentic,
    record: &Arc<SessionRecord>,
    failure: Failure,
) -> Renewal<'a> {
    // The new session takes the place of that one, and of no other.
    if request.is_asked_again() {
        return match application.providers().of_issuer(&record.identity.issuer) {
            Some(provider) => Renewal::SameUser(provider, Arc::clone(record)),
            None => Renewal::SignIn,
        };
    }
    application.counts().device(DeviceEvent::Missing);
    // Any site can make a link that says that a proxy asks for it.
    if matches!(failure, Failure::NotBound) || application.policy().always_needs_device() {
        audit::device_missing(application.audience().as_str(), cookie.claims_at_issue());
    }
    Renewal::NotBound(failure)
}

/// Returns whether the request that led here opens only to a session that is bound to a device: by
/// the application's own rule, or by that of a proxy. The latter is the word of the link, which any
/// site can make. Where no session is ever bound, no browser waits for that.
fn waits_until_bound(application: &Application, request: &ForwardedRequest<'_>) -> bool {
    application.policy().always_needs_device()
        || (application.device_bound() != DeviceBound::Off
            && request.start_query(UNTIL_BOUND).as_deref() == Some("true"))
}

/// Returns whether a proxy may take the window of a cookie for over, by a clock that is ahead of this
/// one. Then it would send a browser here again that is sent back to it.
fn may_be_over(cookie: &Authentic, now: NumericDate) -> bool {
    now.plus_seconds(CLOCK_SKEW_SECONDS) >= cookie.claims_at_issue().exp
}

/// Returns whether a session that is bound to a device goes on without a renewal, whatever clock a
/// proxy has.
fn goes_on(cookie: &Authentic, now: NumericDate) -> bool {
    let current = cookie.current(now, CLOCK_SKEW_SECONDS);
    current.is_ok_and(|current| !current.renewal_due()) && !may_be_over(cookie, now)
}

/// Answers a browser whose session has to be bound to a device before its request opens. Returns
/// `None` if the ordinary renewal is to proceed.
fn until_bound<'a>(
    context: Context<'_>,
    application: &'a Application,
    request: &ForwardedRequest<'_>,
    cookie: &Authentic,
    record: &Arc<SessionRecord>,
) -> Option<Renewal<'a>> {
    let now = context.now();
    if cookie.claims_at_issue().bound {
        return None;
    }
    let age = now.seconds_since(record.created);
    if device::may_be_binding(age, context.snapshot.store == StoreKind::Redis) {
        return Some(Renewal::Binding);
    }
    if record.is_bound() {
        return None;
    }
    let failure = Failure::RuleNotBound;
    Some(not_bound(application, request, cookie, record, failure))
}

/// Answers a browser whose user's authentication does not suffice for the request that led here.
/// Returns `None` if the ordinary renewal is to proceed.
fn stepping_up<'a>(
    application: &'a Application,
    arrival: Arrival<'_>,
    record: &Arc<SessionRecord>,
    ahead: Ahead,
) -> Option<Renewal<'a>> {
    Some(match ahead {
        Ahead::Open => return None,
        // The user's own provider, whatever the link names. Where it is none of the application's any
        // more, its session is none either.
        Ahead::Lacking(lacking) => {
            match application.providers().of_issuer(&record.identity.issuer) {
                Some(provider) => Renewal::StepUp(provider, Arc::clone(record), lacking),
                None => Renewal::SignIn,
            }
        }
        Ahead::NotAsked | Ahead::Unconfirmed => {
            let mut parameters = arrival.link.parameters(application, &record.id);
            parameters.push((AGAIN.to_owned(), "true".to_owned()));
            let to = start_url_with(application, arrival.return_to, None, &parameters);
            Renewal::Done(Reply::from(Failure::StepUp).with_restart_at(to))
        }
        Ahead::Closed(denied) => Renewal::Done(Outcome::Denied(*denied).into()),
    })
}

/// Renews the session of the browser, where it has one and the provider says that it is still valid.
async fn renew<'a>(arrival: Arrival<'_>, application: &'a Application) -> Renewal<'a> {
    let Arrival {
        context,
        request,
        return_to,
        ..
    } = arrival;
    let candidates = request.session_candidates(&application.cookie().name);
    let Ok(cookie) = context.sessions().authenticate(application, &candidates) else {
        return Renewal::SignIn;
    };
    let go_on_or_fail = |failure| {
        Renewal::Done(sign_in::go_on_or_fail(
            context,
            application,
            request,
            return_to,
            failure,
        ))
    };
    let found = context
        .sessions()
        .find(context.times(), application, &cookie)
        .await;
    let waits = waits_until_bound(application, request);
    let record = match found {
        Ok(Some(record)) => record,
        Ok(None) => return Renewal::SignIn,
        // The way back would lead here again.
        Err(error) if waits && !cookie.claims_at_issue().bound => {
            return Renewal::Done(Failure::Store(error).into());
        }
        Err(error) if !matches!(arrival.ahead(&cookie), Ahead::Open) => {
            return Renewal::Done(Failure::Store(error).into());
        }
        // Signing in again would not help: that session could not be stored either.
        Err(error) => return go_on_or_fail(Failure::Store(error)),
    };
    let bound = cookie.claims_at_issue().bound;
    let ahead = arrival.ahead_of(&record, bound);
    if let Some(answer) = stepping_up(application, arrival, &record, ahead) {
        return answer;
    }
    // Nothing is lacking, so a link is no reason to give the session up: it may be stronger than what
    // the provider would say now.
    if bound && goes_on(&cookie, context.now()) {
        return Renewal::Done(Outcome::back(return_to).into());
    }
    if waits && let Some(answer) = until_bound(context, application, request, &cookie, &record) {
        return answer;
    }
    let in_window = context.sessions().is_current(&cookie);
    let revalidator = context.sessions().revalidator();
    let provider = application.providers().of_issuer(&record.identity.issuer);
    if record.is_bound() || cookie.claims_at_issue().bound {
        application.counts().device(DeviceEvent::Unproven);
        audit::unproven(application.audience().as_str(), cookie.claims_at_issue());
        let Some(provider) = provider else {
            return Renewal::SignIn;
        };
        let asking = revalidator.browser_can_ask(context.times(), provider, &record);
        return match asking.await {
            // What is left of the window goes on.
            Ok(false) if in_window => go_on_or_fail(SignInError::from(Unavailable).into()),
            Ok(_) => Renewal::SameUser(provider, record),
            Err(error) => go_on_or_fail(error.into()),
        };
    }
    if application.requires_device() {
        if in_window && !may_be_over(&cookie, context.now()) {
            return go_on_or_fail(Failure::NotBound);
        }
        return not_bound(application, request, &cookie, &record, Failure::NotBound);
    }
    let patience = Patience::in_window(in_window);
    let revalidated =
        revalidator.revalidate(context.times(), application, Arc::clone(&record), patience);
    let record = match revalidated.await {
        Ok(Revalidation::Valid(record)) => record,
        Ok(Revalidation::Ended) => return Renewal::SignIn,
        Ok(Revalidation::Pending) => {
            return go_on_or_fail(SignInError::from(Unavailable).into());
        }
        Ok(Revalidation::NeedsBrowser | Revalidation::Refused) => {
            let Some(provider) = provider else {
                return Renewal::SignIn;
            };
            let asking = revalidator.browser_can_ask(context.times(), provider, &record);
            match asking.await {
                Ok(true) => return Renewal::AtProvider(provider, record),
                Ok(false) => record,
                Err(error) => return go_on_or_fail(error.into()),
            }
        }
        Err(error) => return go_on_or_fail(error.into()),
    };
    match sign_in::renew(context, application, request, &record, return_to).await {
        Some(reply) => Renewal::Done(reply),
        None => Renewal::SignIn,
    }
}
