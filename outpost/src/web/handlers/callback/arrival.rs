//! Who has come back, and for which application.

use gatepost_oidc::Provider;

use crate::application::Application;
use crate::web::context::Context;
use crate::web::request::ForwardedRequest;

/// A browser that comes back from the provider to which this outpost sent it.
#[derive(Clone, Copy)]
pub(super) struct Callback<'a> {
    pub(super) context: Context<'a>,
    pub(super) application: &'a Application,
    pub(super) provider: &'a Provider,
    pub(super) request: &'a ForwardedRequest<'a>,
}
