//! What every store promises.

mod api_keys;
mod ending;
mod revocations;
mod sessions;
mod used_once;
