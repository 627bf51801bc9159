//! Makes the cookie of a session.

use std::collections::HashSet;

use gatepost_policy::Demand;
use gatepost_session::cookie::{CHUNK_BYTES, Candidates};
use gatepost_session::{Authentic, Claims, MoreClaims, NumericDate};
use gatepost_signing::SignError;

use super::revalidation::{is_due, of_provider};
use crate::application::Application;
use crate::assertion::{KnownGroups, Unsigned};
use crate::compat::Conventions;
use crate::session_times::{SessionTimes, last_quarter};
use gatepost_oidc::SignInError;
use gatepost_store::{SessionRecord, StoreUnavailable};

/// A session cookie that was just made.
#[derive(Debug)]
pub struct IssuedCookie {
    /// The session that it carries.
    pub session: Authentic,
    /// The `Set-Cookie` lines that store it.
    pub cookies: Vec<String>,
}

/// The result of asking for a session cookie, where nothing prevented an answer.
#[derive(Debug)]
#[must_use]
pub enum Issued {
    /// The cookie.
    Cookie(IssuedCookie),
    /// The application's own rule refuses the user, whatever a proxy in front of it asks for, so
    /// there is no session any more.
    Refused(Claims),
}

/// What vouches for a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// The session's cookie, which may be a copy where the session is bound to a device.
    Cookie,
    /// A proof of the device to which the session is bound.
    Proof,
}

/// Why no session cookie could be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The session was revoked while its cookie was to be made.
    #[error("the session has been revoked")]
    Revoked,
    /// The session is bound to a device, or would have to be, and only a cookie vouches for the
    /// renewal.
    #[error("the session is bound to a device, or would have to be, and a proof is missing")]
    Unproven,
    /// The provider has been unavailable for longer than sessions may go on without it.
    #[error(transparent)]
    Provider(SignInError),
    /// The claims do not fit a cookie, even with groups left out.
    #[error("the session does not fit a cookie: {0}")]
    Unsignable(SignError),
    /// The assertion for the application cannot be signed.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// The operating system has no randomness.
    #[error("the operating system has no randomness: {0}")]
    NoRandomness(getrandom::Error),
}

/// Returns when the window of a cookie ends. No proxy accepts a cookie for longer than its session
/// may last.
pub(super) fn window_end(
    times: &SessionTimes,
    record: &SessionRecord,
    issued: NumericDate,
) -> NumericDate {
    issued.plus_seconds(times.window).min(record.ends)
}

/// Makes the cookie of a session, issued at `now`.
pub(super) fn issue_cookie(
    times: &SessionTimes,
    application: &Application,
    record: &SessionRecord,
    now: NumericDate,
    replacing: &Candidates<'_>,
) -> Result<Issued, IssueError> {
    if let Some(claims) = refused(times, application, record, now) {
        return Ok(Issued::Refused(claims));
    }
    let signer = application.signer();
    let mut claims = claims(times, application, record, now);
    application.assert(&mut claims, KnownGroups::All)?;
    let one_cookie = application.conventions() == Conventions::Authentik;
    let token = match signer.sign(&claims) {
        // A documented recipe of authentik hands the cookie to the application, and one for nginx
        // passes one cookie on. The outpost is asked about each request, and the store has the groups.
        Ok(token) if one_cookie && token.len() > CHUNK_BYTES => {
            claims = reduced(claims, application, None);
            signer.sign(&claims)
        }
        Err(SignError::TooLarge) => {
            claims = reduced(claims, application, None);
            // It has the groups once more.
            application.assert(&mut claims, KnownGroups::Some)?;
            signer.sign(&claims)
        }
        outcome => outcome,
    }
    .map_err(IssueError::Unsignable)?;
    let session = signer.vouch_for(&claims).map_err(IssueError::Unsignable)?;
    // Made because the session is in use now, so the time without use starts again.
    let left = record
        .ends
        .min(now.plus_seconds(times.idle))
        .seconds_since(now);
    let mut cookies = application.cookie().issue(&token, left, replacing);
    if record.is_bound() {
        let renewed_after = times.prove_after.min(left);
        cookies.push(application.device_cookie(&record.id, renewed_after));
    }
    Ok(Issued::Cookie(IssuedCookie { session, cookies }))
}

/// Returns the claims of a user whom the application's rule refuses, with all groups; `None` where
/// it admits the user.
pub(super) fn refused(
    times: &SessionTimes,
    application: &Application,
    record: &SessionRecord,
    now: NumericDate,
) -> Option<Claims> {
    let claims = claims(times, application, record, now);
    // Each session begins without a device, and none of its requests is known: what rules ask besides
    // of who the user is, is each request's matter.
    (!application.policy().may_admit(&claims)).then_some(claims)
}

/// Returns all claims of a session, as a cookie issued at `now` would have them.
pub(super) fn claims(
    times: &SessionTimes,
    application: &Application,
    record: &SessionRecord,
    now: NumericDate,
) -> Claims {
    let ends = window_end(times, record, now);
    let renew_at = now.plus_seconds(times.renew_after);
    let renew_at = match record.is_bound() {
        // Nothing but a first proof renews it.
        false if application.requires_device() => ends,
        // Nothing renews it beside a page, so the plugin lets pages pass until the last quarter of
        // the window. The outpost itself goes by its age (`is_old`).
        false if needs_browser(times, application, record, renew_at) => put_off(times, now, ends),
        false => renew_at,
        // Page loads renew no bound session, save through the provider where it is to be asked.
        true if needs_browser(times, application, record, now) => now,
        true => ends,
    };
    let mut identity = record.identity.clone();
    identity.leave_out_unread(application.policy().claims());
    let claims = identity.into_claims(
        application.audience().to_string(),
        record.id.clone(),
        now,
        renew_at,
        ends,
    );
    Claims {
        bound: record.is_bound(),
        ..claims
    }
}

/// Returns when page loads renew a session behind the plugin, in a window from `begins` to `ends`, where
/// only the browser can ask the provider.
fn put_off(times: &SessionTimes, begins: NumericDate, ends: NumericDate) -> NumericDate {
    let last_quarter = last_quarter(ends.seconds_since(begins));
    begins.plus_seconds(times.renew_after.max(last_quarter))
}

/// Returns whether a cookie is so old that a renewal is due, although it says a later time itself,
/// since only the browser can ask the provider. A renewal that was postponed stays so.
pub(super) fn is_old(
    times: &SessionTimes,
    record: &SessionRecord,
    cookie: &Claims,
    now: NumericDate,
) -> bool {
    let is_free = !cookie.bound && !record.is_bound() && record.refresh_token.is_none();
    let is_put_off = cookie.rnw == put_off(times, cookie.iat, cookie.exp);
    is_free && is_put_off && now >= cookie.iat.plus_seconds(times.renew_after)
}

/// Returns whether the provider is to be asked whether a session is still valid, and only the
/// browser can ask.
fn needs_browser(
    times: &SessionTimes,
    application: &Application,
    record: &SessionRecord,
    now: NumericDate,
) -> bool {
    let provider = application.providers().of_issuer(&record.identity.issuer);
    let times = provider.map_or(*times, |provider| of_provider(times, provider));
    record.refresh_token.is_none() && is_due(record, &times, now)
}

/// Keeps only the groups that the application's rules or a `demand` name, and those that the
/// operator lists for rules elsewhere. With such a list the cookie answers every rule, so that no
/// proxy has to ask the outpost for the other groups: a rule that names another group refuses.
pub(super) fn reduced(
    mut claims: Claims,
    application: &Application,
    demand: Option<&Demand>,
) -> Claims {
    let listed = application.cookie_groups().unwrap_or_default();
    let mut named: Vec<&str> = application
        .policy()
        .groups()
        .chain(demand.into_iter().flat_map(Demand::groups))
        .chain(listed.iter().map(String::as_str))
        .collect();
    let all = claims.groups.iter().count();
    named.sort_unstable();
    named.dedup();
    // A rule that a user is in none of its groups takes another case of letters for the same name. Both
    // may be thousands, and a client may say some of the names.
    let loosely = str::to_ascii_lowercase;
    let held: HashSet<String> = claims.groups.iter().map(loosely).collect();
    let all_named: HashSet<String> = named.iter().copied().map(loosely).collect();
    let is_outside = |name: &&str| !held.contains(&loosely(name));
    let outside: Vec<&str> = named.iter().copied().filter(is_outside).collect();
    claims
        .groups
        .retain(|group| all_named.contains(&loosely(group)));
    if claims.groups.iter().count() < all {
        // What the provider left out stays unknown: the first of one name counts.
        let part = (
            MoreClaims::GROUPS_IN_PART.to_owned(),
            texts_within(&outside),
        );
        let others = claims.ext.iter();
        let others = others.map(|(name, text)| (name.to_owned(), text.to_owned()));
        claims.ext = others.chain([part]).collect();
    }
    claims.grp_more = application.cookie_groups().is_none();
    claims
}

/// Returns the first of these names with `|` between, as many as a cookie without room for groups
/// still has room for. Rules that ask that a user is not in another of them refuse.
fn texts_within(names: &[&str]) -> String {
    const MAX_BYTES: usize = 1024;
    let mut text = String::new();
    for name in names.iter().filter(|name| !name.contains('|')) {
        if text.len() + name.len() >= MAX_BYTES {
            break;
        }
        if !text.is_empty() {
            text.push('|');
        }
        text.push_str(name);
    }
    text
}
