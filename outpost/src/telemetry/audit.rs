//! The audit log: who signed in, was refused, signed out or was signed out, each as one line with
//! the target `audit`, whatever the level of the log is.
//!
//! A line has the fields `event`, `application`, `issuer`, `subject`, `username` and `session`;
//! the request's id and trace come from the span that it is written in. `session` is a short hash
//! of the session's id: the same for all lines of one session, and of no use to whoever reads it.
//! What a client or a provider wrote is quoted, so that it cannot pass for another field or line.

use std::fmt::Display;

use gatepost_policy::Scheme;
use gatepost_session::{Claims, SessionId};
use sha2::{Digest as _, Sha256};

use super::metrics::{self, Success};
use gatepost_base::Identity;

/// The target of every line of the audit log.
pub const TARGET: &str = "audit";

/// A person signed in, and a session began.
pub fn signed_in(application: &str, identity: &Identity, session: &SessionId) {
    tracing::info!(
        target: TARGET,
        event = "sign_in",
        application,
        issuer = identity.issuer,
        subject = ?identity.subject,
        username = ?identity.preferred_username.as_deref().unwrap_or_default(),
        session = mark(session),
        "signed in",
    );
}

/// A sign-in came back from the provider and did not end in a session. `reason` is a failure's
/// code.
pub fn sign_in_failed(application: &str, issuer: &str, reason: &'static str) {
    tracing::info!(
        target: TARGET,
        event = "sign_in_failed",
        application,
        issuer,
        reason,
        "sign-in failed",
    );
}

/// A person who is signed in was not admitted.
pub fn denied(application: &str, claims: &Claims) {
    person("denied", "not admitted", application, claims);
}

/// A program's credentials were checked, and hold. What follows with them is not written again
/// while that is believed.
pub fn machine_let_in(application: &str, scheme: Scheme, identity: &Identity) {
    metrics::machine_checked(application, word(scheme), Success::Succeeded);
    tracing::info!(
        target: TARGET,
        event = "machine",
        application,
        issuer = identity.issuer,
        subject = ?identity.subject,
        username = ?identity.preferred_username.as_deref().unwrap_or_default(),
        scheme = word(scheme),
        "credentials accepted",
    );
}

/// A program's credentials were checked, and do not hold: by the provider of this issuer, or by
/// none where a token is no provider's of the application.
pub fn machine_refused(
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

/// A person signed out.
pub fn signed_out(application: &str, claims: &Claims) {
    person("sign_out", "signed out", application, claims);
}

fn person(event: &str, message: &str, application: &str, claims: &Claims) {
    tracing::info!(
        target: TARGET,
        event,
        application,
        issuer = claims.iss,
        subject = ?claims.sub,
        username = ?claims.preferred_username.as_deref().unwrap_or_default(),
        session = mark(&claims.sid),
        "{message}",
    );
}

/// Sessions were ended by someone else than the person whose they were: `cause` is a word like
/// `backchannel_logout`.
pub fn revoked(cause: &'static str, issuer: &str, subject: Option<&str>, sessions: usize) {
    metrics::revoked(sessions);
    tracing::info!(
        target: TARGET,
        event = "revoke",
        cause,
        issuer = ?issuer,
        subject = ?subject.unwrap_or_default(),
        sessions,
        "sessions revoked",
    );
}

/// Returns the name of a scheme in logs and metrics.
fn word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Bearer => "bearer",
        Scheme::Basic => "basic",
    }
}

/// What stands for a session: not its id, which is the key to the store.
fn mark(session: &SessionId) -> String {
    let digest = Sha256::digest(session.as_str().as_bytes());
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
