//! What `start` and `callback` both do: send a browser to a provider, and renew a session.

use openidconnect::RedirectUrl;

use super::context::Context;
use super::failure::Failure;
use super::outcome::{Outcome, Reply};
use super::request::ForwardedRequest;
use super::step_up::{self, Lacking};
use super::urls::start_url;
use crate::application::{Application, ReturnTo};
use crate::sessions::{IssueError, Issued, Voucher};
use crate::sign_in_flow::{FlowCookies, Note, PendingSignIn, Purpose, SteppingUp};
use crate::telemetry::metrics::Success;
use gatepost_oidc::{AskedAuthentication, AuthorizationOptions, Provider};
use gatepost_store::SessionRecord;

/// Renews a session without asking the provider, and sends the browser back to `return_to`. `None`
/// when the session has been revoked meanwhile, or is bound to a device.
pub(super) async fn renew(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    record: &SessionRecord,
    return_to: &ReturnTo,
) -> Option<Reply> {
    let candidates = request.session_candidates(&application.cookie().name);
    let renewed = context
        .sessions()
        .renew(
            context.times(),
            application,
            record,
            &candidates,
            Voucher::Cookie,
        )
        .await;
    application.counts().renewed(Success::from(&renewed));
    Some(match renewed {
        Ok(Issued::Cookie(minted)) => {
            tracing::debug!(application = %application.audience(), "session renewed");
            Outcome::back(return_to).with_cookies(minted.cookies)
        }
        Ok(Issued::Refused(claims)) => Outcome::refused_by_rule(application, &claims),
        Err(IssueError::Revoked | IssueError::Unproven) => return None,
        Err(error) => go_on_or_fail(
            context,
            application,
            request,
            return_to,
            Failure::Issue(error),
        ),
    })
}

/// Replies to a user whose session cannot be renewed now: while the window is open the session goes
/// on, and only then does the request fail.
pub(super) fn go_on_or_fail(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    return_to: &ReturnTo,
    failure: Failure,
) -> Reply {
    let candidates = request.session_candidates(&application.cookie().name);
    let postponed = context
        .sessions()
        .authenticate(application, &candidates)
        .ok()
        .and_then(|cookie| {
            let outpost = context.outpost;
            outpost
                .sessions
                .postpone_renewal(context.times(), application, &cookie, &candidates)
        });
    match postponed {
        Some(cookies) => {
            tracing::warn!(%failure, "a renewal is postponed: the session's window is open");
            Outcome::back(return_to).with_cookies(cookies)
        }
        None => failure.into(),
    }
}

/// Why a browser is sent to a provider.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason<'r> {
    /// A user begins a sign-in.
    SignIn,
    /// A sign-in is restarted without the user, for this many times.
    Restart(u8),
    /// This session is renewed: the provider is to show no page, and gets a hint whose session it
    /// is.
    Renewal(&'r SessionRecord),
    /// The user of this session has to authenticate again, or in another way.
    StepUp(&'r SessionRecord, &'r Lacking),
    /// The user of this session has to sign in, since it cannot be renewed. Any site can have a browser
    /// begin that, so no other user's session takes its place.
    SameUser(&'r SessionRecord),
}

/// Sends the browser to a provider, from where it comes back to `return_to`.
pub(super) async fn send_to_provider(
    context: Context<'_>,
    application: &Application,
    provider: &Provider,
    request: &ForwardedRequest<'_>,
    return_to: ReturnTo,
    reason: Reason<'_>,
) -> Reply {
    let restart_url = start_url(application, &return_to, Some(provider));
    match authorize(context, application, provider, request, return_to, reason).await {
        Ok(reply) => reply,
        Err(failure) => Reply::from(failure).with_restart_at(restart_url),
    }
}

async fn authorize(
    context: Context<'_>,
    application: &Application,
    provider: &Provider,
    request: &ForwardedRequest<'_>,
    return_to: ReturnTo,
    reason: Reason<'_>,
) -> Result<Reply, Failure> {
    let redirect_uri =
        RedirectUrl::new(application.redirect_uri(provider)).map_err(|_| Failure::FlowNotKept)?;
    let (known, restarts) = match reason {
        Reason::SignIn => (None, 0),
        Reason::Restart(times) => (None, times),
        Reason::Renewal(record) | Reason::StepUp(record, _) | Reason::SameUser(record) => {
            (Some(record), 0)
        }
    };
    // By the page that says that another user has come back.
    let insists = AskedAuthentication {
        again: true,
        ..AskedAuthentication::default()
    };
    // Any site can link here; only our own pages can prove `replaces`.
    let stepping_up = |own: SteppingUp| {
        Purpose::StepUp(SteppingUp {
            replaces: step_up::is_replacing(application, request, &own.session),
            ..own
        })
    };
    let (asked, purpose) = match reason {
        Reason::SignIn | Reason::Restart(_) => (None, Purpose::SignIn),
        Reason::Renewal(record) => (None, Purpose::Renewal(record.id.clone())),
        Reason::StepUp(record, lacking) => (Some(&lacking.asked), stepping_up(lacking.of(record))),
        Reason::SameUser(record) => {
            let insists = (record.is_bound() && request.is_asked_again()).then_some(&insists);
            (insists, stepping_up(step_up::same_user(record)))
        }
    };
    let keys = &context.snapshot.flow_keys;
    let note = Note {
        return_to,
        restarts,
        step_up: purpose.step_up().map(|own| {
            let (request, conditions) = (own.request.as_ref(), own.conditions.as_ref());
            step_up::parameters(application, &own.session, request, conditions)
        }),
    };
    let sealed = note.seal(application, keys).ok_or(Failure::FlowNotKept)?;
    let parameters = parameters_from_link(provider, request);
    let options = AuthorizationOptions {
        silent: purpose.renewed().is_some(),
        id_token_hint: known
            .filter(|_| purpose.renewed().is_some())
            .map(|record| &record.id_token),
        step_up: asked,
        login_hint: known.and_then(|record| {
            let identity = &record.identity;
            let name = identity.preferred_username.as_deref();
            name.or(identity.email.as_deref())
        }),
        note: Some(&sealed),
        parameters: &parameters,
    };
    let authorization = provider.authorize(redirect_uri, options).await?;
    let url = authorization.url.clone();
    let now = context.sessions().revoker().sign_in_begins();
    let pending = PendingSignIn::new(authorization, note, purpose, now);
    let flows = FlowCookies::find(request.cookies(), application, keys);
    context.outpost.long_targets.keep(&pending, application);
    let cookies = flows.begin(provider, &pending);
    let cookies = cookies.ok_or(Failure::FlowNotKept)?;
    Ok(Outcome::Redirect { to: url.into() }.with_cookies(cookies))
}

/// Returns the parameters that the link sets which the provider's settings allow links to set.
pub(super) fn parameters_from_link(
    provider: &Provider,
    request: &ForwardedRequest<'_>,
) -> Vec<(String, String)> {
    let names = provider.settings().caller_parameters.iter();
    names
        .filter_map(|name| Some((name.clone(), request.start_query(name)?)))
        .collect()
}

/// Has a user sign in whose session is over. Where there is a choice of providers, the user has it
/// again.
pub(super) async fn sign_in_again(
    context: Context<'_>,
    application: &Application,
    request: &ForwardedRequest<'_>,
    return_to: ReturnTo,
) -> Reply {
    match application.providers().only() {
        Some(provider) => {
            let reason = Reason::SignIn;
            send_to_provider(context, application, provider, request, return_to, reason).await
        }
        None => {
            let to = start_url(application, &return_to, None);
            Outcome::Redirect { to }.into()
        }
    }
}
