//! Every way to deploy Gatepost, on the real proxies, configured by the files that the docs show.
//!
//! Each row of `docs/proxies/` has a module here. What every deployment must do is said once,
//! in [`checks`]; a module adds what is particular to its proxy.

mod caddy;
mod checks;
mod choice;
mod compose;
mod control_plane;
mod dashboard;
mod decisions;
mod docs;
mod domains;
mod envoy;
mod export;
mod forward_auth;
mod haproxy;
mod holes;
mod ingress;
mod kubernetes;
mod kustomize;
mod labels;
mod machines;
mod nginx;
mod pages;
mod plugin;
mod route;
mod survival;
mod traces;
