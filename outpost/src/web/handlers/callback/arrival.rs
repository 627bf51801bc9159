//! Who has come back, and for which application.

use std::sync::Arc;

use gatepost_oidc::Provider;
use gatepost_session::Authentic;
use gatepost_store::SessionRecord;

use crate::application::Application;
use crate::web::context::Context;
use crate::web::failure::Failure;
use crate::web::request::ForwardedRequest;

/// A browser that comes back from the provider to which this outpost sent it.
#[derive(Clone, Copy)]
pub(super) struct Callback<'a> {
    pub(super) context: Context<'a>,
    pub(super) application: &'a Application,
    pub(super) provider: &'a Provider,
    pub(super) request: &'a ForwardedRequest<'a>,
}

impl Callback<'_> {
    /// Returns the browser's session, with its cookie, if it still exists: one that was revoked meanwhile
    /// does not start again without the user.
    ///
    /// # Errors
    ///
    /// [`Failure::Store`].
    pub(super) async fn live_session(
        self,
    ) -> Result<Option<(Authentic, Arc<SessionRecord>)>, Failure> {
        let (application, sessions) = (self.application, self.context.sessions());
        let candidates = self.request.session_candidates(&application.cookie().name);
        let Ok(cookie) = sessions.authenticate(application, &candidates) else {
            return Ok(None);
        };
        let found = sessions.find(self.context.times(), application, &cookie);
        let record = found.await.map_err(Failure::Store)?;
        Ok(record.map(|record| (cookie, record)))
    }
}
