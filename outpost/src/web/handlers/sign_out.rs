//! `sign_out`: ends the session here, and at the provider where that can be asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use gatepost_session::Authentic;
use gatepost_session::cookie::Candidates;
use http::Method;

use crate::application::{Application, SignOutScope};
use crate::compat::Conventions;
use crate::telemetry::audit;
use crate::web::context::Context;
use crate::web::device;
use crate::web::failure::Failure;
use crate::web::outcome::{Outcome, Reply};
use crate::web::request::ForwardedRequest;
use gatepost_store::{SessionRecord, SessionSelector, StoreUnavailable};

/// Answers a browser that signs out.
pub(in crate::web) async fn answer(
    context: Context<'_>,
    application: &Arc<Application>,
    request: &ForwardedRequest<'_>,
) -> Reply {
    if !is_meant(application, request) {
        return Failure::CrossSite.into();
    }
    let candidates = request.session_candidates(&application.cookie().name);
    // A cookie whose window has ended still names the session.
    let at_provider = match context.sessions().authenticate(application, &candidates) {
        // The user has no session here but may have one at the provider: the application's rule has
        // refused the user, who wants to sign in as another.
        Err(_) => {
            let name = request.chosen_provider();
            let provider = name.and_then(|name| application.providers().named(&name));
            provider
                .and_then(|provider| provider.sign_out_url(None, &application.post_logout_uri()))
        }
        Ok(cookie) => match end_all(context, application, &cookie, &candidates).await {
            Ok(record) => {
                application.counts().signed_out();
                audit::signed_out(application.audience().as_str(), cookie.claims_at_issue());
                // Where the browser goes does not depend on the request: no `rd` is read here. A provider that gets no hint asks whether to sign out.
                let id_token = record.as_ref().map(|record| &record.id_token);
                let issuer = &cookie.claims_at_issue().iss;
                let provider = application.providers().of_issuer(issuer);
                provider.and_then(|provider| {
                    provider.sign_out_url(id_token, &application.post_logout_uri())
                })
            }
            // The cookie stays: without it, the user could not end the session later.
            Err(error) => return Failure::Store(error).into(),
        },
    };
    let outcome = match at_provider {
        Some(url) => Outcome::Redirect { to: url.into() },
        None => Outcome::SignedOut {
            application_url: application.external().url().to_string(),
        },
    };
    // A browser whose session was bound to its device asks after it at the next request, and learns
    // that it has ended.
    outcome
        .with_cookies(application.cookie().remove())
        .and_cookies(device::remove_cookies(application, request))
}

/// Ends the sessions of all cookies that the browser sends, and returns the record of the one that
/// counts. Another host of the domain may have set a cookie in front of the user's.
async fn end_all(
    context: Context<'_>,
    application: &Application,
    counts: &Authentic,
    candidates: &Candidates<'_>,
) -> Result<Option<Arc<SessionRecord>>, StoreUnavailable> {
    let others = application.authentic(candidates);
    let others: Vec<Authentic> = others
        .filter(|cookie| cookie.session_id() != counts.session_id())
        .collect();
    // Only for signing out at the provider, and before the session ends. If the store is unreachable,
    // the revocations below fail.
    let record = context.outpost.store.find(counts.session_id()).await;
    // What cannot be ended now is ended when the store is back. So each is asked for, whatever
    // becomes of those before.
    let mut failed = None;
    if application.sign_out() == SignOutScope::Everywhere {
        for cookie in others.iter().chain([counts]) {
            let ended = end_everywhere(context, application, cookie).await;
            failed = failed.or(ended.err());
        }
    }
    for cookie in &others {
        failed = failed.or(end(context, application, cookie).await.err());
    }
    end(context, application, counts).await?;
    failed.map_or(Ok(record.ok().flatten()), Err)
}

/// Ends all sessions of the user whose session a cookie belongs to. The cookie of a session that has
/// ended already says nothing about others.
async fn end_everywhere(
    context: Context<'_>,
    application: &Application,
    cookie: &Authentic,
) -> Result<(), StoreUnavailable> {
    let sessions = context.sessions();
    match sessions.find(context.times(), application, cookie).await {
        Ok(Some(_)) => {}
        Ok(None) => return Ok(()),
        // A proxy would admit a cookie in its window, so its session has not ended as far as is
        // known.
        Err(error) => {
            if !sessions.is_current(cookie) {
                return Err(error);
            }
        }
    }
    let claims = cookie.claims_at_issue();
    let which =
        issuers_of(context, application, &claims.iss).map(|issuer| SessionSelector::Subject {
            issuer: issuer.to_owned(),
            subject: claims.sub.clone(),
        });
    let revoker = sessions.revoker();
    revoker
        .revoke_each(which.collect(), context.times())
        .await
        .map(drop)
}

/// Returns the issuers at which a subject is one user: its own, or those of all of authentik's
/// providers, which name a user by one subject. Its own is the last: until then, asking again ends
/// the sessions at all of them.
fn issuers_of<'c>(
    context: Context<'c>,
    application: &Application,
    own: &'c str,
) -> impl Iterator<Item = &'c str> {
    let mut issuers = BTreeSet::new();
    if application.conventions() == Conventions::Authentik {
        let all = context.snapshot.providers.iter();
        issuers.extend(all.map(|provider| provider.settings().issuer.as_str()));
        issuers.remove(own);
    }
    issuers.into_iter().chain([own])
}

/// Ends the session of a cookie everywhere.
async fn end(
    context: Context<'_>,
    application: &Application,
    cookie: &Authentic,
) -> Result<(), StoreUnavailable> {
    let times = context.times();
    let lifetime = application.lifetime(times);
    let revoker = context.sessions().revoker();
    revoker
        .revoke_cookie(cookie, lifetime, times)
        .await
        .map(drop)
}

/// Returns whether the user means to sign out: by following a link, or by a form of this site. Another
/// site's image or script does not (RFC 9110 §9.2.1 would have GET change nothing, but links that
/// sign out are what applications have).
fn is_meant(application: &Application, request: &ForwardedRequest<'_>) -> bool {
    let site = request.header_text("sec-fetch-site");
    if *request.method() == Method::POST {
        let own_origin = request
            .header_text("origin")
            .is_some_and(|origin| origin == application.external().origin());
        return site == Some("same-origin") || (site.is_none() && own_origin);
    }
    match site {
        None | Some("same-origin" | "none") => true,
        Some(_) => {
            request.header_text("sec-fetch-mode") == Some("navigate")
                && request
                    .header_text("sec-fetch-dest")
                    .is_none_or(|dest| dest == "document")
        }
    }
}
