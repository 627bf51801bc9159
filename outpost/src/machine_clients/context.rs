//! What a check of credentials needs besides them.

use gatepost_base::Clock;
use gatepost_oidc::Holder;
use gatepost_session::CLOCK_SKEW_SECONDS;
use gatepost_store::RevocationList;

use super::attempts::FailedAttempts;
use super::machine_client::MachineClient;
use crate::application::Application;
use crate::client_certificate::Thumbprint;
use crate::rate_limit::Client;
use crate::session_times::SessionTimes;

/// The values that a check needs besides the credentials.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The invalid credentials of the last minute, at all applications.
    pub failed_attempts: &'a FailedAttempts,
    /// The revocations: a token that is older than the last sign-out of its subject is invalid.
    pub revocations: &'a RevocationList,
    /// The clock.
    pub clock: &'a Clock,
    /// The application that the credentials were sent to.
    pub application: &'a Application,
    /// How long sessions last: a token is invalid that is older than a session may become.
    pub times: &'a SessionTimes,
    /// The client that sent them, where the proxy names it.
    pub client: Option<Client>,
    /// The certificate that it has shown to a trusted proxy.
    pub certificate: Option<&'a Thumbprint>,
}

impl Context<'_> {
    /// Returns whether all sessions of the client's subject were revoked after its token was
    /// issued, as far as can be known: the issuer's clock may be ahead, and a token whose age nobody
    /// says may be older than any revocation.
    pub(super) fn is_revoked(&self, machine: &MachineClient) -> bool {
        let Holder {
            identity, issued, ..
        } = &machine.holder;
        let revoked = self
            .revocations
            .tokens_revoked_at(&identity.issuer, &identity.subject);
        revoked.is_some_and(|at| match (machine.obtained, issued) {
            // By the clock here.
            (Some(obtained), _) => obtained <= at,
            (None, Some(issued)) => *issued <= at.plus_seconds(CLOCK_SKEW_SECONDS),
            (None, None) => true,
        })
    }
}
