//! Sessions that are sent nowhere and permit nothing: rules are asked what they would lack.

use gatepost_base::{Identity, Secret};
use gatepost_session::{Authentic, Claims, SessionId};
use gatepost_store::SessionRecord;

use super::issue::{IssueError, claims, reduced};
use super::service::Sessions;
use crate::application::Application;
use crate::session_times::SessionTimes;

impl Sessions {
    /// Returns the session that this user would have.
    ///
    /// # Errors
    ///
    /// [`IssueError::Unsignable`] when no cookie could have it.
    pub fn preview(
        &self,
        times: &SessionTimes,
        application: &Application,
        identity: &Identity,
    ) -> Result<Authentic, IssueError> {
        let now = self.now();
        let record = SessionRecord {
            id: SessionId::placeholder(),
            audience: application.audience().to_string(),
            identity: identity.clone(),
            provider_session: None,
            refresh_token: None,
            access_token: None,
            id_token: Secret::new(String::new()),
            device: None,
            created: now,
            last_validated: now,
            last_seen: now,
            window_ends: now,
            ends: now.plus_seconds(application.lifetime(times)),
        };
        self.as_if_fresh(times, application, &record, false)
    }

    /// Returns a session as a cookie that is made now would have it, with every group that the
    /// application's rules name. `bound` says whether it counts as bound to a device.
    ///
    /// # Errors
    ///
    /// [`IssueError::Unsignable`] when no cookie could have it.
    pub fn as_if_fresh(
        &self,
        times: &SessionTimes,
        application: &Application,
        record: &SessionRecord,
        bound: bool,
    ) -> Result<Authentic, IssueError> {
        let claims = claims(times, application, record, self.now());
        let claims = Claims {
            bound,
            grp_more: false,
            ..reduced(claims, application, None)
        };
        let session = application.signer().vouch_for(&claims);
        session.map_err(IssueError::Unsignable)
    }
}
