//! What follows when a session could not be renewed silently.

use crate::application::{Application, ReturnTo};
use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::outcome::Reply;
use crate::web::request::ForwardedRequest;
use crate::web::sign_in::{self, Reason};
use crate::web::urls::start_url;
use gatepost_oidc::Provider;

/// Answers a browser whose session could not be renewed silently.
pub(super) async fn answer_failure(
    context: Context<'_>,
    application: &Application,
    provider: &Provider,
    request: &ForwardedRequest<'_>,
    failure: Failure,
    return_to: ReturnTo,
) -> Reply {
    let candidates = request.session_candidates(&application.cookie().name);
    let Ok(cookie) = context.sessions().authenticate(application, &candidates) else {
        return sign_in::sign_in_again(context, application, request, return_to).await;
    };
    // In another tab, the user may have signed in at another provider since.
    let is_its_own = cookie.claims_at_issue().iss == provider.settings().issuer.as_str();
    let found = context
        .sessions()
        .find(context.times(), application, &cookie)
        .await;
    match (failure, found) {
        (_, Err(error)) => Failure::Store(error).into(),
        // No flow renews a bound session silently, so this one is another session's, and says
        // nothing of the session whose cookie came along.
        (_, Ok(Some(record))) if record.is_bound() || cookie.claims_at_issue().bound => {
            sign_in::sign_in_again(context, application, request, return_to).await
        }
        // OpenID Connect Core 1.0 §3.1.2.6: the user is not signed in there any more.
        (Failure::ProviderRefused { code, .. }, _) if is_its_own && code == "login_required" => {
            let times = context.times();
            let lifetime = application.lifetime(times);
            let ending = context
                .sessions()
                .revoker()
                .revoke_cookie(&cookie, lifetime, times);
            match ending.await {
                Ok(_) => sign_in::sign_in_again(context, application, request, return_to).await,
                Err(error) => Failure::Store(error).into(),
            }
        }
        // The user has to do something there, which says nothing of the session: it stays, and
        // is replaced when they have done so.
        (Failure::ProviderRefused { code, .. }, Ok(Some(_)))
            if is_its_own && needs_the_user(&code) =>
        {
            let reason = Reason::SignIn;
            sign_in::send_to_provider(context, application, provider, request, return_to, reason)
                .await
        }
        (_, Ok(None)) => sign_in::sign_in_again(context, application, request, return_to).await,
        // A failure of the provider says nothing of the session, which goes on for its grace.
        (failure, Ok(Some(record))) => {
            let sessions = context.sessions();
            if is_its_own
                && sessions
                    .check_grace(context.times(), provider, &record)
                    .is_err()
            {
                let restart_url = start_url(application, &return_to, None);
                return Reply::from(failure).with_restart_at(restart_url);
            }
            tracing::warn!(%failure, "a session could not be renewed and goes on without asking the provider");
            match sign_in::renew(context, application, request, &record, &return_to).await {
                Some(reply) => reply,
                None => sign_in::sign_in_again(context, application, request, return_to).await,
            }
        }
    }
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
