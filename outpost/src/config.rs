//! The outpost's configuration: read from a YAML file and the environment, and checked as a whole
//! before anything is served.
//!
//! [`Config::load`] reports all problems together, each with the path of its key and its line in
//! the file, and returns a [`Config`] only if there are none. Every key has an environment variable
//! ([`environment`]) and an entry of the reference ([`mod@reference`]).

mod addresses;
pub mod environment;
mod error;
mod file;
mod health;
mod locations;
mod read;
pub mod reference;
mod settings;
#[cfg(test)]
mod tests;

pub use addresses::Addresses;
pub use error::{ConfigError, Finding};
pub use health::health_addresses;
pub use settings::{Config, Listen};
