//! Every key of the configuration, with its type, default and meaning.
//!
//! From this table follow the names of the environment variables, the JSON Schema for editors
//! (`docs/gatepost.schema.json`) and the reference for people (`docs/configuration.md`). Tests
//! compare it with the keys that are read and with both files.

mod key;
mod keys;
mod markdown;
mod schema;
mod sections;
#[cfg(test)]
mod tests;

pub use key::{Key, Kind};
pub use keys::keys;
pub use markdown::markdown;
pub use schema::schema;
