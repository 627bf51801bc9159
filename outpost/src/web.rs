//! The endpoints of the public listener.
//!
//! Fail closed by construction: every endpoint returns a [`Reply`], whose [`Outcome`] has no default
//! and no conversion from nothing. A request may go upstream only with [`Outcome::Pass`], which is
//! made from a permit of the shared policy and nothing else; any other outcome has a status that no
//! proxy takes for consent.
//!
//! A request goes through `service`, `request`, `routing` and one of the `handlers`; the reply
//! through `response`.

mod challenges;
mod context;
mod denied;
mod device;
mod endpoint;
mod failure;
mod form;
mod forwarded_headers;
mod handlers;
mod loop_guard;
mod oauth;
mod outcome;
mod pass;
mod provider_choice;
mod random_id;
mod request;
mod request_id;
mod response;
mod routing;
mod service;
mod short;
mod sign_in;
mod step_up;
mod subrequest;
mod urls;

pub use device::DeviceAnswer;
pub use endpoint::{Endpoint, OwnEndpoint};
pub use failure::{DeviceFailure, Failure, LoopCause};
pub use oauth::OAuthAnswer;
pub use outcome::{Channel, Outcome, Reply};
pub use pass::Pass;
pub use request::ForwardedRequest;
pub use service::router;
pub use subrequest::Subrequest;
