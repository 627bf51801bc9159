//! Configuration of other proxies, read to print what takes its place.

pub mod ingress_nginx;
