//! The outpost over HTTP, in process: real requests to its router, and a provider that can be told
//! to misbehave. What the outpost does with real providers and proxies is tested end to end.

#![allow(missing_docs)]

mod browser;
mod faults;
mod forward_auth;
mod provider;
mod renewal;
mod sign_in;
mod sign_out;
mod world;
