//! The parts that every other part of the outpost uses.
//!
//! - [`Clock`]: the time, which tests can move.
//! - [`Secret`]: text that no log shows and that is wiped when it is dropped.
//! - [`Device`]: the key by which a browser proves which device it runs on.
//! - [`Identity`]: a person, as a provider stated and the outpost verified.
//! - [`SealingKeys`]: encrypts and authenticates what leaves the process.
//! - [`files`]: replaces a file atomically.
//! - [`hex()`]: writes bytes in hexadecimal.
//! - [`Quoted`]: text of a client or a provider in a message.
//! - [`own_user()`]: the user who runs the process. [`user_name()`]: a user's name.
//! - [`contained`]: limits a panic to the request that caused it.
//!
//! This crate knows neither OpenID Connect nor HTTP, stores or configuration.

mod clock;
pub mod contained;
mod device_key;
pub mod files;
mod hex;
mod identity;
mod process;
mod quoted;
mod seal;
mod secret;

pub use clock::Clock;
pub use device_key::{Device, DeviceKey};
pub use hex::hex;
pub use identity::Identity;
pub use process::{own_user, user_name};
pub use quoted::{Quoted, QuotedList};
pub use seal::SealingKeys;
pub use secret::Secret;
