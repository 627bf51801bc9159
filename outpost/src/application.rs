//! Applications: their settings, their state in the running outpost, and the choice of one by a
//! request's host.

mod capabilities;
mod device_cookie;
mod providers;
mod public_client;
mod registry;
mod resource;
mod return_to;
mod served;
mod settings;
mod skip_paths;
mod upstream_tokens;

pub(crate) use capabilities::id_claims;
pub use capabilities::{Capabilities, OwnKeys, TokenHeaders, TokenNeed};
pub use device_cookie::DeviceScope;
pub use providers::Providers;
pub use public_client::PublicClient;
pub use registry::{Applications, NoApplication};
pub use resource::{InvalidResource, ProtectedResource};
pub use return_to::ReturnTo;
pub use served::Application;
pub use settings::{
    ApplicationSettings, InvalidCredentials, MachineClientSettings, MachineIssuer, Route,
    SignOutScope, Unserved,
};
pub use skip_paths::{MatchedPart, SkipPaths};
pub use upstream_tokens::{AccessTokenHeader, UpstreamTokens};
