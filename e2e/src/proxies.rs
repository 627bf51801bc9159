//! The proxies that can be in front of a [`Site`](crate::Site), each configured by files of
//! `deploy/` and started until it protects the site.

mod caddy;
mod cilium;
mod envoy;
mod haproxy;
mod ingress;
mod ingress_controller;
mod load_balancer;
mod nginx;
mod traefik;

pub use caddy::Caddy;
pub use cilium::Cilium;
pub use envoy::Envoy;
pub use haproxy::Haproxy;
pub use ingress::IngressNginx;
pub use ingress_controller::IngressController;
pub use load_balancer::LoadBalancer;
pub use nginx::Nginx;
pub use traefik::{Traefik, service};
