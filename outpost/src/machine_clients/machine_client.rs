//! A machine client with valid credentials, and the session that the policy decides on.

use gatepost_base::Secret;
use gatepost_oidc::Holder;
use gatepost_session::{Authentic, NumericDate, SessionId};
use gatepost_signing::SignError;

use crate::application::Application;
use crate::assertion::{KnownGroups, Unsigned};

/// A machine client with valid credentials.
#[derive(Debug)]
pub struct MachineClient {
    /// The identity that it acts for.
    pub holder: Holder,
    /// Its access token, which an API key is not.
    pub token: Option<Secret>,
    /// When the outpost got the token for the client's secret, where it did.
    pub(super) obtained: Option<NumericDate>,
    /// Until when the result counts without asking again.
    pub(super) until: NumericDate,
}

impl MachineClient {
    /// Returns the session that the application's policy decides on. No cookie carries it.
    ///
    /// # Errors
    ///
    /// [`NoSession`].
    pub fn session(
        &self,
        application: &Application,
        now: NumericDate,
    ) -> Result<Authentic, NoSession> {
        let mut identity = self.holder.identity.clone();
        identity.leave_out_unread(application.policy().claims());
        let mut claims = identity.into_claims(
            application.audience().to_string(),
            SessionId::placeholder(),
            now,
            self.until,
            self.until,
        );
        application.assert(&mut claims, KnownGroups::All)?;
        Ok(application.signer().vouch_for(&claims)?)
    }
}

/// Why a machine client has no session.
#[derive(Debug, thiserror::Error)]
pub enum NoSession {
    /// No session can be of this identity.
    #[error("no session can be of this identity: {0}")]
    Unusable(SignError),
    /// The assertion for the application cannot be signed.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
}

impl From<SignError> for NoSession {
    fn from(error: SignError) -> Self {
        Self::Unusable(error)
    }
}
