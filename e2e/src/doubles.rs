//! Doubles: servers of ours in the place of programs that a test cannot run or could not look into.

pub mod authentik;
pub mod docker_api;
pub mod folder;
pub mod kube_api;
pub(crate) mod provider;
mod server;
pub mod trace_collector;
pub mod upstream;

pub(crate) use server::{Server, listen_on};
