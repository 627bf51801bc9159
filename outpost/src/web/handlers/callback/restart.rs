//! Sign-ins that are restarted without the user.

use gatepost_oidc::Provider;

use crate::application::{Application, ReturnTo};
use crate::sign_in_flow::Note;
use crate::web::context::Context;
use crate::web::endpoint::callback_name;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;
use crate::web::sign_in::{Reason, send_to_provider};
use crate::web::step_up::{Ahead, Arrival, Link};
use crate::web::urls::{start_url, start_url_with};

/// How often a sign-in without a flow is restarted before the user is asked to: a browser that keeps
/// no cookies would go on forever.
const MAX_RESTARTS: u8 = 2;

/// Answers a callback that was reloaded, that came too late, whose flow made room for others, or
/// that belongs to another browser. It signs no user in: a signed-in user goes on to where the
/// sign-in was to lead, and for any other it starts again.
pub(super) async fn without_flow(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    note: Option<Note>,
) -> Reply {
    if let Some(Note {
        return_to,
        step_up: Some(link),
        ..
    }) = &note
    {
        let link = Link::kept(application, return_to, link);
        return of_step_up(context, application, request, return_to, &link).await;
    }
    let candidates = request.session_candidates(&application.cookie().name);
    let sessions = context.sessions();
    let cookie = sessions.authenticate(application, &candidates);
    let return_to = match &note {
        Some(note) => note.return_to.clone(),
        None => ReturnTo::fallback(application),
    };
    if let Ok(cookie) = cookie {
        if sessions.is_current(&cookie) {
            return Outcome::back(&return_to).into();
        }
        // Any site can make a link with the note of a sign-in of its own, and the provider may bring
        // less than the session has, or another user. So it is renewed.
        match sessions.find(context.times(), application, &cookie).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                let to = start_url(application, &return_to, None);
                return Outcome::Redirect { to }.into();
            }
            Err(error) => return Failure::Store(error).into(),
        }
    }
    let providers = application.providers();
    let named = || providers.named(callback_name(request.path())?);
    let restart_url = start_url(application, &return_to, None);
    match (note, providers.only().or_else(named)) {
        (Some(note), Some(provider)) if note.restarts < MAX_RESTARTS => {
            let reason = Reason::Restart(note.restarts + 1);
            send_to_provider(context, application, provider, request, return_to, reason).await
        }
        _ => Reply::from(Failure::NoFlow).with_restart_at(restart_url),
    }
}

/// Answers a callback without its flow where a signed-in user was to authenticate again. Who has done so
/// goes on. Any other sees a page: the redirect would have the browser sent to the provider once more,
/// and where a browser does not keep the flow's cookie, for ever.
async fn of_step_up(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    return_to: &ReturnTo,
    link: &Link,
) -> Reply {
    let candidates = request.session_candidates(&application.cookie().name);
    let (sessions, times) = (context.sessions(), context.times());
    let mut again = Vec::new();
    if let Ok(cookie) = sessions.authenticate(application, &candidates)
        && sessions.is_current(&cookie)
        && let Ok(Some(record)) = sessions.find(times, application, &cookie).await
    {
        let arrival = Arrival {
            context,
            application,
            request,
            return_to,
            link,
            earlier: 0,
        };
        let bound = cookie.claims_at_issue().bound;
        again = link.parameters(application, &record.id);
        if matches!(arrival.ahead_of(&record, bound), Ahead::Open) {
            return Outcome::back(return_to).into();
        }
    }
    let again = start_url_with(application, return_to, None, &again);
    Reply::from(Failure::NoFlow).with_restart_at(again)
}

/// Sends a browser once more to a provider that was busy.
pub(super) async fn once_more(
    context: Context<'_>,
    application: &Application,
    provider: &Provider,
    request: &ForwardedRequest<'_>,
    return_to: ReturnTo,
) -> Reply {
    let reason = Reason::Restart(1);
    send_to_provider(context, application, provider, request, return_to, reason).await
}
