//! The rules for one request.

use gatepost_policy::Policy;

use crate::application::Application;
use crate::sessions::SessionLookup;
use crate::web::request::ForwardedRequest;

/// The rules for one request to an application.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) application: &'a Application,
    /// The application's own policy, or the one for paths that need no session.
    pub(super) policy: &'a Policy,
    /// Whether the path is not one of those.
    pub(super) needs_session: bool,
}

impl Rules<'_> {
    /// Returns whether credentials may give an identity to a request that passes without one.
    pub(super) fn may_identify(
        self,
        request: &ForwardedRequest<'_>,
        lookup: &SessionLookup,
    ) -> bool {
        !self.needs_session
            && matches!(lookup, SessionLookup::Absent(_))
            && self.policy.machine_clients.scheme_of(request).is_some()
    }
}
