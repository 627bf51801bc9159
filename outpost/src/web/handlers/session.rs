//! `session`: shows users their own session, as a page or as JSON.

use std::sync::Arc;

use gatepost_session::Claims;

use crate::application::Application;
use crate::pages::SessionView;
use crate::web::challenges;
use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;
use crate::web::urls::endpoint_url;

/// Answers a browser that asks for its session.
pub(in crate::web) async fn answer(
    context: Context<'_>,
    application: &Arc<Application>,
    request: &ForwardedRequest<'_>,
) -> Reply {
    let candidates = request.session_candidates(&application.cookie().name);
    let cookie = match context.sessions().authenticate(application, &candidates) {
        Ok(cookie) if context.sessions().is_current(&cookie) => cookie,
        Ok(_) | Err(_) => return sign_in(application),
    };
    match context
        .sessions()
        .find(context.times(), application, &cookie)
        .await
    {
        Ok(Some(record)) => {
            let claims: &Claims = cookie.claims_at_issue();
            let identity = record.identity.clone();
            Outcome::Session(Box::new(SessionView {
                application: application.audience().to_string(),
                provider: application
                    .providers()
                    .of_issuer(&identity.issuer)
                    .and_then(|provider| provider.settings().title.clone()),
                issuer: identity.issuer,
                subject: identity.subject,
                username: identity.preferred_username,
                name: identity.name,
                email: identity.email,
                groups: identity.groups,
                signed_in_at: record.created.as_seconds(),
                renews_at: claims.rnw.as_seconds(),
                window_ends_at: claims.exp.as_seconds(),
                ends_at: record.ends.as_seconds(),
                device_bound: claims.bound,
                sign_out: endpoint_url(application, "sign_out"),
            }))
            .into()
        }
        Ok(None) => sign_in(application),
        Err(error) => Failure::Store(error).into(),
    }
}

fn sign_in(application: &Application) -> Reply {
    Outcome::SignIn {
        url: endpoint_url(application, "start"),
        challenges: vec![challenges::sign_in_only(application)],
        is_step_up: false,
    }
    .into()
}
