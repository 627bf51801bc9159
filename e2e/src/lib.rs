//! The whole of Gatepost on one machine: real Traefik with the built plugin, the outpost, a real
//! OpenID provider and an app to protect.
//!
//! [`Stack`] starts these on free loopback ports and stops them when it is dropped. The end-to-end
//! tests use it, and so does `cargo xtask demo`: there is one way to start the whole, and what a
//! person tries by hand is what the tests ran.
//!
//! ```no_run
//! use gatepost_e2e::{Client, Stack, users};
//!
//! let stack = Stack::builder().start()?;
//! let app = stack.app();
//! let alice = Client::new()?;
//! let journey = alice.sign_in(&app.url("/reports?year=2026"), &users::ALICE)?;
//! assert_eq!(journey.landed.url, app.url("/reports?year=2026"));
//! # anyhow::Ok(())
//! ```
//!
//! The parts that it starts are looked up, and on request installed, by [`tools`].

pub mod authentik;
mod background;
pub mod browser;
mod client;
pub mod collector;
pub mod compose;
pub mod docker_api;
mod fake_clock;
pub mod forge;
mod keys;
pub mod kube_api;
pub mod layout;
pub mod ports;
mod process;
pub mod prometheus;
mod provider;
pub mod proxies;
mod redis;
mod service;
mod settings;
mod site;
mod small_disk;
mod stack;
pub mod tools;
mod traefik;
pub mod upstream;
pub mod users;
mod wait;
pub mod wire;
pub mod wire2;

pub use client::{Answer, Client, Journey};
pub use fake_clock::FakeClock;
pub use keys::Keys;
pub use process::Process;
pub use redis::Redis;
pub use service::Service;
pub use site::{Site, SiteBuilder, SitePorts};
pub use small_disk::SmallDisk;
pub use stack::{Application, ApplicationSpec, Builder, Ports, Stack};
pub use wait::until;
