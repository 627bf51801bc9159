//! The audit log: sign-ins, refusals, sign-outs and revocations, each as one line with the target
//! `audit`, whatever the level of the log is.
//!
//! A line has the fields `event`, `application`, `issuer`, `subject`, `username` and `session`;
//! the request's id and trace come from the span that it is written in. `session` is
//! [`SessionId::log_id`]: the same for all lines of one session, and useless to a reader of the log.
//! What a client or a provider wrote is a text, which the formats quote and escape, so that it cannot
//! pass for another field or line.

use std::fmt::Display;

use gatepost_policy::Scheme;
use gatepost_session::{Claims, SessionId, TextList};

use super::metrics::{self, Success};
use gatepost_base::{Identity, QuotedList};
use gatepost_store::{ApiKeyId, ApiKeyRecord};

/// The target of every line of the audit log.
pub(crate) const TARGET: &str = "audit";

/// Logs that a user signed in, and a session began.
pub(crate) fn signed_in(application: &str, identity: &Identity, session: &SessionId) {
    of_session("sign_in", "signed in", application, identity, session, None);
}

/// Logs that a sign-in came back from the provider and did not lead to a session. `code` is the failure's,
/// `reason` says it in words, those of the provider or of a browser among them.
pub(crate) fn sign_in_failed(
    application: &str,
    issuer: &str,
    code: &'static str,
    reason: &dyn Display,
) {
    tracing::info!(
        target: TARGET,
        event = "sign_in_failed",
        application,
        issuer,
        code,
        %reason,
        "sign-in failed",
    );
}

/// The most groups in a line.
const MAX_GROUPS: usize = 20;

/// Logs that a signed-in user was not admitted, by the rule of the list with this name or number, or by
/// `require`, which has no name. The groups that arrived say why: the user has no session in which they
/// could be seen.
pub(crate) fn denied(application: &str, claims: &Claims, rule: Option<&str>) {
    let groups = Some(&claims.groups);
    of_user("denied", "not admitted", application, claims, rule, groups);
}

/// Logs that a signed-in user was refused, since the rule with this name or number asks for another
/// authentication.
pub(crate) fn step_up(application: &str, claims: &Claims, rule: Option<&str>) {
    let message = "refused until the user authenticates again";
    of_user("step_up", message, application, claims, rule, None);
}

/// Logs that a machine client's credentials were checked and are valid. Requests that use the cached
/// result are not logged.
pub(crate) fn machine_client_accepted(application: &str, scheme: Scheme, identity: &Identity) {
    metrics::machine_checked(application, word(scheme), Success::Succeeded);
    of_machine("credentials accepted", application, scheme, None, identity);
}

/// Counts that an API key was checked and is valid, and logs it where `is_logged` says so: there is a
/// check for each request.
pub(crate) fn api_key_accepted(
    application: &str,
    key: &ApiKeyId,
    identity: &Identity,
    is_logged: bool,
) {
    let scheme = Scheme::ApiKey;
    metrics::machine_checked(application, word(scheme), Success::Succeeded);
    if is_logged {
        of_machine("API key accepted", application, scheme, Some(key), identity);
    }
}

fn of_machine(
    message: &str,
    application: &str,
    scheme: Scheme,
    key: Option<&ApiKeyId>,
    identity: &Identity,
) {
    tracing::info!(
        target: TARGET,
        event = "machine",
        application,
        issuer = identity.issuer,
        subject = identity.subject,
        username = identity.preferred_username.as_deref().unwrap_or_default(),
        scheme = word(scheme),
        key = key.map(tracing::field::display),
        "{message}",
    );
}

/// Logs that an operator created an API key.
pub(crate) fn api_key_created(record: &ApiKeyRecord) {
    of_api_key("api_key_created", "API key created", record);
}

/// Logs that an operator revoked an API key. Nothing but its id is known of one whose record cannot be
/// opened.
pub(crate) fn api_key_revoked(id: &ApiKeyId, record: Option<&ApiKeyRecord>) {
    const EVENT: &str = "api_key_revoked";
    match record {
        Some(record) => of_api_key(EVENT, "API key revoked", record),
        None => tracing::info!(
            target: TARGET,
            event = EVENT,
            key = %id,
            "API key revoked, whose record cannot be opened",
        ),
    }
}

fn of_api_key(event: &str, message: &str, record: &ApiKeyRecord) {
    tracing::info!(
        target: TARGET,
        event,
        key = %record.id,
        subject = record.subject,
        groups = %QuotedList(&record.groups),
        applications = %QuotedList(&record.applications),
        ends = record.ends.as_seconds(),
        uses = record.usage.count,
        "{message}",
    );
}

/// Logs that a machine client's credentials were checked and are invalid: by the provider with this
/// issuer, or without one where a token is from no provider of the application.
pub(crate) fn machine_client_refused(
    application: &str,
    issuer: Option<&str>,
    scheme: Scheme,
    reason: &dyn Display,
) {
    metrics::machine_checked(application, word(scheme), Success::Failed);
    tracing::info!(
        target: TARGET,
        event = "machine_refused",
        application,
        issuer = issuer.unwrap_or_default(),
        scheme = word(scheme),
        %reason,
        "credentials refused",
    );
}

/// Logs that a session was bound to a device.
pub(crate) fn bound(application: &str, identity: &Identity, session: &SessionId) {
    let message = "session bound to a device";
    of_session(
        "device_bound",
        message,
        application,
        identity,
        session,
        None,
    );
}

/// Logs that a page load came to sign in with the cookie of a session that is bound to a device: its
/// browser does not renew it, or the cookie is a copy.
pub(crate) fn unproven(application: &str, claims: &Claims) {
    let message = "no renewal without a proof of the device";
    of_user("device_unproven", message, application, claims, None, None);
}

/// Logs that a page load was refused, since its session would have to be bound to a device and is
/// not.
pub(crate) fn device_missing(application: &str, claims: &Claims) {
    let message = "refused: the session is not bound to a device";
    of_user("device_missing", message, application, claims, None, None);
}

/// Logs that a proof for a session was refused. What names no session is only counted: anyone can
/// send it.
pub(crate) fn device_refused(
    application: &str,
    identity: &Identity,
    session: &SessionId,
    reason: &dyn Display,
) {
    let (event, message) = ("device_refused", "proof of a device refused");
    let reason = Some(reason);
    of_session(event, message, application, identity, session, reason);
}

/// Logs that a user signed out.
pub(crate) fn signed_out(application: &str, claims: &Claims) {
    of_user("sign_out", "signed out", application, claims, None, None);
}

fn of_session(
    event: &str,
    message: &str,
    application: &str,
    identity: &Identity,
    session: &SessionId,
    reason: Option<&dyn Display>,
) {
    tracing::info!(
        target: TARGET,
        event,
        application,
        issuer = identity.issuer,
        subject = identity.subject,
        username = identity.preferred_username.as_deref().unwrap_or_default(),
        session = session.log_id(),
        reason = reason.map(tracing::field::display),
        "{message}",
    );
}

fn of_user(
    event: &str,
    message: &str,
    application: &str,
    claims: &Claims,
    rule: Option<&str>,
    groups: Option<&TextList>,
) {
    let shown: Option<Vec<&str>> = groups.map(|all| all.iter().take(MAX_GROUPS).collect());
    let further = groups.map_or(0, |all| all.iter().count().saturating_sub(MAX_GROUPS));
    tracing::info!(
        target: TARGET,
        event,
        application,
        issuer = claims.iss,
        subject = claims.sub,
        username = claims.preferred_username.as_deref().unwrap_or_default(),
        session = claims.sid.log_id(),
        rule,
        groups = shown.as_deref().map(|own| tracing::field::display(QuotedList(own))),
        further_groups = (further > 0).then_some(further),
        "{message}",
    );
}

/// Whose sessions a revocation ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'s> {
    /// One session.
    Session(&'s SessionId),
    /// Those of a session at a provider.
    ProviderSession,
    /// Those of a subject.
    Subject,
    /// All.
    Everyone,
}

/// Logs that the provider or an operator revoked sessions. `cause` is a word like
/// `backchannel_logout`.
pub(crate) fn revoked(
    cause: &'static str,
    scope: Scope<'_>,
    issuer: &str,
    subject: Option<&str>,
    sessions: usize,
) {
    metrics::revoked(sessions);
    let (scope, session) = match scope {
        Scope::Session(id) => ("session", Some(id.log_id())),
        Scope::ProviderSession => ("provider_session", None),
        Scope::Subject => ("subject", None),
        Scope::Everyone => ("everyone", None),
    };
    tracing::info!(
        target: TARGET,
        event = "revoke",
        cause,
        scope,
        issuer,
        subject = subject.unwrap_or_default(),
        session,
        sessions,
        "sessions revoked",
    );
}

/// Returns the name of a scheme in logs and metrics.
fn word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Bearer => "bearer",
        Scheme::Basic => "basic",
        Scheme::Dpop => "dpop",
        Scheme::ApiKey => "api_key",
    }
}
