//! The metrics listener, for the operator's own programs. It must not be reachable by the public.

mod admin_error;
mod health;
mod in_force;
mod keys;
mod protocol;
mod router;
mod sessions;

pub use admin_error::AdminError;
pub use in_force::InForce;
pub use protocol::{
    AdminRequest, AdminResponse, CreatedKey, KeyRequest, KeySummary, PATH, SessionSummary,
    WhichKeys, open_response, seal_request,
};
pub use router::router;
pub use sessions::answer;
