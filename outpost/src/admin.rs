//! The metrics listener, for the operator's own programs. It must not be reachable by the public.

mod health;
mod protocol;
mod router;
mod sessions;

pub use protocol::{
    AdminRequest, AdminResponse, PATH, SessionSummary, open_response, seal_request,
};
pub use router::router;
pub use sessions::{AdminError, answer};
