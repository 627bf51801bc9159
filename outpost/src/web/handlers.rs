//! The endpoints, one file each. No handler imports another.

pub(super) mod assertion_keys;
pub(super) mod authorization_server;
pub(super) mod backchannel_logout;
pub(super) mod callback;
pub(super) mod client_registration;
pub(super) mod device;
pub(super) mod forward_auth;
pub(super) mod renewal;
pub(super) mod resource_metadata;
pub(super) mod session;
pub(super) mod sign_out;
pub(super) mod start;
