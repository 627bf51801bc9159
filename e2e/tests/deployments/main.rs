//! Every way to deploy Gatepost, on the real proxies, configured by the files that the docs show.
//!
//! Each row of `docs/proxies/` has a module here. The checks for every deployment are in
//! [`checks`]; a module adds those for its proxy.

mod api_keys;
mod assertion;
mod caddy;
mod certificates;
mod challenges;
mod checks;
mod choice;
mod compose;
mod control_plane;
mod dashboard;
mod decisions;
mod device_bound;
mod docs;
mod domains;
mod dpop;
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
mod mcp;
mod mcp_client;
mod nginx;
mod pages;
mod plugin;
mod rerouting;
mod route;
mod rules;
mod set_up_wrong;
mod socket_activation;
mod step_up;
mod survival;
mod targets;
mod traces;
mod upstream_tokens;
