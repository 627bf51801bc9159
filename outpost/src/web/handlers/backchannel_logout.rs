//! `backchannel_logout`: accepts a provider's logout token (OpenID Connect Back-Channel Logout 1.0).
//!
//! The provider sends it and not a browser, so the host says nothing: the token alone names the
//! sessions.

use axum::body::Body;
use http::{Method, request};

use crate::telemetry::audit;
use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::form::{Form, NoForm};
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;
use gatepost_oidc::{LogoutToken, LogoutTokenError, UnverifiedLogoutToken};
use gatepost_store::SessionSelector;

/// Answers a provider that sends a logout token.
pub(in crate::web) async fn answer(
    context: Context<'_>,
    request: &ForwardedRequest<'_>,
    parts: &request::Parts,
    body: Body,
) -> Reply {
    let limits = &context.snapshot.limits;
    if let Err(too_many) = limits.count_logout(request.client()) {
        return Failure::from(too_many).into();
    }
    if parts.method != Method::POST {
        return Failure::MethodNotAllowed.into();
    }
    match log_out(context, parts, body).await {
        Ok(()) => {
            limits.note_provider(request.client());
            Outcome::LoggedOut.into()
        }
        Err(failure) => failure.into(),
    }
}

async fn log_out(context: Context<'_>, parts: &request::Parts, body: Body) -> Result<(), Failure> {
    let token = token(parts, body).await?;
    let logout = verify(context, &token).await?;
    let now = context.now();
    let store = &context.outpost.store;
    let issuer = &logout.issuer;
    let once = format!("logout {issuer} {}", logout.id);
    // If the store is unreachable, so is the revocation, which is carried out when it is back.
    if let Ok(true) = store.was_used(&once, now).await {
        return Err(LogoutTokenError::Replayed.into());
    }
    let times = context.times();
    let revoker = context.sessions().revoker();
    let ended = revoker.revoke_each(selectors(&logout), times).await?;
    // Noted only now: if the revocation fails, the provider must be able to try again.
    let noted = store.use_once_to_end(&once, now, logout.remember_until);
    noted.await?;
    let scope = match logout.session {
        Some(_) => audit::Scope::ProviderSession,
        None => audit::Scope::Subject,
    };
    audit::revoked(
        "backchannel_logout",
        scope,
        issuer,
        logout.subject.as_deref(),
        ended,
    );
    // The response does not say whether there was such a session.
    Ok(())
}

async fn verify(context: Context<'_>, token: &str) -> Result<LogoutToken, Failure> {
    let unverified = UnverifiedLogoutToken::parse(token)?;
    let mut failure = LogoutTokenError::Issuer;
    // Several may be clients of one issuer.
    for provider in &context.snapshot.providers {
        if !unverified
            .issuer()
            .is_some_and(|iss| provider.issues_as(iss))
        {
            continue;
        }
        match provider.verify_logout_token(&unverified).await {
            Ok(logout) => return Ok(logout),
            Err(error) => failure = error,
        }
    }
    Err(failure.into())
}

/// Returns the sessions that a logout token ends: those of the session that it names, and, since the
/// provider's ID tokens may have named none, those of the user it names that have no session there.
/// Without a session, all of the user's.
fn selectors(logout: &LogoutToken) -> Vec<SessionSelector> {
    let issuer = &logout.issuer;
    let of_session = logout
        .session
        .as_ref()
        .map(|session| SessionSelector::ProviderSession {
            issuer: issuer.clone(),
            session: session.clone(),
        });
    let of_subject = logout.subject.as_ref().map(|subject| {
        let (issuer, subject) = (issuer.clone(), subject.clone());
        if of_session.is_some() {
            SessionSelector::SubjectWithoutProviderSession { issuer, subject }
        } else {
            SessionSelector::Subject { issuer, subject }
        }
    });
    of_session.into_iter().chain(of_subject).collect()
}

/// Reads the logout token from the form of a request.
async fn token(parts: &request::Parts, body: Body) -> Result<String, LogoutTokenError> {
    let form = Form::read(parts, body).await;
    let form = form.map_err(|NoForm| LogoutTokenError::Form)?;
    let token = form.field("logout_token");
    let token = token.map_err(|NoForm| LogoutTokenError::Form)?;
    Ok(token.ok_or(LogoutTokenError::Form)?.to_owned())
}
