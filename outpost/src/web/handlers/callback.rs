//! `callback`: the provider's answer to a sign-in.

use std::sync::Arc;

use gatepost_oidc::SignInError;
use gatepost_session::SessionId;

use crate::application::{Application, ReturnTo};
use crate::compat::Conventions;
use crate::sign_in_flow::{FlowCookies, PendingSignIn};
use crate::telemetry::audit;
use crate::telemetry::metrics::Success;
use crate::web::context::Context;
use crate::web::endpoint::callback_name;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::{AGAIN, ForwardedRequest};
use crate::web::step_up;
use crate::web::urls::{endpoint_url, start_url, start_url_with};

mod arrival;
mod completion;
mod renamed;
mod response;
mod restart;
mod silent;

use self::arrival::Callback;
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
    let reply = match flows.take(&state, context.now()) {
        Some((provider, pending)) => {
            let callback = Callback {
                context,
                application,
                provider,
                request,
            };
            callback.answer(response, pending).await
        }
        None => restart::without_flow(context, application, request, flows.note(&state)).await,
    };
    // This flow is over, whatever the result.
    reply.and_cookies(flows.end(&state))
}

/// What remains of a sign-in whose code is used.
struct Remains {
    return_to: ReturnTo,
    /// The session that was to be renewed without the user, if one was.
    renewed: Option<SessionId>,
    restarts: u8,
    /// Where a user who was to authenticate again does so.
    step_up_url: Option<String>,
}

impl Callback<'_> {
    async fn answer(self, response: Response, pending: PendingSignIn) -> Reply {
        let Self {
            context,
            application,
            provider,
            request,
        } = self;
        // This comes before any provider sees the response: an attacker's provider may want another
        // provider's code (RFC 9700 §4.4.2.2).
        if !is_at_uri_of(provider, application, request) {
            let restart_url = start_url(application, &pending.return_to, None);
            let reply = self.failed(Failure::OtherProvider);
            return reply.with_restart_at(restart_url);
        }
        let targets = &context.outpost.long_targets;
        let pending = targets.give_back(pending, application, context.now());
        let remains = Remains {
            return_to: pending.return_to.clone(),
            renewed: pending.purpose.renewed().cloned(),
            restarts: pending.restarts,
            step_up_url: step_up_url(application, &pending),
        };
        match self.complete(response, pending).await {
            Ok(reply) => reply,
            Err(failure) => self.answer_failure(failure, remains).await,
        }
    }

    async fn answer_failure(self, failure: Failure, remains: Remains) -> Reply {
        let Self {
            context,
            application,
            provider,
            request,
        } = self;
        let Remains {
            return_to,
            renewed,
            restarts,
            step_up_url,
        } = remains;
        let reply = renamed::sign_in_again(context, request, provider, &failure, &return_to).await;
        if let Some(reply) = reply {
            return reply;
        }
        if let Some(renewed) = renewed {
            return silent::answer_failure(self, &renewed, failure, return_to).await;
        }
        match failure {
            // Used: this outpost, or a replica that died after it, has exchanged the code before. A user
            // who is signed in at the provider is soon back with another.
            Failure::SignIn(SignInError::CodeRefused) => {
                let to = step_up_url
                    .unwrap_or_else(|| start_url(application, &return_to, Some(provider)));
                Outcome::Redirect { to }.into()
            }
            // OpenID Connect Core 1.0 §3.1.2.6: it may answer in a moment.
            Failure::ProviderRefused { code, .. }
                if code == "temporarily_unavailable" && restarts == 0 && step_up_url.is_none() =>
            {
                restart::once_more(context, application, provider, request, return_to).await
            }
            failure => {
                let restart_url =
                    step_up_url.unwrap_or_else(|| start_url(application, &return_to, None));
                let switch_url = matches!(failure, Failure::OtherUser)
                    .then(|| endpoint_url(application, "sign_out"));
                self.failed(failure)
                    .with_restart_at(restart_url)
                    .with_switch_at(switch_url)
            }
        }
    }

    /// Counts and logs a sign-in that did not end in a session.
    fn failed(self, failure: Failure) -> Reply {
        self.application.counts().signed_in(Success::Failed);
        audit::sign_in_failed(
            self.application.audience().as_str(),
            self.provider.settings().issuer.as_str(),
            failure.code().as_str(),
            &failure,
        );
        failure.into()
    }
}

/// Returns the URL by which a user tries again who was to authenticate again: the provider is to ask
/// then, whatever it remembers. `None` for any other sign-in.
fn step_up_url(application: &Application, pending: &PendingSignIn) -> Option<String> {
    let step_up = pending.purpose.step_up()?;
    let (asked, conditions) = (step_up.request.as_ref(), step_up.conditions.as_ref());
    let mut parameters = step_up::parameters(application, &step_up.session, asked, conditions);
    parameters.push((AGAIN.to_owned(), "true".to_owned()));
    parameters.push(step_up::replacing(application, &step_up.session));
    let return_to = &pending.return_to;
    Some(start_url_with(application, return_to, None, &parameters))
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
