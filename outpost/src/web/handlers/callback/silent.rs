//! What follows when a session could not be renewed silently.
//!
//! The query of a callback is the browser's word, and the browser may be a thief's: it may end the
//! session, and have the user sign in, but it never extends the session. Only what the outpost
//! itself sees at the provider does that.

use super::arrival::Callback;
use crate::application::{Application, ReturnTo};
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Reply};
use crate::web::sign_in::{self, Reason};
use crate::web::urls::start_url;
use gatepost_oidc::Provider;
use gatepost_session::SessionId;
use gatepost_store::SessionRecord;

/// Answers a browser whose session could not be renewed silently. `renewed` is the session for which
/// the flow began.
pub(super) async fn answer_failure(
    callback: Callback<'_>,
    renewed: &SessionId,
    failure: Failure,
    return_to: ReturnTo,
) -> Reply {
    let Callback {
        context,
        application,
        provider,
        request,
    } = callback;
    let sessions = context.sessions();
    let (cookie, record) = match callback.live_session().await {
        Ok(Some(live)) => live,
        Ok(None) => return sign_in::sign_in_again(context, application, request, return_to).await,
        Err(failure) => return failure.into(),
    };
    // The user has signed in since, in another tab, or the cookie is a copy. What this flow's
    // provider says is of another session: this one's own provider decides.
    if *renewed != record.id {
        let to = start_url(application, &return_to, None);
        return Outcome::Redirect { to }.into();
    }
    // It was bound to a device after the flow began.
    if record.is_bound() || cookie.claims_at_issue().bound {
        return sign_in::sign_in_again(context, application, request, return_to).await;
    }
    let reason = match &failure {
        // OpenID Connect Core 1.0 §3.1.2.6: the user is not signed in there any more.
        Failure::ProviderRefused { code, .. } if code == "login_required" => {
            let times = context.times();
            let lifetime = application.lifetime(times);
            let revoker = sessions.revoker();
            return match revoker.revoke_cookie(&cookie, lifetime, times).await {
                Ok(_) => sign_in::sign_in_again(context, application, request, return_to).await,
                Err(error) => Failure::Store(error).into(),
            };
        }
        // The user has to do something there, which says nothing of the session: it stays, and is
        // replaced when they have done so.
        Failure::ProviderRefused { code, .. } if needs_the_user(code) => Reason::SignIn,
        _ if is_the_providers(application, provider, &failure).await => {
            return go_on(callback, &record, failure, return_to).await;
        }
        _ if sessions.is_current(&cookie) => {
            return sign_in::go_on_or_fail(context, application, request, &return_to, failure);
        }
        // It may answer in a moment.
        Failure::ProviderRefused { code, .. } if code == "temporarily_unavailable" => {
            Reason::Restart(1)
        }
        _ => Reason::SignIn,
    };
    sign_in::send_to_provider(context, application, provider, request, return_to, reason).await
}

/// Lets a session go on for its grace, since its provider fails.
async fn go_on(
    callback: Callback<'_>,
    record: &SessionRecord,
    failure: Failure,
    return_to: ReturnTo,
) -> Reply {
    let Callback {
        context,
        application,
        provider,
        request,
    } = callback;
    let grace = context
        .sessions()
        .revalidator()
        .check_grace(context.times(), provider, record);
    if grace.is_err() {
        let restart_url = start_url(application, &return_to, None);
        return Reply::from(failure).with_restart_at(restart_url);
    }
    tracing::warn!(%failure, "a session could not be renewed and goes on without asking the provider");
    match sign_in::renew(context, application, request, record, &return_to).await {
        Some(reply) => reply,
        None => sign_in::sign_in_again(context, application, request, return_to).await,
    }
}

/// Returns whether the outpost sees that the provider fails, whatever the browser has brought.
async fn is_the_providers(
    application: &Application,
    provider: &Provider,
    failure: &Failure,
) -> bool {
    let Failure::SignIn(failure) = failure else {
        return false;
    };
    let redirect_uri = application.redirect_uri(provider);
    provider.fails_for_all(failure, &redirect_uri).await
}

/// Returns whether an error says that the user has to do something at the provider, such as to
/// choose one of several accounts (OpenID Connect Core 1.0 §3.1.2.6), or that the provider cannot
/// decide without showing a page.
fn needs_the_user(code: &str) -> bool {
    matches!(
        code,
        "interaction_required"
            | "account_selection_required"
            | "consent_required"
            // The provider no longer knows the key that signed the `id_token_hint`.
            | "invalid_request"
    )
}
