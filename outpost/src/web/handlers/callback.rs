//! `callback`: the provider's answer to a sign-in.

use std::sync::Arc;
use std::time::Duration;

use gatepost_session::cookie::Candidates;
use openidconnect::{AuthorizationCode, RedirectUrl};

use crate::application::{Application, ReturnTo};
use crate::compat::Conventions;
use crate::sessions::{IssueError, Issued};
use crate::sign_in_flow::{FlowCookies, PendingSignIn, SteppingUp};
use crate::telemetry::audit;
use crate::telemetry::metrics::Success;
use crate::web::context::Context;
use crate::web::device;
use crate::web::endpoint::callback_name;
use crate::web::failure::Failure;
use crate::web::loop_guard::Attempts;
use crate::web::outcome::{Outcome, Reply};
use crate::web::provider_choice;
use crate::web::request::{AGAIN, ForwardedRequest};
use crate::web::step_up::{self, Checked};
use crate::web::urls::{endpoint_url, start_url, start_url_with};
use gatepost_base::Identity;
use gatepost_oidc::{Provider, SignInError};
use gatepost_store::SessionRecord;

mod renamed;
mod response;
mod restart;
mod silent;

pub(in crate::web) use self::response::receive;
use self::response::{Response, Unreadable, is_at_uri_of};

/// Answers a browser that comes back from the provider.
pub(in crate::web) async fn answer(
    context: Context<'_>,
    application: &Arc<Application>,
    request: &ForwardedRequest<'_>,
) -> Reply {
    if !is_registered(application, request) {
        return Failure::NotFound.into();
    }
    let keys = &context.snapshot.flow_keys;
    let response = match Response::of(request, application, keys, context.now()) {
        Ok(response) => response,
        // Reloaded, or of another browser's history.
        Err(Unreadable::Sealed) => {
            return restart::without_flow(context, application, request, None).await;
        }
        Err(Unreadable::Malformed) => {
            let home = start_url(application, &ReturnTo::fallback(application), None);
            return Reply::from(Failure::MalformedCallback).with_restart_at(home);
        }
    };
    let state = response.state.clone();
    let flows = FlowCookies::find(request.cookies(), application, keys);
    let end = flows.end(&state);
    let now = context.now();
    let reply = match flows.take(&state, now) {
        // This comes before any provider sees the response: an attacker's provider may want another
        // provider's code (RFC 9700 §4.4.2.2).
        Some((provider, pending)) if !is_at_uri_of(provider, application, request) => {
            let restart_url = start_url(application, &pending.return_to, None);
            failed(application, provider, Failure::OtherProvider).with_restart_at(restart_url)
        }
        Some((provider, pending)) => {
            let targets = &context.outpost.long_targets;
            let pending = targets.give_back(pending, application, context.now());
            let (return_to, silent) = (pending.return_to.clone(), pending.silent);
            let session = pending.session.clone();
            let restarts = pending.restarts;
            let restart_url = restart_url(application, &pending);
            let began = now.as_seconds().saturating_sub(pending.age);
            let completed = complete(
                context,
                application,
                provider,
                request,
                response,
                pending,
                began,
            );
            let completed = completed.await;
            let again = match &completed {
                Ok(_) => None,
                Err(failure) => {
                    renamed::sign_in_again(context, request, provider, failure, &return_to).await
                }
            };
            match completed {
                Ok(reply) => reply,
                Err(_) if let Some(again) = again => again,
                Err(failure) if silent => {
                    silent::answer_failure(
                        context,
                        application,
                        provider,
                        request,
                        session.as_ref(),
                        failure,
                        return_to,
                    )
                    .await
                }
                // Used: this outpost, or a replica that died after it, has exchanged the code
                // before. A user who is signed in at the provider is soon back with another.
                Err(Failure::SignIn(SignInError::CodeRefused)) => {
                    let to = match restart_url {
                        Some(to) => to,
                        None => start_url(application, &return_to, Some(provider)),
                    };
                    Outcome::Redirect { to }.into()
                }
                // OpenID Connect Core 1.0 §3.1.2.6: it may answer in a moment.
                Err(Failure::ProviderRefused { code, .. })
                    if code == "temporarily_unavailable"
                        && restarts == 0
                        && restart_url.is_none() =>
                {
                    restart::once_more(context, application, provider, request, return_to).await
                }
                Err(failure) => {
                    let home = || start_url(application, &return_to, None);
                    let restart_url = restart_url.unwrap_or_else(home);
                    let switch_at = matches!(failure, Failure::OtherUser)
                        .then(|| endpoint_url(application, "sign_out"));
                    failed(application, provider, failure)
                        .with_restart_at(restart_url)
                        .with_switch_at(switch_at)
                }
            }
        }
        None => restart::without_flow(context, application, request, flows.note(&state)).await,
    };
    // This flow is over, whatever the result.
    reply.and_cookies(end)
}

/// Exchanges the code of a sign-in that began at this second, and makes its session.
async fn complete(
    context: Context<'_>,
    application: &Application,
    provider: &Provider,
    request: &ForwardedRequest<'_>,
    response: Response,
    pending: PendingSignIn,
    began: u64,
) -> Result<Reply, Failure> {
    if response.repeats_issuer {
        return Err(Failure::MalformedCallback);
    }
    provider.check_response_issuer(response.iss.as_deref())?;
    // OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
    let unmet = Some("unmet_authentication_requirements");
    if pending.step_up.is_some() && response.error.as_deref() == unmet {
        return Err(Failure::StepUp);
    }
    if let Some(code) = response.error {
        return Err(Failure::ProviderRefused {
            code,
            description: response.error_description,
        });
    }
    let code = response.code.ok_or(Failure::MalformedCallback)?;
    let redirect_uri =
        RedirectUrl::new(application.redirect_uri(provider)).map_err(|_| Failure::FlowNotKept)?;
    let extra = application.claims_of_sessions();
    let PendingSignIn {
        state: _,
        nonce,
        code_verifier,
        return_to,
        silent,
        session: _,
        step_up,
        restarts: _,
        age,
    } = pending;
    let begun = context.sessions().revoker().mark().await;
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
    let candidates = request.session_candidates(&application.cookie().name);
    if silent {
        // Only now: it may have ended during the redirect or the exchange.
        let session = session(context, application, &candidates).await?;
        let session = session.ok_or(Failure::NoFlow)?;
        let (own, new) = (&session.identity, &signed_in.identity);
        if (&own.issuer, &own.subject) != (&new.issuer, &new.subject) {
            return Err(another_user());
        }
    }
    // What was asked for says nothing of what came back. Where less did, the session from before goes
    // on, and nothing begins.
    if let Some(step_up) = &step_up {
        let live = session(context, application, &candidates).await?;
        if live.is_none() {
            // The browser may have lost its cookie. A session that was ended does not begin again.
            let (sessions, times) = (context.sessions(), context.times());
            let own = sessions.find_by_id(times, application, &step_up.session);
            let own = own.await.map_err(Failure::Store)?;
            own.ok_or(Failure::NoFlow)?;
        }
        let live = live.as_deref();
        check_user(step_up, live, &signed_in.identity)?;
        let checked = step_up::check(
            context,
            application,
            request,
            &signed_in,
            step_up,
            live,
            &return_to,
        );
        match checked? {
            Checked::Enough => {}
            Checked::NotNeeded => {
                let to = return_to.as_str().to_owned();
                return Ok(Outcome::Redirect { to }.into());
            }
            Checked::Refused(denied) => return Ok(Outcome::Denied(*denied).into()),
        }
    } else if !silent {
        // What another tab has begun meanwhile is the user's later word. A session from before is not: that
        // this sign-in began means that it did not do.
        let live = session(context, application, &candidates).await?;
        if let Some(live) = live.filter(|live| live.created.as_seconds() >= began) {
            check_same_user(&live, &signed_in.identity)?;
            if step_up::is_to_stay(context, application, &signed_in, &live)? {
                tracing::info!(
                    application = %application.audience(),
                    session = live.id.as_str(),
                    "a sign-in that began before the browser's session brought a weaker one: the \
                     session goes on"
                );
                let to = return_to.as_str().to_owned();
                return Ok(Outcome::Redirect { to }.into());
            }
        }
    }
    let identity = signed_in.identity.clone();
    let issued = context
        .sessions()
        .issue(context.times(), application, signed_in, &candidates, begun)
        .await
        .map_err(|error| match error {
            IssueError::Revoked => Failure::NoFlow,
            error => Failure::Issue(error),
        })?;
    Ok(match issued {
        Issued::Cookie(minted) => {
            application.counts().signed_in(Success::Succeeded);
            audit::signed_in(
                application.audience().as_str(),
                &identity,
                minted.session.session_id(),
            );
            if let Some(SteppingUp { session, .. }) = step_up {
                tracing::info!(
                    application = %application.audience(),
                    session = minted.session.session_id().as_str(),
                    before = session.as_str(),
                    "a signed-in user has authenticated again"
                );
            }
            Outcome::Redirect {
                to: return_to.as_str().to_owned(),
            }
            .with_cookies(minted.cookies)
            .and_cookies(provider_choice::remember(application, provider))
            .and_cookies(device::remove_cookies(application, request))
            .with_registration(device::registration(
                context,
                application,
                minted.session.session_id(),
            ))
        }
        // Not a loop, however often the user tries.
        Issued::Refused(claims) => Outcome::refused_by_rule(application, &claims)
            .and_cookies(provider_choice::remember(application, provider))
            .and_cookies([Attempts::of(request, application, &return_to).forget()]),
    })
}

/// Checks that the user who has authenticated again is the one who was to, and whose session the browser
/// has (`live`). Any site can have a browser begin that, and another user may be signed in at the
/// provider.
///
/// # Errors
///
/// [`Failure::OtherUser`].
fn check_user(
    step_up: &SteppingUp,
    live: Option<&SessionRecord>,
    new: &Identity,
) -> Result<(), Failure> {
    if let Some(live) = live {
        check_same_user(live, new)?;
    }
    (step_up.issuer == new.issuer && step_up.subject == new.subject)
        .then_some(())
        .ok_or(Failure::OtherUser)
}

/// Checks that the user who has signed in is the one whose session the browser has.
///
/// # Errors
///
/// [`Failure::OtherUser`].
fn check_same_user(live: &SessionRecord, new: &Identity) -> Result<(), Failure> {
    let own = &live.identity;
    (own.issuer == new.issuer && own.subject == new.subject)
        .then_some(())
        .ok_or(Failure::OtherUser)
}

/// Returns the URL by which a user tries again who was to authenticate again: the provider is to ask
/// then, whatever it remembers. `None` for any other sign-in.
fn restart_url(application: &Application, pending: &PendingSignIn) -> Option<String> {
    let step_up = pending.step_up.as_ref()?;
    let (asked, conditions) = (step_up.request.as_ref(), step_up.conditions.as_ref());
    let mut parameters = step_up::parameters(application, &step_up.session, asked, conditions);
    parameters.push((AGAIN.to_owned(), "true".to_owned()));
    parameters.push(step_up::replacing(application, &step_up.session));
    let return_to = &pending.return_to;
    Some(start_url_with(application, return_to, None, &parameters))
}

/// Returns the session to renew if it still exists: one that was revoked meanwhile does not start
/// again without the user.
async fn session(
    context: Context<'_>,
    application: &Application,
    candidates: &Candidates<'_>,
) -> Result<Option<Arc<SessionRecord>>, Failure> {
    let Ok(cookie) = context.sessions().authenticate(application, candidates) else {
        return Ok(None);
    };
    let found = context
        .sessions()
        .find(context.times(), application, &cookie);
    found.await.map_err(Failure::Store)
}

/// Returns the failure of a silent renewal at a provider where another user is signed in: the
/// session's user is not, which is what the provider itself should have said (OpenID Connect Core
/// 1.0 §3.1.2.1 on `id_token_hint`).
fn another_user() -> Failure {
    Failure::ProviderRefused {
        code: "login_required".to_owned(),
        description: Some("another user is signed in at the provider".to_owned()),
    }
}

/// Counts and logs a sign-in that did not end in a session.
fn failed(application: &Application, provider: &Provider, failure: Failure) -> Reply {
    application.counts().signed_in(Success::Failed);
    audit::sign_in_failed(
        application.audience().as_str(),
        provider.settings().issuer.as_str(),
        failure.code().as_str(),
    );
    failure.into()
}

/// Returns whether a provider of the application may send browsers to this path.
fn is_registered(application: &Application, request: &ForwardedRequest<'_>) -> bool {
    match callback_name(request.path()) {
        // Signatures mark callbacks, whatever their path.
        Some(_) if application.conventions() == Conventions::Authentik => true,
        Some(name) => {
            application.providers().only().is_none()
                && application.providers().named(name).is_some()
        }
        None => true,
    }
}
