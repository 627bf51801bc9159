//! The whole of Gatepost on one machine: real Traefik with the built plugin, the outpost, a real
//! OpenID provider and an app to protect.
//!
//! [`Stack`] starts these on free loopback ports and stops them when it is dropped. The end-to-end
//! tests use it, and so does `cargo xtask demo`: there is one way to start the whole, so a person
//! tries by hand the same programs that the tests run.
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
//! Outpost and plugin are built by [`built`]; the other parts are looked up, and on request
//! installed, by [`tools`].

pub mod built;
mod certificates;
pub mod clients;
pub mod cluster;
pub mod containers;
pub mod doubles;
pub mod forge;
mod keys;
pub mod layout;
mod left_out;
mod namespaces;
pub mod programs;
pub mod providers;
pub mod proxies;
mod settings;
mod shared;
mod site;
mod stack;
pub mod tools;
pub mod users;
mod wait;

pub use certificates::write_certificates;
pub use clients::{Answer, Client, Journey, McpClient};
pub use keys::Keys;
pub use left_out::{LEFT_OUT, left_out};
pub use programs::{FakeClock, McpServer, Process, Redis, Service, SmallDisk, ports};
pub use shared::Shared;
pub use site::{Compose, Site, SiteBuilder, SitePorts};
pub use stack::{Application, ApplicationSpec, Builder, Ports, Stack};
pub use wait::{at_once, pass, until};
