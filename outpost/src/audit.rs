//! The audit log: who signed in, was refused, signed out or was signed out, each as one line with
//! the target `audit`, whatever the level of the log is.
//!
//! A line has the fields `event`, `application`, `issuer`, `subject`, `username` and `session`;
//! the request's id and trace come from the span that it is written in. `session` is a short hash
//! of the session's id: the same for all lines of one session, and of no use to whoever reads it.
//! What a client or a provider wrote is quoted, so that it cannot pass for another field or line.

use gatepost_policy::Scheme;
use gatepost_session::{Claims, SessionId};
use sha2::{Digest as _, Sha256};

use crate::application::Application;
use crate::machines;
use crate::metrics::{self, Success};
use crate::provider::{Provider, Refusal};
use crate::web::Failure;
use gatepost_base::Identity;

/// The target of every line of the audit log.
pub const TARGET: &str = "audit";

/// A person signed in, and a session began.
pub fn signed_in(application: &Application, identity: &Identity, session: &SessionId) {
    application.counts.signed_in(Success::Succeeded);
    tracing::info!(
        target: TARGET,
        event = "sign_in",
        application = %application.audience,
        issuer = identity.issuer,
        subject = ?identity.subject,
        username = ?identity.preferred_username.as_deref().unwrap_or_default(),
        session = mark(session),
        "signed in",
    );
}

/// A sign-in came back from the provider and did not end in a session.
pub fn sign_in_failed(application: &Application, provider: &Provider, failure: &Failure) {
    application.counts.signed_in(Success::Failed);
    tracing::info!(
        target: TARGET,
        event = "sign_in_failed",
        application = %application.audience,
        issuer = provider.settings().issuer.as_str(),
        reason = failure.text().code,
        "sign-in failed",
    );
}

/// A person who is signed in was not admitted.
pub fn denied(application: &Application, claims: &Claims) {
    person("denied", "not admitted", application, claims);
}

/// A program's credentials were checked, and hold. What follows with them is not written again
/// while that is believed.
pub fn machine_let_in(application: &Application, scheme: Scheme, identity: &Identity) {
    metrics::machine_checked(
        application.audience.as_str(),
        machines::word(scheme),
        Success::Succeeded,
    );
    tracing::info!(
        target: TARGET,
        event = "machine",
        application = %application.audience,
        issuer = identity.issuer,
        subject = ?identity.subject,
        username = ?identity.preferred_username.as_deref().unwrap_or_default(),
        scheme = machines::word(scheme),
        "credentials accepted",
    );
}

/// A program's credentials were checked, and do not hold: by that provider, or by none where a
/// token is no provider's of the application.
pub fn machine_refused(
    application: &Application,
    provider: Option<&Provider>,
    scheme: Scheme,
    reason: Refusal,
) {
    metrics::machine_checked(
        application.audience.as_str(),
        machines::word(scheme),
        Success::Failed,
    );
    tracing::info!(
        target: TARGET,
        event = "machine_refused",
        application = %application.audience,
        issuer = provider.map_or("", |provider| provider.settings().issuer.as_str()),
        scheme = machines::word(scheme),
        %reason,
        "credentials refused",
    );
}

/// A person signed out.
pub fn signed_out(application: &Application, claims: &Claims) {
    application.counts.signed_out();
    person("sign_out", "signed out", application, claims);
}

fn person(event: &str, message: &str, application: &Application, claims: &Claims) {
    tracing::info!(
        target: TARGET,
        event,
        application = %application.audience,
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

/// What stands for a session: not its id, which is the key to the store.
fn mark(session: &SessionId) -> String {
    let digest = Sha256::digest(session.as_str().as_bytes());
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
